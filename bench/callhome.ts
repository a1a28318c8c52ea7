/**
 * From an error raised in a BMC to its ticket: with the manager well, dead and known to be, stopped without a word, and cut off
 * from the destination. BMC, agent, manager and destination are processes of the executable, by mutual TLS with signatures.
 *
 * The time counts from the line that raises the error at the emulated BMC to when the destination has the event durably, which
 * is what it signs in its receipt; both are this machine's clock.
 */
import { createServer } from "node:net";
import { CallhomeScene, type Service } from "../test/e2e/test-callhome.ts";
import { type Measurement, median, medianDeviation } from "./bench.ts";

const HEALTHY = 60;
const DEAD = 12;
const STOPPED = 6;
const CUT_OFF = 3;
/** Twins of one second could be one event told twice. */
const APART_MS = 1_100;
const SETTLE_WITHIN_MS = 30_000;
const ERRORS = ["memory 1", '"PSU1 Status" 1', '"CPU0 Temp" 9', "memory 2"];

interface Kept {
  readonly events: readonly {
    readonly event: { readonly id: string };
    readonly receivedMs: number;
  }[];
}

interface Stage {
  readonly scene: CallhomeScene;
  readonly destination: Service;
  readonly agent: Service;
  manager: Service;
}

let raisedCount = 0;

async function stageOf(managerFlags: (scene: CallhomeScene) => readonly string[]): Promise<Stage> {
  const scene = await CallhomeScene.start({ isSecure: true }, [
    ["destination", "d1"],
    ["manager", "m1"],
  ]);
  const destination = await scene.startDestination();
  const manager = await scene.startManager(managerFlags(scene));
  const watches = ["--bmc", scene.bmc.redfish, "--bmc-poll-seconds", "5"];
  const agent = await scene.startAgent([...watches, "--heartbeat-hours", "0"]);
  await scene.ready(agent, ["bmc", "manager"]);
  return { scene, destination, manager, agent };
}

/** When the destination says that it had this event. */
async function receivedMs(
  { scene, destination }: Stage,
  id: string,
  ticket: string,
): Promise<number> {
  const kept = await scene.ask<Kept>(destination, `/v1/tickets/${ticket}`);
  const found = kept?.events.find(({ event }) => event.id === id);
  if (found === undefined) throw new Error(`${ticket} has no event ${id}`);
  return found.receivedMs;
}

/** Milliseconds from raised to received. */
async function raise(stage: Stage): Promise<number> {
  const { scene, agent } = stage;
  const known = new Set((await scene.events(agent)).map(({ id }) => id));
  const startMs = Date.now();
  await scene.bmc.control(`event ${ERRORS[raisedCount++ % ERRORS.length]}`);
  const events = await scene.delivered(agent, known.size + 1, SETTLE_WITHIN_MS);
  const fresh = events.find(({ id }) => !known.has(id));
  if (fresh === undefined || fresh.ticket === null) throw new Error("no new event");
  const ms = (await receivedMs(stage, fresh.id, fresh.ticket)) - startMs;
  await Bun.sleep(APART_MS);
  return ms;
}

async function series(count: number, one: () => Promise<number>): Promise<readonly number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push(await one());
  return times;
}

function measured(
  bench: string,
  what: string,
  times: readonly number[],
  goal: { readonly must: number; readonly aim: number | null },
): Measurement {
  const sorted = [...times].sort((a, b) => a - b);
  const p99 = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? 0;
  return {
    ...{ bench, what, ours: p99, peer: null, peerName: null, unit: "ms" },
    spread: medianDeviation(times),
    runs: times.length,
    goal: { of: "ours", better: "lower", ...goal },
    note: `slowest of ${times.length}; median ${median(times).toFixed(0)} ms`,
  };
}

async function withStage<T>(stage: Stage, body: (stage: Stage) => Promise<T>): Promise<T> {
  try {
    return await body(stage);
  } finally {
    await stage.scene.close();
  }
}

/** Takes connections and never says a word. */
function silentServer(address: string): Promise<{ readonly port: number; close(): void }> {
  const server = createServer(() => undefined);
  return new Promise((resolve) => {
    server.listen(0, address, () => {
      const at = server.address();
      const port = typeof at === "object" && at !== null ? at.port : 0;
      resolve({ port, close: () => server.close() });
    });
  });
}

const RAISED = "error raised in the BMC, pushed by Redfish → ticket, mutual TLS";

async function withManager(): Promise<readonly Measurement[]> {
  return withStage(await stageOf(() => []), async (stage) => {
    await raise(stage);
    const healthy = await series(HEALTHY, () => raise(stage));
    const stopped = await series(STOPPED, async () => {
      stage.manager.child.kill("SIGSTOP");
      const ms = await raise(stage);
      stage.manager.child.kill("SIGCONT");
      await stage.scene.ready(stage.agent, ["manager"]);
      return ms;
    });
    await stage.manager.kill();
    const dead = await series(DEAD, () => raise(stage));
    return [
      measured("callhome-healthy", `${RAISED}, manager well`, healthy, { must: 1_000, aim: 300 }),
      measured("callhome-stopped", `${RAISED}, manager stopped without a word`, stopped, {
        ...{ must: 4_500, aim: 3_200 },
      }),
      measured("callhome-dead", `${RAISED}, manager known to be dead`, dead, {
        ...{ must: 1_500, aim: 500 },
      }),
    ];
  });
}

async function cutOff(): Promise<Measurement> {
  const silent = await silentServer("127.0.0.1");
  try {
    const times: number[] = [];
    for (let i = 0; i < CUT_OFF; i++) {
      const url = `https://127.0.0.1:${silent.port}`;
      const stage = await stageOf(() => ["--destination", url]);
      times.push(await withStage(stage, raise));
    }
    const what = `${RAISED}, manager keeps it but its destination does not answer`;
    return measured("callhome-cut-off", what, times, { must: 11_000, aim: null });
  } finally {
    silent.close();
  }
}

export async function run(): Promise<readonly Measurement[]> {
  return [...(await withManager()), await cutOff()];
}
