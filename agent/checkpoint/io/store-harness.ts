/**
 * For the tests and benchmarks of the store: regions in a temporary folder, commands awaited by their token, a model of what
 * a version must read as.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Epoch, NodeId } from "../../membership/membership.ts";
import type {
  Holding,
  RegionFile,
  ShardSource,
  StoreCommand,
  StoreEvent,
  Version,
} from "../checkpoint.ts";

export function version(count: number): Version {
  return count as Version;
}

export function epoch(count: number): Epoch {
  return count as Epoch;
}

export function sourceAt(node: string, url: string): ShardSource {
  return { node: node as NodeId, url };
}

export class TemporaryFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), "holdfast-store-"));

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    this.remove();
  }
}

/** The part of `Store` and `StoreClient` that commands go through. */
export interface Executor {
  execute(command: StoreCommand): void;
}

type WithoutToken<T> = T extends { readonly token: number } ? Omit<T, "token"> : never;
export type Ask = WithoutToken<StoreCommand>;
export type Answer = Extract<StoreEvent, { kind: "done" | "failed" }>;

/** Gives tokens, and pairs answers with questions. */
export class StoreAsker {
  readonly #store: Executor;
  readonly #answers = new Map<number, (answer: Answer) => void>();
  readonly #captured = new Map<number, () => void>();
  #token = 0;
  /** The newest of each job. */
  readonly told: Map<string, readonly Holding[]> = new Map();

  constructor(store: Executor) {
    this.#store = store;
  }

  hear(event: StoreEvent): void {
    if (event.kind === "holdings") this.told.set(event.job, event.holdings);
    else if (event.kind === "captured") this.#captured.get(event.token)?.();
    else this.#answers.get(event.token)?.(event);
  }

  ask(command: Ask): Promise<Answer> {
    return this.begin(command).answer;
  }

  begin(command: Ask): { readonly captured: Promise<void>; readonly answer: Promise<Answer> } {
    const token = ++this.#token;
    const captured = new Promise<void>((resolve) => this.#captured.set(token, resolve));
    const answer = new Promise<Answer>((resolve) => this.#answers.set(token, resolve));
    this.#store.execute({ ...command, token } as StoreCommand);
    return { captured, answer };
  }

  /** Throws unless it is done. */
  async must(command: Ask): Promise<number> {
    const answer = await this.ask(command);
    if (answer.kind === "done") return answer.bytes;
    throw new Error(`${command.kind} failed: ${answer.failure}: ${answer.detail}`);
  }
}

/** Region files of one rank. */
export class Regions {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  write(contents: Readonly<Record<string, Uint8Array>>): readonly RegionFile[] {
    return Object.entries(contents).map(([name, bytes]) => {
      const path = this.pathOf(name);
      writeFileSync(path, bytes, { flag: "w" });
      return { name, path, bytes: bytes.length };
    });
  }

  pathOf(name: string): string {
    return join(this.folder, encodeURIComponent(name));
  }

  read(name: string): Uint8Array {
    return new Uint8Array(readFileSync(this.pathOf(name)));
  }
}

/** Resolves once it holds; throws when it does not within the limit. */
export async function until(what: string, holds: () => boolean, withinMs = 10_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await Bun.sleep(2);
  }
}

/** Bytes without a pattern, the same for the same seed. */
export function noise(bytes: number, seed: number): Uint8Array {
  const out = new Uint8Array(bytes);
  let x = (Math.imul(seed, 2_654_435_761) + 1) >>> 0;
  for (let i = 0; i < bytes; i++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    out[i] = x >>> 24;
  }
  return out;
}

const CRASH_STATE = noise(3_000_000, 1);

/** What the state of the crash test is at a version: a few stretches differ from the version before, now and then most. */
export function contentsAt(count: number): Uint8Array {
  const out = CRASH_STATE.slice();
  for (let at = Math.max(1, count - 20); at <= count; at++) {
    const from = (Math.imul(at, 7_919_113) >>> 0) % out.length;
    out.fill(at, from, from + (at % 7 === 0 ? 2_000_000 : 9000));
  }
  return out;
}

/** A file system of 8 MiB; null when this user may not mount one. */
export function smallDisk(at: string): { unmount: () => void } | null {
  mkdirSync(at, { recursive: true });
  const mount = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", at]);
  if (mount.exitCode !== 0) return null;
  return { unmount: () => Bun.spawnSync(["umount", at]) };
}

export function canMount(): boolean {
  using folder = new TemporaryFolder();
  try {
    const disk = smallDisk(join(folder.path, "disk"));
    disk?.unmount();
    return disk !== null;
  } catch {
    return false;
  }
}
