/**
 * The checks that are programs of their own, fastest first: format and lint, types, the simulator. One list, since
 * `npm run check` stops at the first that fails, and `npm test` counts each as a test.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

export const ROOT: string = join(import.meta.dir, "..");

export interface CheckStep {
  readonly name: string;
  readonly argv: readonly string[];
  readonly limitMs: number;
}

const BIN = "node_modules/.bin";

export const STATIC_STEPS: readonly CheckStep[] = [
  {
    name: "format and lint (biome)",
    argv: [`${BIN}/biome`, "check", "--diagnostic-level=error", "."],
    limitMs: 60_000,
  },
  { name: "types", argv: [`${BIN}/tsc`, "--noEmit", "-p", "."], limitMs: 60_000 },
  {
    name: "types of the core",
    argv: [`${BIN}/tsc`, "--noEmit", "-p", "core/assembly"],
    limitMs: 60_000,
  },
  {
    name: "types of the page",
    argv: [`${BIN}/tsc`, "--noEmit", "-p", "agent/manager/page"],
    limitMs: 60_000,
  },
  { name: "lint (oxlint)", argv: [`${BIN}/oxlint`, "--quiet"], limitMs: 120_000 },
];

/** Histories enough to see that the decision code still works, few enough for every check. */
export function simulationStep(seed: number): CheckStep {
  return {
    name: `simulation, 20 histories, seed ${seed}`,
    argv: [process.execPath, "test/sim/main.ts", "--histories", "20", "--seed", String(seed)],
    limitMs: 120_000,
  };
}

export interface StepOutcome {
  readonly isPassed: boolean;
  readonly ms: number;
  /** What it wrote, errors last, and why it ended if not by itself. */
  readonly output: string;
  readonly lastLine: string;
}

export async function runStep(step: CheckStep): Promise<StepOutcome> {
  const startNs = Bun.nanoseconds();
  const child = Bun.spawn([...step.argv], {
    cwd: ROOT,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: step.limitMs,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  const ms = Math.round((Bun.nanoseconds() - startNs) / 1e6);
  const ended = child.signalCode === null ? "" : `killed after ${step.limitMs} ms\n`;
  return {
    isPassed: code === 0,
    ms,
    output: `${stdout}${stderr}${ended}`,
    lastLine: stdout.trimEnd().split("\n").at(-1) ?? "",
  };
}

export function hasSimulator(): boolean {
  return existsSync(join(ROOT, "test/sim/main.ts"));
}
