/**
 * Kills a process that fills an outbox, again and again, tears what it had not flushed, and looks whether anything is missing
 * that it had acknowledged.
 *
 *   bun test/e2e/callhome-crash/trials.ts --trials 10000 [--seed S]
 *
 * Each trial goes on in the folder that the one before left, with what was torn in it. A trial is one SIGKILL. Prints the seed;
 * exit code 1 and the folder when something is missing.
 */
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { envelopeOf, idOf, openTestOutbox } from "../../../agent/callhome/io/test-outbox.ts";
import { type Prng, prng } from "../../../agent/runtime/prng.ts";

export interface CrashTotals {
  trials: number;
  acknowledged: number;
  /** Tails that were torn or overwritten after the kill. */
  torn: number;
  reopened: number;
}

interface Life {
  readonly kept: number[];
  readonly closing: Set<number>;
  readonly closed: Set<number>;
  end: { readonly segment: string; readonly bytes: number } | null;
  next: number;
}

function read(text: string, life: Life): void {
  for (const line of text.split("\n")) {
    const [word, value, bytes] = line.split(" ");
    const number = Number(value);
    if (word === "kept") life.kept.push(number);
    else if (word === "closing") life.closing.add(number);
    else if (word === "closed") life.closed.add(number);
    else if (word === "end") life.end = { segment: value ?? "", bytes: Number(bytes) };
    if (word === "kept") life.next = Math.max(life.next, number + 1);
  }
}

/** Runs a child until its kill, `afterMs` after it was ready. */
async function live(folder: string, first: number, random: Prng): Promise<Life> {
  const life: Life = { kept: [], closing: new Set(), closed: new Set(), end: null, next: first };
  const script = join(import.meta.dir, "child.ts");
  const appenders = String(1 + random.below(64));
  const child = Bun.spawn([process.execPath, script, folder, String(first), appenders], {
    stdout: "pipe",
    stderr: "inherit",
  });
  // By what it has said, so that a slow machine has as much to lose; by time, so that one that says nothing ends too.
  const afterChars = random.below(30_000);
  const afterMs = 50 + random.unit() * 400;
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of child.stdout) {
    if (text === "") setTimeout(() => child.kill("SIGKILL"), afterMs);
    text += decoder.decode(piece, { stream: true });
    if (text.length > afterChars) child.kill("SIGKILL");
  }
  await child.exited;
  // The last line may be half of one.
  read(text.slice(0, text.lastIndexOf("\n") + 1), life);
  return life;
}

function newestSegment(folder: string): string | undefined {
  return [...new Bun.Glob("*.segment").scanSync({ cwd: folder })].sort().at(-1);
}

/** Does to what was not flushed what a power cut may do: cuts it, writes other bytes over it, leaves zeros or noise behind. */
function tear(folder: string, end: Life["end"], random: Prng): boolean {
  const name = newestSegment(folder);
  // A life that flushed nothing wrote nothing: what lies there is of an earlier one, and on disk.
  if (name === undefined || end === null) return false;
  const path = join(folder, name);
  const bytes = readFileSync(path);
  const sound = end.segment === name ? end.bytes : 0;
  // A segment that nothing was acknowledged in may have gone altogether but for its name.
  const from = end.segment > name ? bytes.length : sound;
  const tail = bytes.length - from;
  const way = random.below(5);
  if (way === 0) return false;
  if (way === 1) truncateSync(path, from + random.below(tail + 1));
  else if (way === 2) appendFileSync(path, Buffer.alloc(random.below(5_000)));
  else if (way === 3) {
    const noise = Buffer.from(Array.from({ length: random.below(500) }, () => random.below(256)));
    appendFileSync(path, noise);
  } else {
    for (let count = random.below(8); count > 0 && tail > 0; count--) {
      bytes[from + random.below(tail)] = random.below(256);
    }
    writeFileSync(path, bytes);
  }
  return true;
}

/** Throws where something acknowledged is missing, or does not read as it was given. */
async function check(folder: string, owed: Map<number, "open" | "maybe">): Promise<number> {
  // What it says of damage is not looked at: a tail whose pages reached the disk in any order has holes like damage has.
  const { outbox, bytesOf } = await openTestOutbox(folder, { segmentBytes: 256 * 1024 });
  const open = new Set(outbox.open().map(({ id }) => id));
  for (const [number, state] of owed) {
    if (state === "open" && !open.has(idOf(number))) throw new Error(`event ${number} is lost`);
    if (state === "maybe" && !open.has(idOf(number))) owed.delete(number);
  }
  const ids = [...open];
  const found = await new Promise<ReadonlyMap<string, Uint8Array>>((resolve) => {
    outbox.read(ids, resolve);
  });
  for (const id of ids) {
    const bytes = found.get(id) ?? (await bytesOf(id));
    if (bytes === undefined || Buffer.compare(bytes, envelopeOf(id)) !== 0) {
      throw new Error(`event ${Number.parseInt(id, 16)} does not read as it was given`);
    }
  }
  await outbox.stop();
  return ids.length;
}

function settle(owed: Map<number, "open" | "maybe">, life: Life): void {
  for (const number of life.kept) owed.set(number, "open");
  for (const number of life.closing) if (owed.has(number)) owed.set(number, "maybe");
}

/** Begins anew once a folder holds so many open events: the check reads them all. */
const OPEN_MAX = 3_000;

export async function runTrials(
  trials: number,
  seed: number,
  onProgress: (totals: CrashTotals) => void = () => undefined,
): Promise<CrashTotals> {
  const random = prng(seed);
  const totals: CrashTotals = { trials: 0, acknowledged: 0, torn: 0, reopened: 0 };
  let folder = "";
  let next = 1;
  const owed = new Map<number, "open" | "maybe">();
  try {
    while (totals.trials < trials) {
      if (folder === "" || owed.size > OPEN_MAX) {
        if (folder !== "") rmSync(folder, { recursive: true, force: true });
        folder = mkdtempSync(join(tmpdir(), "holdfast-crash-"));
        owed.clear();
      }
      const life = await live(folder, next, random);
      // Numbers that were under way may be there too: the next life does not use them again.
      next = life.next + 200;
      settle(owed, life);
      if (tear(folder, life.end, random)) totals.torn++;
      await check(folder, owed);
      totals.trials++;
      totals.reopened++;
      totals.acknowledged += life.kept.length;
      onProgress(totals);
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`trial ${totals.trials + 1} of seed ${seed}: ${why}; the folder is ${folder}`, {
      cause,
    });
  }
  if (folder !== "") rmSync(folder, { recursive: true, force: true });
  return totals;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { trials: { type: "string", default: "300" }, seed: { type: "string" } },
  });
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
  const startMs = performance.now();
  let saidMs = startMs;
  process.stdout.write(`seed ${seed}\n`);
  const totals = await runTrials(Number(values.trials), seed, (now) => {
    if (performance.now() - saidMs < 10_000) return;
    saidMs = performance.now();
    process.stdout.write(`${now.trials} kills, ${now.acknowledged} acknowledged, 0 lost\n`);
  });
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
  process.stdout.write(
    `${totals.trials} kills in ${seconds} s, ${totals.torn} tails torn, ${totals.acknowledged} acknowledged, 0 lost\n`,
  );
}

if (import.meta.main) {
  await main().catch((cause: unknown) => {
    process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`);
    process.exit(1);
  });
}
