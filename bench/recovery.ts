/**
 * How long a job stands still when a node dies: from SIGKILL until every program has computed a step again.
 *
 * Five real agents with default timing train the demo's classifier; a drawn node (agent, proxy and program) is killed at a
 * drawn moment; each run has another seed. The demo's own JSON lines are read, and the demo is ended once the
 * recovery is over. There is no peer that does the same work on one machine, so the number stands alone.
 */
import { join } from "node:path";
import type { Recovery, TimedEvent } from "../agent/cli/demo/events.ts";
import { type Measurement, median, medianDeviation } from "./bench.ts";

const RUNS = 7;
const RUN_WITHIN_MS = 40_000;
const BINARY = join(import.meta.dir, "../dist/holdfast");

async function recoverOnce(seed: number): Promise<Recovery> {
  const demo = Bun.spawn({
    cmd: [BINARY, "demo", "--json", "--seed", String(seed)],
    stdio: ["ignore", "pipe", "inherit"],
  });
  const limit = setTimeout(() => demo.kill("SIGTERM"), RUN_WITHIN_MS);
  let rest = "";
  let last = "";
  try {
    for await (const chunk of demo.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const event = JSON.parse(line) as TimedEvent;
        if (event.kind === "recovered") return event.recovery;
        if (event.kind === "verdict") last = event.lines.join("; ");
      }
    }
    throw new Error(`demo --seed ${seed} showed no recovery: ${last || "it said nothing"}`);
  } finally {
    clearTimeout(limit);
    demo.kill("SIGTERM");
    await demo.exited;
  }
}

/** `detect 3, agree 41, …`: the median of each phase. */
function phasesNote(recoveries: readonly Recovery[]): string {
  const names = [...new Set(recoveries.flatMap(({ phases }) => phases.map(({ phase }) => phase)))];
  const parts = names.map((name) => {
    const times = recoveries.flatMap(({ phases }) =>
      phases.filter(({ phase }) => phase === name).map(({ ms }) => ms),
    );
    return `${name} ${Math.round(median(times))}`;
  });
  return `medians of the phases, ms: ${parts.join(", ")}`;
}

export async function run(): Promise<readonly Measurement[]> {
  const recoveries: Recovery[] = [];
  for (let seed = 1; seed <= RUNS; seed++) recoveries.push(await recoverOnce(seed));
  const totals = recoveries.map(({ totalMs }) => totalMs);
  return [
    {
      bench: "recovery-node-kill",
      what: "SIGKILL of a node → every program computing again, five nodes, default timing",
      ours: median(totals),
      peer: null,
      peerName: null,
      unit: "ms",
      spread: medianDeviation(totals),
      runs: RUNS,
      goal: { of: "ours", better: "lower", must: 2_000, aim: 500 },
      note: `${phasesNote(recoveries)}; slowest ${Math.round(Math.max(...totals))}`,
    },
  ];
}
