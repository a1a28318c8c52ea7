/**
 * The commit marks of one job on this node: one file, appended, synced once a version however many shards it has here.
 *
 * A line is `<version> <epoch> <check>`; the check is XXH3-64 of what stands before it. A line that does not match (torn by
 * a crash, flipped) seals nothing: the mark was not acknowledged, or another node has it.
 */
import { type FileHandle, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import type { ShardId } from "../chain.ts";
import { syncFolder } from "./durable.ts";
import { isMissing } from "./io-failure.ts";
import { parseShardFile, shardFile } from "./layout.ts";

/** Marks of shards that are gone stay in the file until there are so many of them. */
const DEAD_LINES_MAX = 1024;

function lineOf(key: string): string {
  const text = key.replace("-", " ").replace(".shard", "");
  return `${text} ${Bun.hash.xxHash3(text).toString(16).padStart(16, "0")}\n`;
}

function keyOfLine(line: string): string | null {
  const [version, epoch] = line.split(" ", 2);
  const key = `${version}-${epoch}.shard`;
  return parseShardFile(key) !== null && lineOf(key) === `${line}\n` ? key : null;
}

export class SealJournal {
  readonly #path: string;
  #sealed: Set<string>;
  #lineCount: number;
  /** The file ends within a line, or might. */
  #isTorn: boolean;

  private constructor(path: string, text: string) {
    this.#path = path;
    const lines = text.split("\n");
    this.#isTorn = text !== "" && lines.at(-1) !== "";
    const keys = lines.map(keyOfLine).filter((key) => key !== null);
    this.#sealed = new Set(keys);
    this.#lineCount = lines.length;
  }

  static async open(path: string): Promise<SealJournal> {
    try {
      return new SealJournal(path, await readFile(path, "latin1"));
    } catch (error) {
      if (isMissing(error)) return new SealJournal(path, "");
      throw error;
    }
  }

  has(id: ShardId): boolean {
    return this.#sealed.has(shardFile(id.version, id.epoch));
  }

  /** Durable once it resolves; throws with nothing sealed. The job's folder exists. */
  async seal(ids: readonly ShardId[]): Promise<void> {
    const keys = ids
      .map((id) => shardFile(id.version, id.epoch))
      .filter((k) => !this.#sealed.has(k));
    if (keys.length === 0) return;
    const text = keys.map(lineOf).join("");
    const handle = await open(this.#path, "a", 0o600);
    try {
      const prefix = this.#isTorn ? "\n" : "";
      this.#isTorn = true;
      await appendAll(handle, prefix + text);
      await handle.datasync();
      this.#isTorn = false;
    } finally {
      await handle.close();
    }
    if (this.#lineCount <= 1) await syncFolder(dirname(this.#path));
    this.#lineCount += keys.length;
    for (const key of keys) this.#sealed.add(key);
  }

  /** Forgets the marks of shards that are no longer here, once there are many. */
  async compact(held: readonly ShardId[]): Promise<void> {
    const keys = new Set(held.map((id) => shardFile(id.version, id.epoch)));
    const live = [...this.#sealed].filter((key) => keys.has(key));
    if (this.#lineCount - live.length <= DEAD_LINES_MAX) return;
    const next = `${this.#path}.tmp`;
    const handle = await open(next, "w", 0o600);
    try {
      await appendAll(handle, live.map(lineOf).join(""));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(next, this.#path);
    await syncFolder(dirname(this.#path));
    this.#sealed = new Set(live);
    this.#lineCount = live.length + 1;
    this.#isTorn = false;
  }
}

async function appendAll(handle: FileHandle, text: string): Promise<void> {
  const bytes = Buffer.from(text, "latin1");
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done);
    done += bytesWritten;
  }
}
