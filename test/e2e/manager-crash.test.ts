/**
 * A manager that is killed at random moments, as a process: whatever it acknowledged is there after the next start and reaches
 * the destination, a real one, and no event opens a second ticket.
 *
 * Clients post as agents do: what was not acknowledged is posted again, with the same id. Each event is a fault of a component of
 * its own, so the destination must have exactly as many tickets as there are events. `HOLDFAST_CRASH_ROUNDS=1000` for long.
 */
import { expect, test } from "bun:test";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DIGEST_PATH,
  type DigestAnswer,
  PARCELS_PATH,
  type Parcel,
  type ParcelsAnswer,
} from "../../agent/callhome/protocol.ts";
import { type Destination, openDestination } from "../../agent/destination/io/open-destination.ts";
import { readTrusted } from "../../agent/destination/io/trusted.ts";
import type { Identity } from "../../agent/identity/identity.ts";
import { openLocalIdentity } from "../../agent/identity/io/open-identity.ts";
import { parcelOf, testEvent } from "../../agent/manager/io/harness/signed-events.ts";
import { secureFetch } from "../../agent/net/io/secure.ts";
import { removeFolder } from "../../agent/runtime/io/remove-folder.ts";
import { prng } from "../../agent/runtime/prng.ts";
import { MAIN, until } from "./test-cluster.ts";

const ROUNDS = Number(process.env["HOLDFAST_CRASH_ROUNDS"] ?? 6);
const CLIENTS = 8;
const START_MS = 20_000;
const QUIET = { say: () => undefined };

function freePort(): number {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  const { port } = server;
  server.stop(true);
  return port;
}

class Scene {
  readonly folder: string = mkdtempSync(join(tmpdir(), "holdfast-crash-"));
  readonly port: number = freePort();
  readonly destination: Destination;
  readonly posted: Set<string> = new Set();
  readonly acknowledged: Set<string> = new Set();
  isOver = false;
  #manager: Bun.Subprocess | null = null;
  #count = 0;

  constructor() {
    const trusted = readTrusted([], "local");
    if (!trusted.ok) throw new Error(trusted.error);
    const dataFolder = join(this.folder, "d1");
    const opened = openDestination({
      identity: openLocalIdentity(join(dataFolder, "identity"), "destination", "d1"),
      ...{ address: "127.0.0.1", port: 0, dataFolder, version: "test", trusted: trusted.value },
      ...{ takesLocal: true, adapters: [], publicUrl: null, log: QUIET },
    });
    if (!opened.ok) throw new Error(opened.error);
    this.destination = opened.value;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  start(): void {
    this.#manager = Bun.spawn({
      cmd: [
        ...[process.execPath, MAIN, "manager", "--data", join(this.folder, "m1")],
        ...["--listen", `127.0.0.1:${this.port}`, "--page-listen", "none", "--log", "fault"],
        ...["--destination", `http://127.0.0.1:${this.destination.port}`],
      ],
      stdio: ["ignore", "ignore", "ignore"],
    });
  }

  async kill(): Promise<void> {
    this.#manager?.kill("SIGKILL");
    await this.#manager?.exited;
  }

  identity(name: string): Identity {
    return openLocalIdentity(join(this.folder, name), "agent", name);
  }

  parcel(identity: Identity): Parcel {
    this.#count++;
    const parcel = parcelOf(identity.signer, testEvent({ subject: `DIMM_${this.#count}` }));
    this.posted.add(parcel.id);
    return parcel;
  }

  /** Posts until the scene is over; what is not acknowledged is posted again. */
  async client(name: string): Promise<void> {
    const identity = this.identity(name);
    const ask = secureFetch(identity, "manager");
    let waiting: readonly Parcel[] = [];
    while (!this.isOver || waiting.length > 0) {
      if (waiting.length === 0) waiting = Array.from({ length: 5 }, () => this.parcel(identity));
      waiting = await this.#post(ask, waiting);
    }
  }

  async #post(
    ask: ReturnType<typeof secureFetch>,
    parcels: readonly Parcel[],
  ): Promise<readonly Parcel[]> {
    try {
      const response = await ask(`${this.url}${PARCELS_PATH}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ parcels }),
        signal: AbortSignal.timeout(5_000),
      });
      const answer = (await response.json()) as ParcelsAnswer;
      for (const { id, kind } of answer.results) {
        if (kind === "refused") throw new Error(`${id} is refused`);
        this.acknowledged.add(id);
      }
      return parcels.filter(({ id }) => !this.acknowledged.has(id));
    } catch {
      await Bun.sleep(10);
      return parcels;
    }
  }

  /** Of all that were acknowledged, those that the manager does not call delivered. */
  async undelivered(ask: ReturnType<typeof secureFetch>): Promise<readonly string[] | null> {
    const left: string[] = [];
    const all = [...this.acknowledged];
    for (let from = 0; from < all.length; from += 4_000) {
      const ids = all.slice(from, from + 4_000);
      const response = await ask(`${this.url}${DIGEST_PATH}`, {
        method: "POST",
        body: JSON.stringify({ ids }),
      }).catch(() => null);
      if (response?.ok !== true) return null;
      const { states } = (await response.json()) as DigestAnswer;
      left.push(...states.filter(({ state }) => state !== "delivered").map(({ id }) => id));
    }
    return left;
  }

  async close(): Promise<void> {
    this.isOver = true;
    await this.kill();
    await this.destination.stop();
    await removeFolder(this.folder);
  }
}

async function runRounds(scene: Scene, seed: number): Promise<void> {
  const random = prng(seed);
  const clients = Array.from({ length: CLIENTS }, (_, n) => scene.client(`n${n}`));
  for (let round = 0; round < ROUNDS; round++) {
    scene.start();
    const before = scene.acknowledged.size;
    const more = (): true | null => (scene.acknowledged.size > before ? true : null);
    await until("something is acknowledged", START_MS, more);
    await Bun.sleep(random.below(400));
    await scene.kill();
  }
  scene.start();
  scene.isOver = true;
  await Promise.all(clients);
}

test(
  "a manager that is killed at random loses nothing that it acknowledged, and no event has two tickets",
  async () => {
    const scene = new Scene();
    const seed = Number(process.env["HOLDFAST_SEED"] ?? Date.now() % 1_000_000);
    try {
      await runRounds(scene, seed);
      expect(scene.acknowledged.size).toBe(scene.posted.size);
      const ask = secureFetch(scene.identity("n0"), "manager");
      await until("everything acknowledged is delivered", 60_000, async () => {
        const left = await scene.undelivered(ask);
        return left !== null && left.length === 0 ? true : null;
      });
      const { tickets, ids } = scene.destination.status();
      expect({ seed, tickets: tickets.all, ids: ids.count }).toEqual({
        seed,
        tickets: scene.posted.size,
        ids: scene.posted.size,
      });
    } finally {
      await scene.close();
    }
  },
  60_000 + ROUNDS * 20_000,
);
