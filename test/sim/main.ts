/**
 * The simulator's command: `npm run sim -- --histories 1000 --seed S [--nodes 5] [--seconds 60] [--scenario NAME]`.
 *
 * Runs histories seed, seed + 1, … and stops at the first that fails, with its event log and the one line that replays it.
 * Many histories are shared out over two processes, one a core. Exit code: 0 all passed, 127 a crash of decision code,
 * 128 no progress, 129 something wrong.
 */
import { parseArgs } from "node:util";
import { type HistoryResult, runHistory, SCENARIOS, type ScenarioName } from "./history.ts";
import { EXIT_CODES } from "./world/violation.ts";

const WORKERS = 2;
/** Below this the start of a second process costs more than it brings. */
const SHARED_FROM = 40;
const PROGRESS_EVERY_MS = 1_000;
/** Lines of the event log that are shown of a failure; `--log` shows all. */
const LOG_LINES_SHOWN = 200;

const HELP = `usage: npm run sim -- [options]

  --histories N   how many (default 100)
  --seed S        of the first one; default: drawn, and printed
  --nodes N       of a cluster, 3 … 7 (default 5)
  --seconds N     simulated in each (default 60)
  --scenario NAME ${SCENARIOS.join(", ")} (default mixed)
  --keep-going    count failures by rule instead of stopping at the first
  --log           print the whole event log of a history that passes or fails
  --workers N     processes (default ${WORKERS} from ${SHARED_FROM} histories on)
`;

interface Options {
  readonly histories: number;
  readonly seed: number;
  readonly nodes: number;
  readonly seconds: number;
  readonly scenario: ScenarioName;
  readonly keepGoing: boolean;
  readonly log: boolean;
  readonly workers: number;
  /** As a worker process: report each history as a line of JSON. */
  readonly json: boolean;
  /** Every how many seeds; a worker takes every n-th. */
  readonly stride: number;
}

type Summary = Omit<HistoryResult, "lines">;

