/**
 * Goal: every step is there after a crash, and nobody can change, leave out or add one unnoticed. Method: real files and a real signer;
 * what a forger might do is done to the lines, one thing at a time.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { appendFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { err } from "../../../core/result.ts";
import type { Identity } from "../../identity/identity.ts";
import { openLocalIdentity } from "../../identity/io/open-identity.ts";
import type { DeliveryStep } from "../delivery-events.ts";
import { verifyLedger } from "../ledger-chain.ts";
import { type LedgerLimits, openLedger } from "./ledger-file.ts";
import { sha256Hex } from "./sha256-hex.ts";
import { idOf, TestFolder } from "./test-outbox.ts";

const identityFolder = new TestFolder();
const identity: Identity = openLocalIdentity(join(identityFolder.path, "id"), "agent", "n1");
afterAll(() => {
  identity.close();
  identityFolder[Symbol.dispose]();
});

const checks = { sha256: sha256Hex, verifier: identity.verifier };

function stepOf(number: number, more: Partial<DeliveryStep> = {}): DeliveryStep {
  return {
    id: idOf(number),
    step: "sent",
    path: { kind: "manager", name: "m1" },
    reason: 'first choice, "quoted"\nand more',
    ticket: null,
    ...more,
  };
}

async function open(folder: string, limits: Partial<LedgerLimits> = {}) {
  const nowWallMs = (): number => Date.now();
  const { signer } = identity;
  return await openLedger(folder, { limits, signer, nowWallMs, onFailure: () => undefined });
}

async function exported(folder: string, count: number, limits: Partial<LedgerLimits> = {}) {
  const { ledger } = await open(folder, limits);
  for (let number = 1; number <= count; number++) ledger.append(stepOf(number), Date.now());
  const lines = await new Promise<readonly string[]>((resolve) => ledger.export(resolve));
  await ledger.stop();
  return lines;
}

describe("a ledger", () => {
  test("is exported so that it can be verified, each step in its place", async () => {
    using folder = new TestFolder();
    const lines = await exported(folder.path, 50);
    const verdict = verifyLedger(lines, checks);
    expect(verdict).toMatchObject({
      ok: true,
      value: { firstN: 1, lastN: 52, signedN: 52, checkpointCount: 2, gapCount: 0, node: "n1" },
    });
  });

  test("tells an event's whole way after a restart, in order", async () => {
    using folder = new TestFolder();
    const first = await open(folder.path);
    first.ledger.append(stepOf(7, { step: "queued", path: null }), Date.now());
    first.ledger.append(stepOf(8), Date.now());
    first.ledger.append(stepOf(7), Date.now());
    await first.ledger.stop();
    const second = await open(folder.path);
    second.ledger.append(stepOf(7, { step: "delivered", ticket: "T1" }), Date.now());
    const entries = await new Promise<readonly DeliveryStep[]>((resolve) => {
      second.ledger.ofEvent(idOf(7), resolve);
    });
    expect(entries.map(({ step, path, ticket }) => [step, path?.name ?? null, ticket])).toEqual([
      ["queued", null, null],
      ["sent", "m1", null],
      ["delivered", "m1", "T1"],
    ]);
    const lines = await new Promise<readonly string[]>((resolve) => second.ledger.export(resolve));
    expect(verifyLedger(lines, checks).ok).toBe(true);
    await second.ledger.stop();
  });

  test("that lost its oldest files is verified from the signed place where it begins now", async () => {
    using folder = new TestFolder();
    const { ledger } = await open(folder.path, { fileBytes: 4_000, filesMax: 3 });
    for (let number = 1; number <= 200; number++) {
      ledger.append(stepOf(number), Date.now());
      if (number % 5 === 0) await ledger.settled();
    }
    const lines = await new Promise<readonly string[]>((resolve) => ledger.export(resolve));
    await ledger.stop();
    expect(readdirSync(folder.path)).toHaveLength(3);
    const verdict = verifyLedger(lines, checks);
    expect(verdict.ok && verdict.value.firstN > 1).toBe(true);
  });
});

describe("a change to a ledger", () => {
  async function twisted(twist: (lines: string[]) => string[]): Promise<unknown> {
    using folder = new TestFolder();
    const lines = await exported(folder.path, 20);
    return verifyLedger(twist([...lines]), checks);
  }

  test("is noticed: a word, a line left out, one added, two swapped", async () => {
    const changed = await twisted((lines) =>
      lines.map((line, index) => (index === 9 ? line.replace("sent", "kept") : line)),
    );
    expect(changed).toMatchObject({ ok: false, error: { line: 11 } });
    const without = await twisted((lines) => lines.filter((_, index) => index !== 9));
    expect(without).toMatchObject({ ok: false, error: { line: 10 } });
    const added = await twisted((lines) => [
      ...lines.slice(0, 9),
      lines[8] ?? "",
      ...lines.slice(9),
    ]);
    expect(added).toMatchObject({ ok: false, error: { line: 10 } });
    const noise = await twisted((lines) => [...lines.slice(0, 9), "{}", ...lines.slice(9)]);
    expect(noise).toMatchObject({ ok: false, error: { line: 10 } });
  });

  test("is noticed although the whole chain after it is computed anew: nobody can sign it", async () => {
    const forged = await twisted((lines) => {
      let prev = "";
      return lines.map((line, index) => {
        const text = index === 9 ? line.replace("sent", "kept") : line;
        const next = index < 10 ? text : text.replace(/"prev":"[0-9a-f]{64}"/, `"prev":"${prev}"`);
        prev = sha256Hex(next);
        return next;
      });
    });
    expect(forged).toMatchObject({ ok: false, error: { line: 22 } });
  });

  test("is noticed when it begins in the middle, or is signed by somebody else", async () => {
    const cut = await twisted((lines) => lines.slice(3));
    expect(cut).toMatchObject({ ok: false, error: { line: 1 } });
    using folder = new TestFolder();
    const lines = await exported(folder.path, 3);
    const strange = verifyLedger(lines, {
      ...checks,
      verifier: { verify: () => err({ kind: "unknown-authority", detail: "of another cluster" }) },
    });
    expect(strange).toMatchObject({ ok: false, error: { line: 1 } });
  });
});

describe("a ledger after a crash", () => {
  test("goes on from its last whole line", async () => {
    using folder = new TestFolder();
    await exported(folder.path, 10);
    const path = join(folder.path, readdirSync(folder.path)[0] ?? "");
    truncateSync(path, readFileSync(path).length - 30);
    const { ledger, complaints } = await open(folder.path);
    expect(complaints).toEqual([]);
    ledger.append(stepOf(99), Date.now());
    const lines = await new Promise<readonly string[]>((resolve) => ledger.export(resolve));
    expect(verifyLedger(lines, checks)).toMatchObject({ ok: true, value: { lastN: 13 } });
    await ledger.stop();
  });

  test("sets aside what does not follow, says so, and goes on", async () => {
    using folder = new TestFolder();
    await exported(folder.path, 10);
    const path = join(folder.path, readdirSync(folder.path)[0] ?? "");
    const text = readFileSync(path, "utf8").split("\n");
    text[6] = "not a line";
    writeFileSync(path, text.join("\n"));
    appendFileSync(path, "half of a li");
    const { ledger, complaints } = await open(folder.path);
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toContain(".damaged");
    ledger.append(stepOf(99), Date.now());
    const lines = await new Promise<readonly string[]>((resolve) => ledger.export(resolve));
    expect(verifyLedger(lines, checks)).toMatchObject({ ok: true, value: { lastN: 8 } });
    await ledger.stop();
  });

  test("starts with a file that does not read at all", async () => {
    using folder = new TestFolder();
    writeFileSync(join(folder.path, "000000000001.ledger"), Buffer.alloc(5_000, 7));
    const { ledger } = await open(folder.path);
    ledger.append(stepOf(1), Date.now());
    const lines = await new Promise<readonly string[]>((resolve) => ledger.export(resolve));
    expect(verifyLedger(lines, checks).ok).toBe(true);
    await ledger.stop();
  });
});
