/**
 * From an error raised in a BMC to the handler being called: over LAN by polling each second, over Redfish by its stream of
 * events. The BMC is the emulator in a process of its own; a line on its standard input raises the error, and the time counts
 * from that line.
 *
 * Events that the kernel's driver pushes are measured where the driver is, in the guest of `test/real/kcs.test.ts`.
 */
import { join } from "node:path";
import type { Bmc, BmcEvent } from "../bmc/bmc.ts";
import { openBmc } from "../bmc/link/io/open-bmc.ts";
import { assert } from "../core/assert.ts";
import { type Measurement, median, medianDeviation } from "./bench.ts";

const HOLDFAST = join(import.meta.dir, "../dist/holdfast");
const PUSHED = 24;
const POLLED = 12;
const POLL_MS = 1_000;
const WITHIN_MS = 10_000;
const ENVIRONMENT = { HOLDFAST_BMC_PASSWORD: "emulated" };

interface Scene {
  readonly lanUrl: string;
  readonly redfishUrl: string;
  raise(): void;
  stop(): Promise<void>;
}

async function startScene(): Promise<Scene> {
  const argv = ["bmc", "emulate", "--lan", "127.0.0.1:0", "--redfish", "127.0.0.1:0"];
  const child = Bun.spawn([HOLDFAST, ...argv, "--plain-http", "--json"], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
  });
  const reader = child.stdout.getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    assert(!done, `the emulator ended: ${text}`);
    text += new TextDecoder().decode(value);
  }
  reader.releaseLock();
  const told = JSON.parse(text.slice(0, text.indexOf("\n"))) as {
    readonly urls: readonly [string, string];
  };
  const [lanUrl, redfishUrl] = told.urls;
  let count = 0;
  return {
    lanUrl,
    redfishUrl,
    raise: () => {
      // Another DIMM each time: no two events are alike.
      void child.stdin.write(`event memory ${count++ % 2}\n`);
      void child.stdin.flush();
    },
    stop: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

async function open(url: string): Promise<Bmc> {
  const opened = await openBmc(url, { environment: ENVIRONMENT });
  assert(opened.ok, opened.ok ? "" : opened.error.detail);
  return opened.value;
}

/** Times in ms, one a raised error. */
async function latencies(bmc: Bmc, scene: Scene, count: number): Promise<readonly number[]> {
  let hear: (event: BmcEvent) => void = () => undefined;
  let settled = (): void => undefined;
  const begun = new Promise<void>((resolve) => {
    settled = resolve;
  });
  const watch = bmc.watch(
    { pollMs: POLL_MS, memory: null, tellsOld: false },
    {
      onEvent: (event) => hear(event),
      onMemory: () => settled(),
      onNotice: () => undefined,
    },
  );
  await Promise.race([begun, Bun.sleep(WITHIN_MS)]);
  // A stream is opened after the log was read.
  await Bun.sleep(500);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const startNs = Bun.nanoseconds();
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("an event does not come")), WITHIN_MS);
      hear = () => {
        clearTimeout(timer);
        times.push((Bun.nanoseconds() - startNs) / 1e6);
        resolve();
      };
      scene.raise();
    });
    // Twins of one second could be one event sent twice: that is told from the log. And not in step with the polling.
    await Bun.sleep(1_100 + ((i * 137) % POLL_MS));
  }
  await watch.stop();
  await bmc.close();
  return times;
}

function slowest(
  bench: string,
  what: string,
  times: readonly number[],
  goal: { readonly must: number; readonly aim: number | null },
): Measurement {
  return {
    bench,
    what,
    ours: Math.max(...times),
    peer: null,
    peerName: null,
    unit: "ms",
    spread: medianDeviation(times),
    runs: times.length,
    goal: { of: "ours", better: "lower", ...goal },
    note: `slowest of ${times.length}; median ${median(times).toFixed(1)} ms`,
  };
}

export async function run(): Promise<readonly Measurement[]> {
  const scene = await startScene();
  try {
    const pushed = await latencies(await open(scene.redfishUrl), scene, PUSHED);
    const polled = await latencies(await open(scene.lanUrl), scene, POLLED);
    const raised = "error raised in the BMC → handler called";
    const polling = `${raised}, LAN, log looked at each ${POLL_MS} ms`;
    return [
      slowest("bmc-event-pushed", `${raised}, Redfish stream`, pushed, { must: 100, aim: 20 }),
      slowest("bmc-event-polled", polling, polled, { must: POLL_MS + 1_000, aim: null }),
    ];
  } finally {
    await scene.stop();
  }
}
