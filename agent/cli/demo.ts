/**
 * `holdfast demo`: a training that survives a dead node, shown and proved.
 *
 * Starts agents on this machine, runs `demo/train.ts` on them twice, once with nodes killed by SIGKILL, and compares the
 * weights bit for bit. Then an error in an emulated BMC calls home twice: through a manager, and around it once it was
 * killed. Exit code 0 only when a node really died, the weights are equal, and each error became one ticket; 1 when not; 2 for
 * a wrong command line; 130 after Ctrl-C. However it ends, nothing of it stays: see `demo/io/workshop.ts`.
 */
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import digitsFile from "../../dist/digits.bin" with { type: "file" };
import trainingFile from "../../dist/training.bin" with { type: "file" };
import { CliError, EXIT_USAGE } from "./cli-error.ts";
import { Agents, choosePlace } from "./demo/io/agents.ts";
import { CallHome } from "./demo/io/call-home.ts";
import { Conductor, DemoError, type Emit, planKills } from "./demo/io/conductor.ts";
import { chooseOutput, type DemoOutput } from "./demo/io/outputs.ts";
import { JANITOR_COMMAND, layOut, openWorkshop, runJanitor } from "./demo/io/workshop.ts";
import type { Kill } from "./demo/kill-plan.ts";
import { judge } from "./demo/verdict.ts";

export interface DemoOptions {
  readonly seed: number;
  readonly kill?: string;
  readonly faults: number;
  readonly steps: number;
  readonly checkpointEvery: number;
  readonly json: boolean;
  readonly keep: boolean;
}

