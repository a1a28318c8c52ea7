/**
 * Runs benchmarks: `npm run bench [-- NAME…]`, where a name is that of a file in `bench/`, without `.ts`; none means all.
 *
 * Every measurement is one JSON line on standard output as soon as it is there, and goes into `RESULTS.md`. One benchmark
 * that fails does not keep the others from running, but makes the exit code 1; a missed goal does not, it is written down.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { type BenchModule, jsonLine, Unavailable } from "./bench.ts";
import { type Kept, type Machine, merged, resultsPage } from "./results.ts";

const HERE = import.meta.dir;
const STORE = join(HERE, "results.json");
const PAGE = join(HERE, "RESULTS.md");
/** What lies here and measures nothing. */
const NOT_A_BENCH = ["main", "bench", "results"];

function benchNames(): readonly string[] {
  return [...new Bun.Glob("*.ts").scanSync({ cwd: HERE })]
    .filter((file) => !/\.test\.ts$/.test(file))
    .map((file) => file.replace(/\.ts$/, ""))
    .filter((name) => !NOT_A_BENCH.includes(name))
    .sort();
}

function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown processor",
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    bun: Bun.version,
  };
}

function commit(): string {
  const git = Bun.spawnSync(["git", "describe", "--always", "--dirty"], { cwd: HERE });
  return git.exitCode === 0 ? git.stdout.toString().trim() : "unknown";
}

/** What earlier runs measured. */
function readKept(): readonly Kept[] {
  if (!existsSync(STORE)) return [];
  return JSON.parse(readFileSync(STORE, "utf8")) as readonly Kept[];
}

async function runOne(name: string): Promise<readonly Kept[]> {
  const module = (await import(join(HERE, `${name}.ts`))) as BenchModule;
  const measurements = await module.run();
  const where = { machine: machine(), commit: commit() };
  return measurements.map((measurement) => ({ measurement, ...where }));
}

async function main(asked: readonly string[]): Promise<number> {
  const known = benchNames();
  const unknown = asked.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    process.stderr.write(`bench: no benchmark '${unknown}'; there are ${known.join(", ")}\n`);
    return 2;
  }
  let failures = 0;
  for (const name of asked.length === 0 ? known : asked) {
    try {
      const fresh = await runOne(name);
      for (const { measurement } of fresh) process.stdout.write(`${jsonLine(measurement)}\n`);
      const all = merged(readKept(), fresh);
      writeFileSync(STORE, `${JSON.stringify(all, null, 2)}\n`);
      writeFileSync(PAGE, resultsPage(all));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      process.stderr.write(`bench: ${name}: ${reason}\n`);
      if (!(error instanceof Unavailable)) failures++;
    }
  }
  return failures === 0 ? 0 : 1;
}

process.exit(await main(process.argv.slice(2)));
