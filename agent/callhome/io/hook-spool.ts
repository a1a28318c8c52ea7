/**
 * A folder in which `holdfast hook` leaves what it cannot deliver, and from which the agent takes it.
 *
 *   <milliseconds since 1970>-<random>.json    the fields of one hook; written beside itself, flushed, renamed
 *
 * A file is removed once its event is on disk, so an agent that is killed in between takes it again and the book knows it: each
 * file has a key. What is no hook is set aside as `.bad`, never in the way of the others.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { realCrypto } from "../../../bmc/ipmi/io/crypto.ts";
import type { DiskFailure } from "../../runtime/disk.ts";
import { randomHex } from "../../runtime/io/clock.ts";
import { diskFailure, writeAtomic } from "../../runtime/io/disk.ts";
import type { Log } from "../../runtime/log.ts";
import { hookEvent, RecentHooks, readHookFields } from "../hook-fields.ts";
import type { EventKeeper } from "./event-keeper.ts";

const SUFFIX = ".json";
const LOOK_EVERY_MS = 5_000;
/** Of one look; the next one goes on. */
const FILES_MAX = 1_000;

/** For `holdfast hook`. The folder is made if it is not there. */
export async function spoolHook(
  folder: string,
  fields: Readonly<Record<string, string>>,
  nowMs: number,
): Promise<DiskFailure | null> {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    return diskFailure(cause);
  }
  const name = `${nowMs}-${randomHex(4)}${SUFFIX}`;
  return writeAtomic(join(folder, name), `${JSON.stringify(fields)}\n`);
}

export interface SpoolParts {
  readonly folder: string;
  readonly keeper: EventKeeper;
  readonly ownSystem: () => string;
  readonly nowMs: () => number;
  readonly log: Log;
}

export class HookSpool {
  readonly #parts: SpoolParts;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #looking: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(parts: SpoolParts) {
    this.#parts = parts;
  }

  /** Looks now, and then every few seconds. */
  begin(): void {
    this.#looking = this.#look().finally(() => {
      if (!this.#isStopped) this.#timer = setTimeout(() => this.begin(), LOOK_EVERY_MS);
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#looking;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const { folder } = this.#parts;
    let names: readonly string[];
    try {
      names = readdirSync(folder).filter((name) => name.endsWith(SUFFIX));
    } catch {
      // Not there yet: nothing was left.
      return;
    }
    for (const name of [...names].sort().slice(0, FILES_MAX)) {
      if (this.#isStopped) return;
      await this.#take(name, join(folder, name));
    }
  }

  async #take(name: string, path: string): Promise<void> {
    const { keeper, log, ownSystem, nowMs } = this.#parts;
    let sent: Readonly<Record<string, unknown>>;
    try {
      sent = JSON.parse(readFileSync(path, "utf8")) as typeof sent;
    } catch (cause) {
      this.#setAside(path, cause instanceof Error ? cause.message : String(cause));
      return;
    }
    // Its name is a key for a file of somebody else's making, too.
    const fields = readHookFields({ key: `spool ${name}`, ...sent });
    if (!fields.ok) {
      this.#setAside(path, fields.error);
      return;
    }
    const setting = { system: ownSystem(), nowMs: nowMs(), sha256: realCrypto.sha256 };
    const event = hookEvent(fields.value, { ...setting, recent: new RecentHooks() });
    const taken = await keeper.take(event);
    if (!taken.ok) return;
    try {
      rmSync(path);
    } catch (cause) {
      log.say("fault", `${path} is taken but cannot be removed (${diskFailure(cause).detail})`);
    }
  }

  #setAside(path: string, why: string): void {
    this.#parts.log.say("fault", `${path} is no hook (${why}); set aside as ${path}.bad`);
    try {
      renameSync(path, `${path}.bad`);
    } catch {
      // It is looked at again, and said again.
    }
  }
}