const RANKS = 4;
const BATCH = 256;
/** About thirteen times through the 8,000 digits. */
const STEPS = 400;
const STEPS_MIN = 20;
/** A few steps: little is computed twice, and checkpoints take no part of the time that could be seen. */
const CHECKPOINT_EVERY_MS = 250;
const FAULTS_MAX = 8;
/** The same weights for every seed: the seed says who dies when, and the loss curve is always the one of the picture. */
const TRAINING_SEED = 1;

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`must be a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

function planned(options: DemoOptions): readonly Kill[] {
  const kills = planKills({ ...options, kill: options.kill, ranks: RANKS });
  const victims = kills.flatMap(({ victim }) => (victim.kind === "node" ? [victim.node] : []));
  if (new Set(victims).size < victims.length) {
    throw new DemoError("--kill: a node dies only once");
  }
  const known = Array.from({ length: RANKS + kills.length }, (_, index) => `n${index + 1}`);
  const unknown = victims.find((node) => !known.includes(node));
  if (unknown !== undefined) {
    throw new DemoError(`--kill ${unknown}: the nodes of the demo are ${known.join(", ")}`);
  }
  return kills;
}

/** The flags that draw the same again: those that are not as they are by default. */
function replayFlags({ seed, kill, faults, steps, checkpointEvery }: DemoOptions): string {
  const flags = [`--seed ${seed}`];
  if (kill !== undefined) flags.push(`--kill ${kill}`);
  else if (faults !== 1) flags.push(`--faults ${faults}`);
  if (steps !== STEPS) flags.push(`--steps ${steps}`);
  if (checkpointEvery !== CHECKPOINT_EVERY_MS) flags.push(`--checkpoint-every ${checkpointEvery}`);
  return flags.join(" ");
}

async function perform(
  options: DemoOptions,
  kills: readonly Kill[],
  emit: Emit,
  stop: AbortSignal,
): Promise<number> {
  const { seed, steps, keep } = options;
  const workshop = openWorkshop(keep);
  let agents: Agents | null = null;
  try {
    const { folder } = workshop;
    const nodes = RANKS + kills.length;
    const faults = kills.length;
    const replay = replayFlags(options);
    emit({ kind: "begin", seed, nodes, ranks: RANKS, steps, faults, folder, replay });
    const program = join(folder, "train.js");
    const data = join(folder, "digits.bin");
    await Promise.all([layOut(trainingFile, program), layOut(digitsFile, data)]);
    const numbers = { steps, batch: BATCH, seed: TRAINING_SEED };
    const flags = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const place = { ...workshop, ...choosePlace() };
    agents = Agents.start(nodes, place);
    const conductor = new Conductor(
      {
        seed,
        ranks: RANKS,
        steps,
        kills,
        order: {
          argv: [program, "--data", data, ...flags],
          cwd: folder,
          env: {},
          ranks: RANKS,
          checkpointEveryMs: options.checkpointEvery,
        },
      },
      { agents, emit, stop },
    );
    const trained = await conductor.conduct();
    // What the second half is measured by must not have to share the machine.
    await agents.stop();
    const isSound = trained.faulted?.exitCode === 0 && trained.clean?.exitCode === 0;
    const calls = isSound ? await (await CallHome.open(place, emit, stop)).conduct() : null;
    const verdict = judge({ ...trained, calls });
    emit({ kind: "verdict", ...verdict });
    return verdict.exitCode;
  } finally {
    await agents?.stop();
    await workshop.close();
    if (keep) emit({ kind: "note", text: `kept: ${workshop.folder}` });
  }
}

/** As if SIGPIPE had ended it. */
const EXIT_BROKEN_PIPE = 141;

/** Signal → exit code, as shells count them. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

export async function demo(options: DemoOptions): Promise<number> {
  let kills: readonly Kill[];
  try {
    kills = planned(options);
  } catch (error) {
    if (error instanceof DemoError) throw new CliError(error.message, EXIT_USAGE);
    throw error;
  }
  const startMs = performance.now();
  const startWallMs = Date.now();
  const nowMs = (): number => Math.round((performance.now() - startMs) * 1000) / 1000;
  const stop = new AbortController();
  let signalCode: number | null = null;
  for (const [signal, code] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      signalCode ??= code;
      stop.abort();
    });
  }
  // The reader has gone (`holdfast demo | head`): nobody is left to tell, so it ends as after a signal.
  process.stdout.on("error", () => {
    signalCode ??= EXIT_BROKEN_PIPE;
    stop.abort();
  });
  const output: DemoOutput = chooseOutput(options.json, nowMs);
  const emit: Emit = (event, wallMs) =>
    output.tell({ ...event, atMs: wallMs === undefined ? nowMs() : wallMs - startWallMs });
  try {
    const exitCode = await perform(options, kills, emit, stop.signal);
    return signalCode ?? exitCode;
  } catch (error) {
    if (signalCode !== null) return signalCode;
    if (!(error instanceof DemoError)) throw error;
    emit({ kind: "verdict", exitCode: 1, lines: [`FAILED: ${error.message}`] });
    return 1;
  } finally {
    stop.abort();
    output.close();
  }
}

export function demoCommand(): Command {
  return new Command("demo")
    .description("train a model on five agents of this machine, kill a node, and lose nothing")
    .option(
      "--seed <n>",
      "who dies when; the same seed chooses the same",
      wholeNumber(0, 2 ** 32 - 1),
    )
    .option("--kill <node@step>", "choose yourself, such as n3@120; several with commas")
    .option(
      "--faults <k>",
      "how many nodes die, one after the other",
      wholeNumber(1, FAULTS_MAX),
      1,
    )
    .option("--steps <n>", "length of the training", wholeNumber(STEPS_MIN, 100_000), STEPS)
    .option(
      "--checkpoint-every <ms>",
      "time between checkpoints",
      wholeNumber(10, 600_000),
      CHECKPOINT_EVERY_MS,
    )
    .option("--json", "print what happens as JSON lines", false)
    .option("--keep", "keep data folders and logs", false)
    .action(async (given: Omit<DemoOptions, "seed"> & { readonly seed?: number }) => {
      const seed = given.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
      process.exitCode = await demo({ ...given, seed });
    });
}

/** Not for users: what cleans up after a demo that was killed itself. */
export function janitorCommand(): Command {
  return new Command(JANITOR_COMMAND)
    .argument("<mark>")
    .argument("<folders...>")
    .action(async (mark: string, folders: readonly string[]) => {
      await runJanitor(mark, folders);
    });
}
