/**
 * `holdfast run`: starts a job, shows what its ranks print, and ends with the job's exit code.
 *
 * The job belongs to the cluster, not to this command: when the agent it reads from dies, it reads on at another member, from
 * the line after the last it has shown. Ctrl-C cancels the job; a second one leaves it to itself.
 */
import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { formatCursor, type OutputEvent } from "../job/io/output-stream.ts";
import { readNdjson } from "../net/io/ndjson.ts";
import { PROBLEMS } from "../net/problem.ts";
import { AgentClient, type AgentFlags, agentOption, identityOption } from "./agent-client.ts";
import { CliError, EXIT_BROKEN_PIPE, EXIT_USAGE, isBrokenPipe } from "./cli-error.ts";
import { printJson, printLine } from "./print.ts";

const EXAMPLES = `
The program is started once a rank, on every node in the same folder; a .ts or .js file is run by holdfast itself.
Exit codes: the job's own; 75 when the job was lost and can be resumed; 69 when no agent answers.

Examples:
  holdfast run -n 4 --spares 1 --checkpoint-every 2s -- ./train.ts --epochs 10
  holdfast run -n 2 -e LEARNING_RATE=0.1 -- python3 step.py
  holdfast run -n 8 --detach -- ./solver input.dat
  holdfast run --resume j-0a1b2c3d

A job belongs to the cluster: when this command is killed it goes on, and --resume watches it again.
`;

interface RunOptions extends AgentFlags {
  readonly ranks?: number;
  readonly spares: number;
  readonly checkpointEvery?: number;
  readonly encrypt?: boolean;
  readonly resume?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly detach?: boolean;
  readonly json?: boolean;
}

type Ended = Extract<OutputEvent, { kind: "end" }>;
type StateEvent = Extract<OutputEvent, { kind: "state" }>;

/** No agent of the cluster answers for so long: then this command gives up, not the job. */
const GIVE_UP_MS = 30_000;
const RETRY_MS = 200;
const EXIT_INTERRUPTED = 130;

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const unit = UNITS[match?.[2] ?? ""];
  if (match === null || unit === undefined) {
    throw new InvalidArgumentError("must be a time such as 500ms, 2s or 5m");
  }
  return Number(match[1]) * unit;
}

function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= 65_536) return value;
    throw new InvalidArgumentError(`must be a whole number from ${least} to 65536`);
  };
}

function environment(text: string, previous: Readonly<Record<string, string>> | undefined) {
  const equals = text.indexOf("=");
  const name = equals === -1 ? text : text.slice(0, equals);
  const value = equals === -1 ? process.env[name] : text.slice(equals + 1);
  if (name === "" || value === undefined) {
    throw new InvalidArgumentError("must be NAME=VALUE, or the NAME of a variable that is set");
  }
  return { ...previous, [name]: value };
}

async function submit(
  client: AgentClient,
  argv: readonly string[],
  options: RunOptions,
): Promise<string> {
  if (options.resume !== undefined) {
    if (argv.length > 0) throw new CliError("--resume takes no program: it is known", EXIT_USAGE);
    const path = `/v1/jobs/${encodeURIComponent(options.resume)}/resume`;
    return (await client.post<{ readonly job: string }>(path, {})).job;
  }
  if (argv.length === 0) {
    throw new CliError("no program is given: holdfast run -n 4 -- PROGRAM ARGS", EXIT_USAGE);
  }
  const order = {
    argv,
    cwd: resolve(options.cwd ?? "."),
    env: options.env ?? {},
    ranks: options.ranks ?? 1,
    spares: options.spares,
    checkpointEveryMs: options.checkpointEvery ?? null,
    isEncrypted: options.encrypt === true,
  };
  return (await client.post<{ readonly job: string }>("/v1/jobs", order)).job;
}

/** Shows a job until it is over. */
class Follower {
  readonly #client: AgentClient;
  readonly #job: string;
  readonly #isJson: boolean;
  readonly #cursor = new Map<string, number>();
  #ended: Ended | null = null;
  /** Epoch it was last seen running under; 0 before. Its first start is a recovery too, and not worth a line. */
  #ranUnder = 0;

  constructor(client: AgentClient, job: string, isJson: boolean) {
    this.#client = client;
    this.#job = job;
    this.#isJson = isJson;
  }

