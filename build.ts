/**
 * The build: `bun build.ts [--wasm] [--target NAME] [--force]`.
 *
 * Five steps, each left out when neither its inputs nor its output changed: the WASM core, the demo's data set, the manager's
 * page, the demo's program, the executable that embeds them. An input's content is what counts, never its time, so a fresh
 * clone and a touched file behave alike; the digest of the inputs is kept beside the output. Outputs appear by rename: a running
 * `dist/holdfast` is never written to, and two builds at once do not harm each other.
 *
 * Entries of the executable are `agent/main.ts` and every file of `agent/` and `bmc/` named `*-worker.ts` (`core/io/worker-url.ts`
 * says how a Worker finds itself in there). Cross-compiling takes the other machine's Bun from the npm registry, once, through
 * Bun's own cache.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { buildDataset } from "./agent/cli/demo/build-dataset.ts";
import { buildTraining } from "./agent/cli/demo/build-training.ts";
import { buildPage } from "./agent/manager/page/build-page.ts";
import { ascArguments } from "./core/build-core.ts";

const ROOT = import.meta.dir;
const DIST = join(ROOT, "dist");

/** What a user calls a target → what Bun calls it. */
const TARGETS: Readonly<Record<string, Bun.Build.CompileTarget>> = {
  "linux-x64": "bun-linux-x64",
  "linux-arm64": "bun-linux-arm64",
  "linux-x64-musl": "bun-linux-x64-musl",
  "linux-arm64-musl": "bun-linux-arm64-musl",
  "linux-x64-baseline": "bun-linux-x64-baseline",
};

const HELP = `usage: bun build.ts [--wasm] [--target NAME] [--force]

Builds the WASM core and dist/holdfast, one executable that needs nothing beside it.

  --wasm         only the WASM core, the data set and the page, which the sources import
  --target NAME  cross-compile to dist/holdfast-NAME; NAME is one of
                 ${Object.keys(TARGETS).join(", ")}
  --force        build even what is up to date
  --help         this text
`;

/** A problem of the user's or of the machine, told in one line. */
class BuildError extends Error {}

interface Step {
  readonly name: string;
  readonly output: string;
  /** Globs below the root. */
  readonly inputs: readonly string[];
  /** Writes `partial`, which becomes the output. */
  readonly run: (partial: string) => Promise<void> | void;
}

function inputsDigest(step: Step): string {
  const hash = new Bun.CryptoHasher("sha256");
  hash.update(`${Bun.version} ${step.name}`);
  const paths = step.inputs.flatMap((pattern) => [
    ...new Bun.Glob(pattern).scanSync({ cwd: ROOT, dot: false }),
  ]);
  for (const path of [...new Set(paths)].sort()) {
    if (path.endsWith(".test.ts") || path.includes("node_modules")) continue;
    const bytes = readFileSync(join(ROOT, path));
    hash.update(`\n${path} ${bytes.byteLength}\n`);
    hash.update(bytes);
  }
  return hash.digest("hex");
}

async function perform(step: Step, isForced: boolean): Promise<void> {
  const stamp = join(DIST, `.${basename(step.output)}.inputs`);
  const digest = inputsDigest(step);
  const isFresh =
    existsSync(step.output) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest;
  if (isFresh && !isForced) return;
  const startNs = Bun.nanoseconds();
  rmSync(stamp, { force: true });
  const partial = `${step.output}.${process.pid}.tmp`;
  try {
    await step.run(partial);
    renameSync(partial, step.output);
  } finally {
    rmSync(partial, { force: true });
  }
  writeFileSync(stamp, digest);
  const ms = Math.round((Bun.nanoseconds() - startNs) / 1e6);
  process.stdout.write(`built ${step.name} in ${ms} ms\n`);
}

