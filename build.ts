/**
 * The build: `bun build.ts [--wasm] [--target NAME] [--force]`.
 *
 * Four steps, each left out when neither its inputs nor its output changed: the WASM core, the demo's data set, the demo's
 * program, the executable that embeds them. An input's content is what counts, never its time, so a fresh clone and a touched file behave alike; the
 * digest of the inputs is kept beside the output. Outputs appear by rename, so a running `dist/holdfast` is never written to.
 *
 * Entries of the executable are `agent/main.ts` and every `agent/**` file named `*-worker.ts` (`agent/runtime/io/worker-url.ts`
 * says how a Worker finds itself in there). Cross-compiling takes the other machine's Bun from the npm registry, once, through
 * Bun's own cache.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { buildDataset } from "./agent/cli/demo/build-dataset.ts";
import { buildTraining } from "./agent/cli/demo/build-training.ts";

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

  --wasm         only the WASM core and the data set, which the sources import
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
  readonly run: (output: string) => Promise<void>;
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
  await step.run(step.output);
  writeFileSync(stamp, digest);
  const ms = Math.round((Bun.nanoseconds() - startNs) / 1e6);
  process.stdout.write(`built ${step.name} in ${ms} ms\n`);
}

async function compile(target: string | null, output: string): Promise<void> {
  if (!existsSync(join(ROOT, "agent/main.ts"))) throw new BuildError("agent/main.ts is missing");
  const workers = [...new Bun.Glob("agent/**/*-worker.ts").scanSync({ cwd: ROOT })].sort();
  // A folder of its own: the executable's name is part of its content, and source maps land beside it.
  const scratch = `${output}.${process.pid}.tmp`;
  const partial = join(scratch, "holdfast");
  const result = await Bun.build({
    entrypoints: ["agent/main.ts", ...workers].map((path) => join(ROOT, path)),
    root: ROOT,
    target: "bun",
    sourcemap: "inline",
    minify: { syntax: true, whitespace: true, identifiers: false },
    // What lies in the folder a node happens to start in must not change how holdfast behaves.
    compile: {
      outfile: partial,
      autoloadDotenv: false,
      autoloadBunfig: false,
      ...(target === null ? {} : { target: TARGETS[target] as Bun.Build.CompileTarget }),
    },
    throw: false,
  });
  if (result.success) renameSync(partial, output);
  rmSync(scratch, { recursive: true, force: true });
  if (!result.success) {
    const what = target === null ? "the executable" : `the executable for ${target}`;
    throw new BuildError(`cannot build ${what}: ${result.logs.map(String).join("\n")}`);
  }
}

async function spawnAsc(output: string): Promise<void> {
  const flags = ["-O3", "--converge", "--runtime", "stub", "--use", "abort=", "--enable", "simd"];
  const asc = Bun.spawn(
    ["node_modules/.bin/asc", "core/assembly/index.ts", ...flags, "--outFile", output],
    { cwd: ROOT, stdout: "inherit", stderr: "inherit" },
  );
  if ((await asc.exited) !== 0) throw new BuildError("cannot build the WASM core: asc failed");
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
  if (existsSync(join(ROOT, "core/assembly/index.ts"))) {
    await perform(
      {
        name: "dist/core.wasm",
        output: join(DIST, "core.wasm"),
        inputs: ["core/assembly/**/*", "core/abi.ts", "package-lock.json", "build.ts"],
        run: spawnAsc,
      },
      values.force,
    );
  }
  await perform(
    {
      name: "dist/digits.bin",
      output: join(DIST, "digits.bin"),
      inputs: ["agent/cli/demo/{build-dataset,digits}.ts", "package-lock.json", "build.ts"],
      run: async (output) => buildDataset(ROOT, output),
    },
    values.force,
  );
  if (values.wasm) return;
  await perform(
    {
      name: "dist/training.bin",
      output: join(DIST, "training.bin"),
      inputs: ["{core,agent}/**/*.ts", "package-lock.json", "build.ts"],
      run: (output) => buildTraining(ROOT, output),
    },
    values.force,
  );
  const name = target === null ? "holdfast" : `holdfast-${target}`;
  await perform(
    {
      name: `dist/${name}`,
      output: join(DIST, name),
      inputs: [
        "{core,agent,bmc}/**/*",
        "dist/*.{wasm,bin}",
        "package.json",
        "package-lock.json",
        "build.ts",
      ],
      run: (output) => compile(target, output),
    },
    values.force,
  );
}

try {
  await main();
} catch (error) {
  process.stderr.write(`build: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