  async follow(signal: AbortSignal): Promise<Ended> {
    let heardMs = performance.now();
    for (;;) {
      try {
        const after = formatCursor(this.#cursor);
        const path = `/v1/jobs/${this.#job}/output?after=${after}`;
        const response = await this.#client.stream(path, signal);
        void this.#client.learnMembers();
        for await (const value of readNdjson(response)) {
          heardMs = performance.now();
          this.#show(value as OutputEvent);
        }
        if (this.#ended !== null) return this.#ended;
      } catch (error) {
        signal.throwIfAborted();
        if (performance.now() - heardMs > GIVE_UP_MS) throw this.#giveUp(error);
      }
      // The agent has gone, or does not know of the job yet.
      this.#client.turn();
      await Bun.sleep(RETRY_MS);
    }
  }

  #giveUp(error: unknown): CliError {
    const why = error instanceof CliError ? error.message : "the stream broke";
    return new CliError(
      `${this.#job} cannot be followed: ${why}`,
      PROBLEMS.unreachable.exitCode,
      `the job may go on; ask a living agent with holdfast job show ${this.#job} --agent ADDRESS:PORT`,
    );
  }

  #show(event: OutputEvent): void {
    if (event.kind === "line") {
      // Two readers of one node may overlap for a moment.
      if (event.seq <= (this.#cursor.get(event.node) ?? 0)) return;
      this.#cursor.set(event.node, event.seq);
    }
    if (event.kind === "end") this.#ended = event;
    if (this.#isJson) printJson(event);
    else this.#print(event);
  }

  #printState({ state, epoch, placement, what }: StateEvent): void {
    if (state === "recovering" && this.#ranUnder > 0) {
      say(`${this.#job} recovers, epoch ${epoch}: ${what}`);
    }
    if (state !== "running") return;
    // Also said when the recovery itself was missed, because the agent that was read from died in it.
    if (this.#ranUnder > 0 && this.#ranUnder < epoch) {
      say(`${this.#job} goes on, epoch ${epoch}, on ${placement.join(", ")}`);
    }
    this.#ranUnder = epoch;
  }

  #print(event: OutputEvent): void {
    switch (event.kind) {
      case "line": {
        const out = event.stream === "stdout" ? process.stdout : process.stderr;
        out.write(`[${event.rank}] ${event.text}\n`);
        break;
      }
      case "gap":
        say(`${event.lost} lines of ${event.node} came too fast to be shown`);
        break;
      case "state":
        this.#printState(event);
        break;
      case "frozen":
        if (event.reason === null) say("a quorum is back");
        else say(`${this.#job} is frozen until nodes come back: ${event.reason}`);
        break;
      case "end":
        if (event.verdict !== null && event.exitCode !== 0) say(event.verdict);
        break;
    }
  }
}

function say(text: string): void {
  process.stderr.write(`holdfast: ${text}\n`);
}

async function cancel(client: AgentClient, job: string): Promise<void> {
  for (let attempt = 0; attempt < client.memberCount; attempt++) {
    try {
      await client.post(`/v1/jobs/${job}/cancel`, {});
      return;
    } catch {
      client.turn();
    }
  }
}

function onInterrupt(client: AgentClient, job: string, stop: AbortController): void {
  let isCancelling = false;
  const interrupt = (): void => {
    if (isCancelling) {
      stop.abort();
      return;
    }
    isCancelling = true;
    say(`cancelling ${job}; again to leave it to itself`);
    void cancel(client, job);
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
}

/** Whoever read our output has gone, which is no reason to end the job. */
function leaveToItself(job: string): never {
  const remedy = `watch it again with holdfast run --resume ${job}, end it with holdfast job cancel ${job}`;
  say(`nobody reads the output; ${job} goes on; ${remedy}`);
  process.exit(EXIT_BROKEN_PIPE);
}

function exitCodeOf(ended: Ended): number {
  if (ended.state === "lost") return PROBLEMS.frozen.exitCode;
  return ended.exitCode ?? 1;
}

async function run(argv: readonly string[], options: RunOptions): Promise<number> {
  const client = new AgentClient(options);
  const isJson = options.json === true;
  const job = await submit(client, argv, options);
  if (isJson) printJson({ kind: "job", job });
  if (options.detach === true) {
    if (!isJson) printLine(job);
    return 0;
  }
  if (!isJson) say(`job ${job}`);
  await client.learnMembers();
  const stop = new AbortController();
  onInterrupt(client, job, stop);
  // A broken pipe is told by an event, or thrown where it is written to.
  process.stdout.on("error", (error) => {
    if (isBrokenPipe(error)) leaveToItself(job);
    throw error;
  });
  try {
    return exitCodeOf(await new Follower(client, job, isJson).follow(stop.signal));
  } catch (error) {
    if (stop.signal.aborted) return EXIT_INTERRUPTED;
    if (isBrokenPipe(error)) leaveToItself(job);
    throw error;
  }
}

export function runCommand(): Command {
  return new Command("run")
    .description("run a program on several nodes, and keep it alive")
    .argument("[program...]", "program and its arguments, after --")
    .option("-n, --ranks <count>", "how many programs, one a node (default 1)", wholeNumber(1))
    .option("--spares <count>", "nodes to be kept free for this job", wholeNumber(0), 0)
    .option("--checkpoint-every <time>", "least time between checkpoints", parseDuration)
    .option("--encrypt", "encrypt what the nodes of the job say to each other")
    .option("--resume <job>", "go on with a job that was lost, from its sealed states")
    .option("-e, --env <name=value>", "variable for the program; may be repeated", environment)
    .option("--cwd <folder>", "folder to run in on every node (default: this one)")
    .addOption(agentOption())
    .addOption(identityOption())
    .option("--detach", "print the job's id and end at once")
    .option("--json", "print what happens as JSON lines")
    .addHelpText("after", EXAMPLES)
    .passThroughOptions()
    .action(async (argv: readonly string[], options: RunOptions) => {
      process.exitCode = await run(argv, options);
      // The listeners for signals would keep this process alive.
      process.exit();
    });
}