async function compile(target: string | null, partial: string): Promise<void> {
  if (!existsSync(join(ROOT, "agent/main.ts"))) throw new BuildError("agent/main.ts is missing");
  const workers = [...new Bun.Glob("{agent,bmc}/**/*-worker.ts").scanSync({ cwd: ROOT })].sort();
  // A folder of its own: the executable's name is part of its content, and source maps land beside it.
  const scratch = `${partial}.d`;
  const outfile = join(scratch, "holdfast");
  const result = await Bun.build({
    entrypoints: ["agent/main.ts", ...workers].map((path) => join(ROOT, path)),
    root: ROOT,
    target: "bun",
    format: "esm",
    // Parsed ahead of time: halves the start (55 → 24 ms), and a proxy starts in the middle of a recovery.
    bytecode: true,
    // A command loads its own part: 20 ms less at every start than one file with everything.
    splitting: true,
    sourcemap: "inline",
    minify: { syntax: true, whitespace: true, identifiers: false },
    // What lies in the folder a node happens to start in must not change how holdfast behaves.
    compile: {
      outfile,
      autoloadDotenv: false,
      autoloadBunfig: false,
      ...(target === null ? {} : { target: TARGETS[target] as Bun.Build.CompileTarget }),
    },
    throw: false,
  });
  if (result.success) renameSync(outfile, partial);
  rmSync(scratch, { recursive: true, force: true });
  if (!result.success) {
    const what = target === null ? "the executable" : `the executable for ${target}`;
    throw new BuildError(`cannot build ${what}: ${result.logs.map(String).join("\n")}`);
  }
}

async function spawnAsc(partial: string): Promise<void> {
  const asc = Bun.spawn(["node_modules/.bin/asc", ...ascArguments(partial)], {
    cwd: ROOT,
    stdout: "inherit",
    stderr: "inherit",
  });
  if ((await asc.exited) !== 0) throw new BuildError("cannot build the WASM core: asc failed");
}

/** What the sources import from `dist/`. */
const IMPORTED: readonly Step[] = [
  {
    name: "dist/core.wasm",
    output: join(DIST, "core.wasm"),
    inputs: [
      "core/assembly/**/*",
      "core/abi.ts",
      "core/build-core.ts",
      "package-lock.json",
      "build.ts",
    ],
    run: spawnAsc,
  },
  {
    name: "dist/digits.bin",
    output: join(DIST, "digits.bin"),
    inputs: ["agent/cli/demo/{build-dataset,digits}.ts", "package-lock.json", "build.ts"],
    run: (partial) => buildDataset(ROOT, partial),
  },
  {
    name: "dist/manager-page.txt",
    output: join(DIST, "manager-page.txt"),
    inputs: [
      "agent/manager/page/*.{ts,css,html}",
      "agent/manager/api.ts",
      "package-lock.json",
      "build.ts",
    ],
    run: (partial) => buildPage(ROOT, partial),
  },
];

const TRAINING: Step = {
  name: "dist/training.bin",
  output: join(DIST, "training.bin"),
  inputs: ["{core,agent}/**/*.ts", "package-lock.json", "build.ts"],
  run: (partial) => buildTraining(ROOT, partial),
};

function executable(target: string | null): Step {
  const name = target === null ? "holdfast" : `holdfast-${target}`;
  return {
    name: `dist/${name}`,
    output: join(DIST, name),
    inputs: [
      "{core,agent,bmc}/**/*",
      "dist/*.{wasm,bin,txt}",
      "package.json",
      "package-lock.json",
      "build.ts",
    ],
    run: (partial) => compile(target, partial),
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      wasm: { type: "boolean", default: false },
      target: { type: "string" },
      force: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const target = values.target ?? null;
  if (target !== null && TARGETS[target] === undefined) {
    throw new BuildError(
      `unknown target '${target}'; known are ${Object.keys(TARGETS).join(", ")}`,
    );
  }
  mkdirSync(DIST, { recursive: true });
  const steps = values.wasm ? IMPORTED : [...IMPORTED, TRAINING, executable(target)];
  for (const step of steps) await perform(step, values.force);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`build: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
