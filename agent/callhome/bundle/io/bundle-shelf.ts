/**
 * Bundles of this node on disk: the file, and a note of where it stands.
 *
 *   FOLDER/ID.tar.zst    the bundle        FOLDER/ID.json    its `ShelfEntry`, written beside itself and renamed
 *
 * What was being gathered when the agent ended is noted as failed; a damaged note is set aside. Nothing of it stops the agent.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeAtomic } from "../../../runtime/io/disk.ts";
import type { Log } from "../../../runtime/log.ts";
import { bundleIdSchema } from "../bundle.ts";
import { type ShelfEntry, toRemove } from "../shelf.ts";

const entrySchema: z.ZodType<ShelfEntry> = z.object({
  id: bundleIdSchema,
  event: z.string().regex(/^[0-9a-f]{64}$/),
  state: z.enum([
    "gathering",
    "waiting-for-review",
    "to-send",
    "kept",
    "delivered",
    "discarded",
    "failed",
  ]),
  begunMs: z.number(),
  bytes: z.number().int().min(0),
  digest: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
  detail: z.string(),
  system: z.string(),
  component: z.string(),
  keptBy: z.string().nullable(),
  tries: z.number().int().min(0),
  nextMs: z.number(),
});

const NOTE = /^([0-9a-f]{16}-[0-9]{10,15})\.json$/;

export class BundleShelf {
  readonly #folder: string;
  readonly #log: Log;
  readonly #entries = new Map<string, ShelfEntry>();

  /** Throws where the folder cannot be had. */
  constructor(folder: string, log: Log) {
    this.#folder = folder;
    this.#log = log;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const names = readdirSync(folder);
    for (const name of names)
      if (name.endsWith(".tmp")) rmSync(join(folder, name), { force: true });
    for (const name of names) {
      const id = NOTE.exec(name)?.[1];
      if (id !== undefined) this.#load(id);
    }
  }

  /** The newest last. */
  list(): readonly ShelfEntry[] {
    return [...this.#entries.values()].sort((a, b) => a.begunMs - b.begunMs);
  }

  of(id: string): ShelfEntry | null {
    return this.#entries.get(id) ?? null;
  }

  pathOf(id: string): string {
    return join(this.#folder, `${id}.tar.zst`);
  }

  /** Removed before. */
  workFolderOf(id: string): string {
    return join(this.#folder, `${id}.work`);
  }

  async put(entry: ShelfEntry): Promise<void> {
    this.#entries.set(entry.id, entry);
    const failure = await writeAtomic(this.#noteOf(entry.id), `${JSON.stringify(entry)}\n`);
    if (failure !== null) {
      this.#log.say("fault", `service data ${entry.id} cannot be noted: ${failure.detail}`);
    }
    for (const id of toRemove([...this.#entries.values()])) await this.#remove(id);
  }

  /** The note stays: people see that it was there. */
  async removeFile(id: string): Promise<void> {
    await rm(this.pathOf(id), { force: true }).catch(() => undefined);
  }

  async #remove(id: string): Promise<void> {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    if (entry !== undefined && !["delivered", "discarded", "failed"].includes(entry.state)) {
      const why = "there is no room for more";
      this.#log.say("fault", `service data ${id} is removed before it was delivered: ${why}`);
    }
    await this.removeFile(id);
    await rm(this.#noteOf(id), { force: true }).catch(() => undefined);
  }

  #noteOf(id: string): string {
    return join(this.#folder, `${id}.json`);
  }

  #load(id: string): void {
    const path = this.#noteOf(id);
    try {
      const entry = entrySchema.parse(JSON.parse(readFileSync(path, "utf8")));
      if (entry.id !== id) throw new Error("it names another bundle");
      const isCut = entry.state === "gathering";
      if (isCut) rmSync(this.workFolderOf(id), { recursive: true, force: true });
      const detail = "the agent ended while it was gathered";
      this.#entries.set(id, isCut ? { ...entry, state: "failed", detail } : entry);
    } catch {
      this.#log.say("fault", `${path} is damaged; set aside as ${path}.bad`);
      try {
        renameSync(path, `${path}.bad`);
      } catch {
        // It is looked at again, and said again.
      }
    }
  }
}
