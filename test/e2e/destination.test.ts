/**
 * Goal: a destination that is killed at any moment loses nothing that it acknowledged and opens no second ticket for it.
 * Method: the real process under SIGKILL while several senders post, each as nodes do: again and again until it has a receipt. At the end
 * the receipts that were given are held against what the destination knows.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DigestAnswer, Parcel, ParcelsAnswer } from "../../agent/callhome/protocol.ts";
import type { TicketAnswer, TicketsAnswer } from "../../agent/destination/api.ts";
import { testEvent, testParcel } from "../../agent/destination/harness/test-events.ts";
import type { Identity } from "../../agent/identity/identity.ts";
import { openLocalIdentity } from "../../agent/identity/io/open-identity.ts";
import { canMakeNamespaces, realPart } from "../real-part.ts";
import { ask, holdfast, MAIN, until } from "./test-cluster.ts";

const KILLS = Number(process.env["HOLDFAST_DESTINATION_KILLS"] ?? 6);
const SENDERS = 4;
const COMPONENTS = 20;
const BATCH = 16;

function newId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");
}

class Running {
  readonly folder: string = mkdtempSync(join(tmpdir(), "holdfast-e2e-destination-"));
  readonly at: string;
  readonly #through: (data: string) => readonly string[];
  #child: Bun.Subprocess | null = null;

  /** `through`: what the process is started by, given its data folder. */
  constructor(through: (data: string) => readonly string[] = () => []) {
    const [b, c] = crypto.getRandomValues(new Uint8Array(2));
    this.at = `127.${1 + ((b ?? 0) % 250)}.${c ?? 0}.1:7500`;
    this.#through = through;
  }

  get data(): string {
    return join(this.folder, "data");
  }

  async start(flags: readonly string[] = []): Promise<void> {
    const log = openSync(join(this.folder, "log"), "a");
    const args = ["destination", "--listen", this.at, "--data", this.data, ...flags];
    this.#child = Bun.spawn({
      cmd: [...this.#through(this.data), process.execPath, MAIN, ...args],
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    await until("the destination answers", 30_000, () => ask(this.at, "/healthz"));
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#child?.kill(signal);
    await this.#child?.exited;
    this.#child = null;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  log(): string {
    return readFileSync(join(this.folder, "log"), "utf8");
  }

  async stop(): Promise<void> {
    await this.end("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const running: Running[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
});

function make(through?: (data: string) => readonly string[]): Running {
  const one = new Running(through);
  running.push(one);
  return one;
}

async function post(
  at: string,
  parcels: readonly Parcel[],
): Promise<ParcelsAnswer | number | null> {
  try {
    const response = await fetch(`http://${at}/v1/callhome/parcels`, {
      method: "POST",
      body: JSON.stringify({ parcels }),
      signal: AbortSignal.timeout(5_000),
    });
    return response.ok ? ((await response.json()) as ParcelsAnswer) : response.status;
  } catch {
    return null;
  }
}

/** What one sender was told, by event id; throws where a second receipt names another ticket. */
class Sender {
  readonly tickets = new Map<string, string>();
  sentCount = 0;
  brokenCount = 0;
  readonly #at: string;
  readonly #node: Identity;
  readonly #index: number;
  isEnding = false;

  constructor(at: string, node: Identity, index: number) {
    this.#at = at;
    this.#node = node;
    this.#index = index;
  }

  async run(): Promise<void> {
    while (!this.isEnding) {
      const events = Array.from({ length: BATCH }, () =>
        testEvent({ id: newId(), subject: `DIMM ${this.sentCount++ % COMPONENTS}` }),
      );
      await this.#deliver(events.map((event) => testParcel(this.#node.signer, event)));
    }
  }

  /** Every fourth batch goes by two paths at once. */
  async #deliver(parcels: readonly Parcel[]): Promise<void> {
    const isTwice = (this.sentCount / BATCH + this.#index) % 4 === 0;
    await until("the batch is acknowledged", 30_000, async () => {
      const ways = isTwice ? [parcels, parcels] : [parcels];
      const answers = await Promise.all(ways.map((way) => post(this.#at, way)));
      let isWhole = true;
      for (const answer of answers) {
        if (answer === null || typeof answer === "number") {
          this.brokenCount++;
          isWhole = false;
        } else this.#note(answer);
      }
      return isWhole ? true : null;
    });
  }

  #note({ results }: ParcelsAnswer): void {
    expect(results).toHaveLength(BATCH);
    for (const result of results) {
      if (result.kind !== "delivered") throw new Error(JSON.stringify(result));
      const { id, ticket } = result.receipt;
      expect(this.tickets.get(id) ?? ticket).toBe(ticket);
      this.tickets.set(id, ticket);
    }
  }
}

async function digest(at: string, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const known = new Map<string, string>();
  for (let from = 0; from < ids.length; from += 4_096) {
    const body = JSON.stringify({ ids: ids.slice(from, from + 4_096) });
    const response = await fetch(`http://${at}/v1/callhome/digest`, { method: "POST", body });
    const { states } = (await response.json()) as DigestAnswer;
    for (const { id, receipt } of states) if (receipt !== null) known.set(id, receipt.ticket);
  }
  return known;
}

describe("a destination", () => {
  test(`killed ${KILLS} times in the middle of posts has every receipt it gave, and one ticket a fault`, async () => {
    const destination = make();
    const node = openLocalIdentity(join(destination.folder, "n1"), "agent", "n1");
    await destination.start();
    const senders = Array.from(
      { length: SENDERS },
      (_, index) => new Sender(destination.at, node, index),
    );
    const runs = senders.map((sender) => sender.run());
    const count = (): number => senders.reduce((sum, { tickets }) => sum + tickets.size, 0);
    for (let kill = 0; kill < KILLS; kill++) {
      const before = count();
      await until("more is acknowledged", 30_000, () => (count() > before + BATCH ? true : null));
      // A moment that no round shares with another.
      await Bun.sleep(Math.random() * 60);
      await destination.end("SIGKILL");
      await destination.start();
    }
    for (const sender of senders) sender.isEnding = true;
    await Promise.all(runs);
    const given = new Map(senders.flatMap(({ tickets }) => [...tickets]));
    const sent = senders.reduce((sum, { sentCount }) => sum + sentCount, 0);
    expect(given.size).toBe(sent);
    expect(senders.reduce((sum, { brokenCount }) => sum + brokenCount, 0)).toBeGreaterThan(0);
    const known = await digest(destination.at, [...given.keys()]);
    expect(known).toEqual(given);
    const { tickets } = (await ask<TicketsAnswer>(
      destination.at,
      "/v1/tickets?limit=1000",
    )) as TicketsAnswer;
    expect(tickets).toHaveLength(COMPONENTS);
    expect(tickets.reduce((sum, { eventCount }) => sum + eventCount, 0)).toBe(sent);
    expect(new Set(given.values())).toEqual(new Set(tickets.map(({ id }) => id)));
    expect(destination.log()).not.toContain("damaged");
  }, 120_000);

  test("is asked by the command: list, show, close; and says what is wrong with a question", async () => {
    const destination = make();
    const node = openLocalIdentity(join(destination.folder, "n1"), "agent", "n1");
    await destination.start();
    const tickets = (args: readonly string[]) =>
      holdfast(["tickets", ...args, "--destination", destination.at]);
    expect((await tickets(["list"])).stdout).toContain("no open tickets");
    const events = [
      testEvent({ id: newId() }),
      testEvent({
        id: newId(),
        severity: "critical",
        text: "memory DIMM A1: \u001b[31muncorrectable",
      }),
    ];
    await post(
      destination.at,
      events.map((event) => testParcel(node.signer, event)),
    );
    const listed = await tickets(["list"]);
    const [, row = ""] = listed.stdout.split("\n");
    expect(row).toMatch(/^T-\d{4}-000001 {2}open {3}critical {2}n1 {4}2 {7}/);
    const id = row.split(" ")[0] ?? "";
    const shown = await tickets(["show", id]);
    expect(shown.stdout).toContain("signed by agent n1, seen by sel; origin n1");
    expect(shown.stdout).not.toContain("\u001b");
    const json = JSON.parse((await tickets(["show", id, "--json"])).stdout) as TicketAnswer;
    expect(json.events.map(({ event }) => event)).toEqual(events);
    expect((await tickets(["close", id, "--reason", "DIMM replaced"])).stdout).toBe(
      `${id} is closed: DIMM replaced\n`,
    );
    const again = await tickets(["close", id, "--reason", "x"]);
    expect(again).toMatchObject({ code: 77, stderr: `holdfast: ${id} is closed already\n` });
    expect((await tickets(["show", id.replace("000001", "999999")])).code).toBe(66);
    expect((await tickets(["close", id])).code).toBe(2);
    const said = destination
      .log()
      .split("\n")
      .filter((line) => line.includes(id));
    expect(said.map((line) => line.split(/ +/)[1])).toEqual(["opened", "raised", "closed"]);
    const second = await holdfast([
      "destination",
      "--listen",
      "127.0.0.1:0",
      "--data",
      destination.data,
    ]);
    expect(second).toMatchObject({ code: 78, stdout: "" });
    expect(second.stderr).toContain("is in use by another process");
    await destination.end("SIGTERM");
    const silent = await tickets(["list"]);
    expect(silent).toMatchObject({ code: 69, stdout: "" });
  }, 60_000);
});

const namespaces = realPart(
  "mount namespaces",
  canMakeNamespaces,
  "run as root, or allow user namespaces",
);

describe("a disk that is full", () => {
  namespaces(
    "is said with 507, and what was acknowledged before is still there; the rest is taken once there is room",
    async () => {
      const size = "size=3m";
      const script = `mkdir -p "$0" && mount -t tmpfs -o ${size} tmpfs "$0" && exec "$@"`;
      const full = make((data) => ["unshare", "-m", "sh", "-c", script, data]);
      const node = openLocalIdentity(join(full.folder, "n1"), "agent", "n1");
      await full.start();
      const kept = new Map<string, Parcel>();
      let refused: readonly Parcel[] = [];
      await until("the disk is full", 30_000, async () => {
        const parcels = Array.from({ length: 64 }, (_, index) =>
          testParcel(node.signer, testEvent({ id: newId(), subject: `DIMM ${index}` })),
        );
        const answer = await post(full.at, parcels);
        if (answer === 507) {
          refused = parcels;
          return true;
        }
        if (answer === null || typeof answer === "number") throw new Error(`answered ${answer}`);
        for (const parcel of parcels) kept.set(parcel.id, parcel);
        return null;
      });
      expect(kept.size).toBeGreaterThan(100);
      expect(full.log()).toContain("events cannot be kept");
      const known = await digest(full.at, [...kept.keys(), ...refused.map(({ id }) => id)]);
      expect([...known.keys()]).toEqual([...kept.keys()]);
      const health = await fetch(`http://${full.at}/healthz`);
      expect(health.status).toBe(503);
      const room = Bun.spawnSync([
        ...["nsenter", "-t", String(full.pid), "-m", "mount", "-o", "remount,size=64m", full.data],
      ]);
      expect(room.exitCode).toBe(0);
      const answer = await post(full.at, refused);
      if (answer === null || typeof answer === "number") throw new Error(`answered ${answer}`);
      expect(answer.results.every((one) => one.kind === "delivered" && !one.isDuplicate)).toBe(
        true,
      );
      expect(full.log()).toContain("events are kept again");
    },
    60_000,
  );
});
