/**
 * The test command: `bun test/run.ts [--seed N] [--no-steps] [PATH…]`.
 *
 * Three suites: static checks and the simulator (left out by `--no-steps`); the rooms' tests, several files at once in
 * random order; what spans rooms (`test/e2e`, `test/real`: real processes, real time), one file after the other in a
 * process of its own, so that timings mean something. `PATH…` runs only the test files whose path contains one of them.
 *
 * Whatever is not a proven pass is a failure: a file that reports no test (it crashed, exited, or did not load) counts as one
 * failed test. The last line is exactly `N passed, N failed, N skipped`.
 */
import { parseArgs } from "node:util";
import { bunTest } from "./bun-test.ts";
import type { JunitCase } from "./junit.ts";
import { hasSimulator, ROOT, runStep, STATIC_STEPS, simulationStep } from "./steps.ts";

const ROOMS_LIMIT_MS = 300_000;
const SPANNING_LIMIT_MS = 300_000;
const SHARDS_MAX = 4;

interface Sum {
  passed: number;
  failed: string[];
  skipped: string[];
}

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** Files of tests, in an order that does not depend on the disk. */
function testFiles(patterns: readonly string[]): readonly string[] {
  return [...new Bun.Glob("{core,agent,bmc,bench,test}/**/*.test.ts").scanSync({ cwd: ROOT })]
    .filter((path) => patterns.length === 0 || patterns.some((part) => path.includes(part)))
    .sort();
}

/** What spans rooms runs real processes: alone, in a process of its own. */
function isSpanning(path: string): boolean {
  return path.startsWith("test/e2e/") || path.startsWith("test/real/");
}

function add(sum: Sum, cases: readonly JunitCase[]): void {
  for (const one of cases) {
    if (one.outcome === "passed") sum.passed++;
    else if (one.outcome === "failed") sum.failed.push(`${one.file}: ${one.name}`);
    else sum.skipped.push(`${one.file}: ${one.name}`);
  }
}

async function runSteps(sum: Sum, seed: number): Promise<void> {
  const steps = hasSimulator() ? [...STATIC_STEPS, simulationStep(seed)] : STATIC_STEPS;
  for (const step of steps) {
    const outcome = await runStep(step);
    say(`(${outcome.isPassed ? "pass" : "fail"}) ${step.name} [${outcome.ms} ms]`);
    if (outcome.isPassed) sum.passed++;
    else {
      sum.failed.push(step.name);
      say(outcome.output);
    }
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { seed: { type: "string" }, "no-steps": { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const seed = Number(values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new Error(`--seed ${values.seed}: no number`);
  say(`seed ${seed}; the same order again: bun test/run.ts --seed ${seed}`);
  const sum: Sum = { passed: 0, failed: [], skipped: [] };
  const files = testFiles(positionals);
  if (positionals.length === 0 && !values["no-steps"]) await runSteps(sum, seed);

  const rooms = files.filter((path) => !isSpanning(path));
  if (rooms.length > 0) {
    // Two at least: only a worker process notices a test file that ends the process.
    const shards = Math.max(2, Math.min(SHARDS_MAX, navigator.hardwareConcurrency));
    const flags = [
      `--parallel=${shards}`,
      "--isolate",
      "--no-orphans",
      "--randomize",
      `--seed=${seed}`,
    ];
    add(sum, await bunTest({ cwd: ROOT, files: rooms, flags, limitMs: ROOMS_LIMIT_MS }));
  }
  for (const file of files.filter(isSpanning)) {
    // Not --no-orphans: it reaches into what is tested, and kills the guard and the janitor, whose work begins when their
    // parent has died.
    const flags = ["--isolate"];
    add(sum, await bunTest({ cwd: ROOT, files: [file], flags, limitMs: SPANNING_LIMIT_MS }));
  }

  for (const name of sum.skipped) say(`skipped: ${name}`);
  for (const name of sum.failed) say(`failed: ${name}`);
  say(`${sum.passed} passed, ${sum.failed.length} failed, ${sum.skipped.length} skipped`);
  return sum.failed.length === 0 && sum.passed > 0 ? 0 : 1;
}

process.exit(await main());