interface Totals {
  done: number;
  events: number;
  faults: number;
  rollbacks: number;
  seals: number;
  epochs: number;
  settledMsMax: number;
  hash: number;
  readonly failures: Map<string, Summary[]>;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      histories: { type: "string", default: "100" },
      seed: { type: "string" },
      nodes: { type: "string", default: "5" },
      seconds: { type: "string", default: "60" },
      scenario: { type: "string", default: "mixed" },
      "keep-going": { type: "boolean", default: false },
      log: { type: "boolean", default: false },
      workers: { type: "string" },
      json: { type: "boolean", default: false },
      stride: { type: "string", default: "1" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const histories = readNumber("histories", values.histories, 1, 10_000_000);
  const scenario = SCENARIOS.find((name) => name === values.scenario);
  if (scenario === undefined) {
    refuse(`--scenario ${values.scenario}: one of ${SCENARIOS.join(", ")}`);
  }
  const seed = values.seed ?? String(Math.floor(Math.random() * 1_000_000_000));
  const workers = values.workers ?? String(histories >= SHARED_FROM ? WORKERS : 1);
  return {
    histories,
    seed: readNumber("seed", seed, 0, 2 ** 32 - 1),
    nodes: readNumber("nodes", values.nodes, 3, 7),
    seconds: readNumber("seconds", values.seconds, 10, 3_600),
    scenario,
    keepGoing: values["keep-going"],
    log: values.log,
    workers: readNumber("workers", workers, 1, 64),
    json: values.json,
    stride: readNumber("stride", values.stride, 1, 64),
  };
}

function readNumber(name: string, text: string, min: number, max: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  return refuse(`--${name} ${text}: a whole number from ${min} to ${max}`);
}

function refuse(text: string): never {
  process.stderr.write(`sim: ${text}\n`);
  process.exit(2);
}

function replayLine(options: Options, seed: number): string {
  const parts = [`npm run sim -- --histories 1 --seed ${seed}`];
  if (options.nodes !== 5) parts.push(`--nodes ${options.nodes}`);
  if (options.seconds !== 60) parts.push(`--seconds ${options.seconds}`);
  if (options.scenario !== "mixed") parts.push(`--scenario ${options.scenario}`);
  return parts.join(" ");
}

function run(options: Options, seed: number, keepLines: boolean): HistoryResult {
  const { nodes, seconds, scenario } = options;
  return runHistory({ seed, nodes, seconds, scenario, keepLines });
}

/** A worker's life: its share of the seeds, a line each. */
function work(options: Options): void {
  for (let i = 0; i < options.histories; i++) {
    const { lines: _, ...summary } = run(options, options.seed + i * options.stride, false);
    process.stdout.write(`${JSON.stringify(summary)}\n`);
    if (summary.failure !== null && !options.keepGoing) return;
  }
}

function count(totals: Totals, result: Summary): void {
  totals.done++;
  totals.events += result.events;
  totals.faults += result.faults;
  totals.rollbacks += result.rollbacks;
  totals.seals += result.seals;
  totals.epochs += result.epochs;
  totals.settledMsMax = Math.max(totals.settledMsMax, result.settledMs ?? 0);
  // Order does not count: workers finish as they like.
  totals.hash = (totals.hash + Number.parseInt(result.hash.slice(0, 8), 16)) >>> 0;
  if (result.failure === null) return;
  const rule = `${result.failure.kind}: ${result.failure.rule}`;
  totals.failures.set(rule, [...(totals.failures.get(rule) ?? []), result]);
}

function showProgress(totals: Totals, options: Options, startMs: number): void {
  const seconds = Math.max(0.001, (performance.now() - startMs) / 1_000);
  const failed = [...totals.failures.values()].reduce((sum, list) => sum + list.length, 0);
  const line = `${totals.done}/${options.histories} histories, ${(totals.done / seconds).toFixed(1)}/s, ${failed} failed`;
  if (process.stderr.isTTY) process.stderr.write(`\r${line}\u001b[K`);
  else process.stderr.write(`${line}\n`);
}

/** A history takes tens of milliseconds; one that says nothing for so long is in a loop of decision code. */
const HANG_MS = 30_000;

interface Child {
  readonly process: Bun.Subprocess<"ignore", "pipe", "inherit">;
  /** Seed of the history it is at. */
  seed: number;
  heardMs: number;
}

function startChild(options: Options, index: number): Child {
  const mine = Math.ceil((options.histories - index) / options.workers);
  const seed = options.seed + index;
  const args = [
    ...["--histories", String(mine), "--seed", String(seed), "--stride", String(options.workers)],
    ...["--nodes", String(options.nodes), "--seconds", String(options.seconds)],
    ...["--scenario", options.scenario, "--json", ...(options.keepGoing ? ["--keep-going"] : [])],
  ];
  const command = [process.execPath, import.meta.path, ...args];
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  return { process: child, seed, heardMs: performance.now() };
}

async function share(options: Options, totals: Totals, onCount: () => void): Promise<void> {
  const children = Array.from({ length: options.workers }, (_, i) => startChild(options, i));
  const isOver = (): boolean => totals.failures.size > 0 && !options.keepGoing;
  const onSummary = (child: Child, summary: Summary): void => {
    child.seed = summary.seed + options.workers;
    child.heardMs = performance.now();
    count(totals, summary);
    onCount();
    if (isOver()) for (const other of children) other.process.kill();
  };
  const watch = setInterval(() => {
    for (const child of children) {
      if (child.process.exitCode !== null || performance.now() - child.heardMs < HANG_MS) continue;
      child.process.kill("SIGKILL");
      onSummary(child, hung(child.seed));
      // What this child had left is not run: a loop is looked at first.
      child.heardMs = Number.POSITIVE_INFINITY;
    }
  }, 1_000);
  await Promise.all(children.map((child) => listen(child, onSummary)));
  clearInterval(watch);
  const bad = children.find((child) => child.process.exitCode !== 0 && totals.failures.size === 0);
  if (bad !== undefined) throw new Error(`the worker at seed ${bad.seed} ended by itself`);
}

async function listen(
  child: Child,
  onSummary: (child: Child, summary: Summary) => void,
): Promise<void> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.process.stdout) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onSummary(child, JSON.parse(line) as Summary);
  }
  await child.process.exited;
}

