/**
 * What a dead agent left running.
 *
 * Each child is noted in a folder, one file a pid: its start time in clock ticks and the boot it belongs to. Whoever cleans up
 * ends the noted processes that still live, and only those: a pid that was given to somebody else has another start time (or
 * another boot), and is left alone. Two clean up: the agent's guard, at once when the agent dies, so that a rank never runs
 * on here while it is started elsewhere; and the next agent at its start. A guard ends only what its own agent (`owner`)
 * had started, in case a new agent is there already.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { killGroup } from "./processes.ts";

interface Note {
  readonly pid: number;
  readonly startTicks: number;
  readonly boot: string;
  /** The agent that started it, as `processOwner` names it. */
  readonly owner: string;
  /** For people: `proxy`, `rank 2 of j-0a1b2c3d`. */
  readonly what: string;
}

/** How long an ended process may take to go; one that hangs in the kernel is left behind and said. */
const GONE_WITHIN_MS = 2_000;

/** Field 22 of `/proc/<pid>/stat`; the name in field 2 may hold spaces and brackets. null: no such process, or a zombie. */
export function startTicksOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return null;
    const ticks = Number(fields[19]);
    return Number.isSafeInteger(ticks) ? ticks : null;
  } catch {
    return null;
  }
}

/** Names this run of this process. */
export function processOwner(): string {
  return `${process.pid}.${startTicksOf(process.pid) ?? 0}`;
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}

export class ProcessNotes {
  readonly #folder: string;
  readonly #owner: string;
  readonly #boot: string = bootId();

  constructor(folder: string, owner: string) {
    this.#folder = folder;
    this.#owner = owner;
  }

  add(pid: number, what: string): void {
    const startTicks = startTicksOf(pid);
    if (startTicks === null) return;
    const note: Note = { pid, startTicks, boot: this.#boot, owner: this.#owner, what };
    try {
      writeFileSync(join(this.#folder, String(pid)), JSON.stringify(note), { mode: 0o600 });
    } catch {
      // Without its note it may outlive a killed agent; proxies and programs also end by themselves then.
    }
  }

  remove(pid: number): void {
    rmSync(join(this.#folder, String(pid)), { force: true });
  }

  /** Ends what this owner started and still lives, but not the caller itself. At once, without waiting. */
  endOwn(): void {
    for (const note of this.#all()) {
      if (note.owner === this.#owner && note.pid !== process.pid) this.#end(note);
    }
  }

  /** Ends whatever still lives, and forgets it all; gives a line for each. */
  async endAll(): Promise<readonly string[]> {
    const said: string[] = [];
    const ending: Note[] = [];
    for (const file of readdirSync(this.#folder)) {
      const note = this.#read(file);
      if (note !== null && this.#end(note)) {
        ending.push(note);
        said.push(`ended ${note.what} (pid ${note.pid}), left by an earlier agent`);
      }
      rmSync(join(this.#folder, file), { force: true, recursive: true });
    }
    const giveUpMs = performance.now() + GONE_WITHIN_MS;
    while (ending.some(isSame) && performance.now() < giveUpMs) await Bun.sleep(5);
    for (const note of ending.filter(isSame)) said.push(`pid ${note.pid} does not end`);
    return said;
  }

  #all(): readonly Note[] {
    return readdirSync(this.#folder)
      .map((file) => this.#read(file))
      .filter((note) => note !== null);
  }

  /** Whether it lived. */
  #end(note: Note): boolean {
    if (note.boot !== this.#boot || !isSame(note)) return false;
    if (!killGroup(note.pid)) killOne(note.pid);
    return true;
  }

  #read(file: string): Note | null {
    try {
      const note = JSON.parse(readFileSync(join(this.#folder, file), "utf8")) as Partial<Note>;
      const isWhole =
        Number.isSafeInteger(note.pid) &&
        (note.pid ?? 0) > 1 &&
        typeof note.startTicks === "number";
      return isWhole ? (note as Note) : null;
    } catch {
      return null;
    }
  }
}

function isSame(note: Note): boolean {
  return startTicksOf(note.pid) === note.startTicks;
}

function killOne(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It went by itself.
  }
}
