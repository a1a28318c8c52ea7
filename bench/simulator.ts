/**
 * How many histories of a whole cluster the simulator goes through in a minute: five nodes, 60 simulated seconds each, all
 * faults, checkers after every step, on all cores of the machine.
 *
 * The same command that a person runs, timed as a whole process. There is no peer that simulates the same thing.
 */
import { join } from "node:path";
import type { Measurement } from "./bench.ts";

const HISTORIES = 1_000;
/** Any seed does; a fixed one makes runs comparable. */
const SEED = 1;
const MAIN = join(import.meta.dir, "../test/sim/main.ts");

export async function run(): Promise<readonly Measurement[]> {
  const startedMs = performance.now();
  const simulation = Bun.spawn({
    cmd: [process.execPath, MAIN, "--histories", String(HISTORIES), "--seed", String(SEED)],
    stdio: ["ignore", "pipe", "pipe"],
  });
  const text = await new Response(simulation.stdout).text();
  const exitCode = await simulation.exited;
  const seconds = (performance.now() - startedMs) / 1_000;
  if (exitCode !== 0) throw new Error(`the simulator ended with ${exitCode}: ${text.slice(-400)}`);
  return [
    {
      bench: "simulator",
      what: "histories of 5 nodes × 60 s simulated in a minute",
      ours: (HISTORIES / seconds) * 60,
      peer: null,
      peerName: null,
      unit: "histories/min",
      spread: null,
      runs: 1,
      goal: { of: "ours", better: "higher", must: 1_000, aim: 10_000 },
      note: `${HISTORIES} histories from seed ${SEED} in ${seconds.toFixed(1)} s, none failed`,
    },
  ];
}
