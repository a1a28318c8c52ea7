/**
 * Tokens between real identities: who is let in, who is not and why, and that remembering never outlives what it rests on.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { testIdentities } from "../../identity/harness/test-authority.ts";
import { timesFrom } from "../../identity/io/authority.ts";
import { SKEW_MS, TOKEN_LIFE_MS, TOKEN_REUSE_MS } from "../token.ts";
import { bearerChecker, bearerMaker, makeToken, TOKEN_CHARS_MAX } from "./bearer.ts";

/** Certificates are made by the dozen, perhaps on a machine that is busy. */
setDefaultTimeout(60_000);

const ids = await testIdentities("c1");
const manager = await ids.of("manager", "m1");
const node = await ids.of("agent", "n1");

function kindOf(result: ReturnType<ReturnType<typeof bearerChecker>["check"]>): string {
  return result.ok ? `${result.value.role} ${result.value.name}` : result.error.kind;
}

describe("a token", () => {
  test("says who asks", () => {
    const checker = bearerChecker(manager);
    expect(kindOf(checker.checkHeader(bearerMaker(node).header("manager")))).toBe("agent n1");
  });

  test("for another role, or another cluster's manager, is refused", async () => {
    const checker = bearerChecker(manager);
    expect(kindOf(checker.check(bearerMaker(node).token("destination")))).toBe("wrong-audience");
    const others = await testIdentities("c2");
    const stranger = await others.of("agent", "n1");
    const token = makeToken(stranger, "spiffe://c1/manager/*", Date.now());
    expect(kindOf(checker.check(token))).toBe("not-trusted");
  });

  test("for this one by its name is taken, for a namesake of another role not", () => {
    const checker = bearerChecker(manager);
    const mine = makeToken(node, "spiffe://c1/manager/m1", Date.now());
    expect(kindOf(checker.check(mine))).toBe("agent n1");
    const other = makeToken(node, "spiffe://c1/manager/m2", Date.now());
    expect(kindOf(checker.check(other))).toBe("wrong-audience");
  });

  test("is taken a minute before and after its time, and no longer", () => {
    let nowMs = Date.now();
    const startMs = nowMs;
    const checker = bearerChecker(manager, () => nowMs);
    const token = makeToken(node, "spiffe://c1/manager/*", startMs);
    nowMs = startMs - SKEW_MS;
    expect(kindOf(checker.check(token))).toBe("agent n1");
    nowMs = startMs - SKEW_MS - 1;
    expect(kindOf(checker.check(token))).toBe("not-yet-valid");
    nowMs = startMs + TOKEN_LIFE_MS + SKEW_MS - 1;
    expect(kindOf(checker.check(token))).toBe("agent n1");
    nowMs = startMs + TOKEN_LIFE_MS + SKEW_MS;
    expect(kindOf(checker.check(token))).toBe("expired");
    expect(kindOf(checker.check(token))).toBe("expired");
  });

  test("of somebody whose certificate has ended is refused", async () => {
    const late = await ids.of("agent", "late", timesFrom(Date.now() - 2 * 86_400_000, 1));
    expect(kindOf(bearerChecker(manager).check(bearerMaker(late).token("manager")))).toBe(
      "not-trusted",
    );
  });

  test("of somebody who is revoked is refused at once, though it was taken before", async () => {
    const bad = await ids.of("agent", "bad");
    const checker = bearerChecker(manager);
    const token = bearerMaker(bad).token("manager");
    expect(kindOf(checker.check(token))).toBe("agent bad");
    await ids.revoke("agent", "bad");
    expect(kindOf(checker.check(token))).toBe("not-trusted");
  });

  test("is refused with a reason whatever it is, and is never in the reason", () => {
    const checker = bearerChecker(manager);
    const event = node.signer.sign("application/vnd.holdfast.event+json", new Uint8Array(3));
    const noClaims = node.signer.sign(
      "application/vnd.holdfast.token+json",
      new TextEncoder().encode("{}"),
    );
    const encode = (value: unknown): string =>
      Buffer.from(JSON.stringify(value)).toString("base64url");
    const bad: readonly (readonly [string, string])[] = [
      ["", "malformed"],
      ["AAAA", "malformed"],
      [encode(null), "not-trusted"],
      [encode([]), "not-trusted"],
      [encode({ ...event, signatures: "x" }), "not-trusted"],
      [encode(event), "not-trusted"],
      [encode(noClaims), "malformed"],
      ["A".repeat(TOKEN_CHARS_MAX + 1), "malformed"],
    ];
    for (const [token, kind] of bad) {
      const result = checker.check(token);
      expect(kindOf(result)).toBe(kind);
      if (!result.ok && token.length > 8) expect(result.error.detail).not.toContain(token);
    }
    for (const header of [null, undefined, "", "Basic AAAA", "Bearer", "Bearer a b"]) {
      expect(kindOf(checker.checkHeader(header))).toBe("malformed");
    }
  });

  test("that claims to live for years is refused, whoever signed it", () => {
    const claims = { audience: "spiffe://c1/manager/*", issuedMs: Date.now() - 1_000 };
    const payload = JSON.stringify({ ...claims, expiresMs: Date.now() + 1e11 });
    const envelope = node.signer.sign(
      "application/vnd.holdfast.token+json",
      new TextEncoder().encode(payload),
    );
    const token = Buffer.from(JSON.stringify(envelope)).toString("base64url");
    expect(kindOf(bearerChecker(manager).check(token))).toBe("malformed");
  });
});

test("a maker makes one token in five minutes for each audience, and a new one after a change", async () => {
  let nowMs = Date.now();
  const startMs = nowMs;
  const maker = bearerMaker(node, () => nowMs);
  const first = maker.token("manager");
  nowMs = startMs + TOKEN_REUSE_MS - 1;
  expect(maker.token("manager")).toBe(first);
  expect(maker.token("destination")).not.toBe(first);
  nowMs = startMs + TOKEN_REUSE_MS;
  const second = maker.token("manager");
  expect(second).not.toBe(first);
  nowMs = startMs - 1;
  const third = maker.token("manager");
  expect(third).not.toBe(second);
  nowMs++;
  await ids.rotateClusterKey();
  expect(maker.token("manager")).not.toBe(third);
  maker.close();
});
