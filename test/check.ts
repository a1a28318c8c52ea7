/**
 * The whole check before a commit: `bun test/check.ts [--seed N]`, which is `npm run check`.
 *
 * Build, format, lint, types, tests, simulation smoke: fastest first, each with its time, and the first that fails ends the
 * check with its output. `npm test` runs the same but goes on and counts.
 */
import { parseArgs } from "node:util";
import { type CheckStep, hasSimulator, runStep, STATIC_STEPS, simulationStep } from "./steps.ts";

const { values } = parseArgs({ options: { seed: { type: "string" } } });
const seed = Number(values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]);

const steps: readonly CheckStep[] = [
  { name: "build", argv: [process.execPath, "build.ts"], limitMs: 120_000 },
  ...STATIC_STEPS,
  ...(hasSimulator() ? [simulationStep(seed)] : []),
  {
    name: "tests",
    argv: [process.execPath, "test/run.ts", "--no-steps", "--seed", String(seed)],
    limitMs: 900_000,
  },
];

const startNs = Bun.nanoseconds();
for (const step of steps) {
  const outcome = await runStep(step);
  const seconds = (outcome.ms / 1000).toFixed(1).padStart(6);
  process.stdout.write(`${outcome.isPassed ? "ok  " : "FAIL"} ${seconds} s  ${step.name}\n`);
  if (!outcome.isPassed) {
    process.stdout.write(`\n${outcome.output}\nthe same again: ${step.argv.join(" ")}\n`);
    process.exit(1);
  }
  if (step.name === "tests") process.stdout.write(`               ${outcome.lastLine}\n`);
}
const totalS = (Bun.nanoseconds() - startNs) / 1e9;
process.stdout.write(`ok   ${totalS.toFixed(1).padStart(6)} s  everything\n`);