function hung(seed: number): Summary {
  const text = `nothing was heard of the history for ${HANG_MS / 1_000} s: decision code is in a loop`;
  const failure = { kind: "crash", rule: "hang", text } as const;
  const none = { events: 0, epochs: 0, faults: 0, rollbacks: 0, seals: 0, settledMs: null };
  return { seed, hash: "", failure, ...none };
}

function showFailure(options: Options, failed: Summary): void {
  if (failed.failure?.rule === "hang") {
    process.stdout.write(`${failed.failure.text}\nreplay: ${replayLine(options, failed.seed)}\n`);
    return;
  }
  const again = run(options, failed.seed, true);
  const shown = options.log ? again.lines : again.lines.slice(-LOG_LINES_SHOWN);
  if (shown.length < again.lines.length) {
    process.stdout.write(`… ${again.lines.length - shown.length} lines before (--log shows all)\n`);
  }
  for (const line of shown) process.stdout.write(`${line}\n`);
  if (again.hash !== failed.hash) {
    process.stdout.write("NOT THE SAME HISTORY: the replay has another hash\n");
  }
  process.stdout.write(
    `\n${failed.failure?.kind}: ${failed.failure?.rule}\n${failed.failure?.text}\n`,
  );
  process.stdout.write(`replay: ${replayLine(options, failed.seed)}\n`);
}

function showSummary(totals: Totals, options: Options, startMs: number): void {
  const seconds = (performance.now() - startMs) / 1_000;
  const rate = totals.done / seconds;
  process.stdout.write(
    `${totals.done} histories of ${options.nodes} nodes × ${options.seconds} s in ${seconds.toFixed(1)} s (${rate.toFixed(1)}/s): ` +
      `${totals.events} events, ${totals.faults} faults, ${totals.epochs} epochs, ${totals.rollbacks} rollbacks, ${totals.seals} seals; ` +
      `well again within ${(totals.settledMsMax / 1_000).toFixed(1)} s; hash ${totals.hash.toString(16).padStart(8, "0")}\n`,
  );
  for (const [rule, list] of totals.failures) {
    const seeds = list.slice(0, 8).map((failed) => failed.seed);
    process.stdout.write(`  ${list.length} × ${rule} (seeds ${seeds.join(", ")})\n`);
  }
}

function noTotals(): Totals {
  const none = { done: 0, events: 0, faults: 0, rollbacks: 0, seals: 0, epochs: 0 };
  return { ...none, settledMsMax: 0, hash: 0, failures: new Map() };
}

function runHere(options: Options, totals: Totals, onCount: () => void): void {
  for (let i = 0; i < options.histories; i++) {
    const { lines, ...summary } = run(options, options.seed + i, options.log);
    if (options.log && summary.failure === null) process.stdout.write(`${lines.join("\n")}\n`);
    count(totals, summary);
    onCount();
    if (summary.failure !== null && !options.keepGoing) break;
  }
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options.json) {
    work(options);
    return 0;
  }
  const startMs = performance.now();
  process.stderr.write(`seed ${options.seed}\n`);
  const totals = noTotals();
  let shownMs = startMs;
  const onCount = () => {
    if (performance.now() - shownMs < PROGRESS_EVERY_MS) return;
    shownMs = performance.now();
    showProgress(totals, options, startMs);
  };
  if (options.workers > 1) await share(options, totals, onCount);
  else runHere(options, totals, onCount);
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
  const first = [...totals.failures.values()].flat().sort((a, b) => a.seed - b.seed)[0];
  if (first !== undefined && !options.keepGoing) showFailure(options, first);
  showSummary(totals, options, startMs);
  return first?.failure == null ? 0 : EXIT_CODES[first.failure.kind];
}

process.exit(await main());
