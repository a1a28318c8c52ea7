/**
 * Uploads on disk: what has come of them, and the bundles that are whole.
 *
 *   FOLDER/DIGEST.part        bytes in their order, as far as they have come
 *   FOLDER/DIGEST.tar.zst     whole, its digest right, read as a bundle
 *   FOLDER/DIGEST.json        the offer, how far it is durable, when, in which state; written beside itself and renamed
 *
 * A piece is flushed before its offset is written, and that before it is answered; after a crash a file that is longer is cut back to
 * what was answered, and one that is shorter (a disk that lied) begins anew. Bounds: bytes of one, of all, uploads that are not
 * whole; when the room is used up, whole bundles are kept and new offers refused. Names of files are digests, hence never a path.
 */
import { createHash } from "node:crypto";
import { createReadStream, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { err, ok, type Result } from "../../../../core/result.ts";
import { diskFailure, writeAtomic } from "../../../runtime/io/disk.ts";
import type { Log } from "../../../runtime/log.ts";
import {
  type PieceClaim,
  UPLOAD_BYTES_MAX,
  UPLOAD_EXPIRES_MS,
  type UploadOffer,
  type UploadRefusal,
  uploadRefusal,
  whyNotPiece,
} from "../upload.ts";
import { verifyBundle } from "./read-bundle.ts";

export type UploadState = "partial" | "kept" | "delivered";

export interface Upload extends UploadOffer {
  readonly state: UploadState;
  /** Durable. */
  readonly offset: number;
  readonly begunMs: number;
  /** When it was whole; null: it is not yet. */
  readonly wholeMs: number | null;
}

export interface UploadStoreSettings {
  readonly folder: string;
  /** What a bundle is once it is whole here: with the destination `delivered`, with whoever passes it on `kept`. */
  readonly wholeState: "kept" | "delivered";
  readonly log: Log;
  readonly nowMs: () => number;
  readonly uploadBytesMax?: number;
  /** Of all files together. */
  readonly storeBytesMax?: number;
  /** Uploads that are not whole. */
  readonly partialMax?: number;
  readonly expiresMs?: number;
  /** Once for each bundle that has become whole. */
  readonly onWhole?: (upload: Upload) => void;
}

const STORE_BYTES_MAX = 4 * 1024 * 1024 * 1024;
const PARTIAL_MAX = 64;

const uploadSchema = z.object({
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.number().int().min(1),
  event: z.string().regex(/^[0-9a-f]{64}$/),
  cluster: z.string(),
  node: z.string(),
  state: z.enum(["partial", "kept", "delivered"]),
  offset: z.number().int().min(0),
  begunMs: z.number(),
  wholeMs: z.number().nullable(),
}) satisfies z.ZodType<Upload>;

const META = /^([0-9a-f]{64})\.json$/;

export class UploadStore {
  readonly #settings: UploadStoreSettings;
  readonly #uploads = new Map<string, Upload>();
  /** Digests whose piece is being written. */
  readonly #busy = new Set<string>();

  private constructor(settings: UploadStoreSettings) {
    this.#settings = settings;
  }

  /** Whatever is damaged is set aside and said; it never refuses to open for that. Rejects where the folder cannot be had. */
  static async open(settings: UploadStoreSettings): Promise<UploadStore> {
    mkdirSync(settings.folder, { recursive: true, mode: 0o700 });
    const store = new UploadStore(settings);
    for (const name of readdirSync(settings.folder)) {
      const digest = META.exec(name)?.[1];
      if (digest !== undefined) await store.#load(digest);
    }
    await store.expire();
    return store;
  }

  get uploadBytesMax(): number {
    return this.#settings.uploadBytesMax ?? UPLOAD_BYTES_MAX;
  }

  get expiresMs(): number {
    return this.#settings.expiresMs ?? UPLOAD_EXPIRES_MS;
  }

  of(digest: string): Upload | null {
    return this.#uploads.get(digest) ?? null;
  }

  /** The newest last. */
  whole(): readonly Upload[] {
    return [...this.#uploads.values()]
      .filter(({ state }) => state !== "partial")
      .sort((a, b) => (a.wholeMs ?? 0) - (b.wholeMs ?? 0));
  }

  /** Of a bundle that is whole. */
  pathOf(digest: string): string {
    return join(this.#settings.folder, `${digest}.tar.zst`);
  }

  /** The same offer again finds the upload where it stands. */
  async offer(offer: UploadOffer): Promise<Result<Upload, UploadRefusal>> {
    const known = this.#uploads.get(offer.digest);
    if (known !== undefined) {
      if (known.bytes === offer.bytes && known.event === offer.event) return ok(known);
      const detail = "another bundle was offered with this digest; it has another length or event";
      return err(uploadRefusal("other-offer", detail));
    }
    const full = this.#whyFull(offer.bytes);
    if (full !== null) return err(uploadRefusal("no-room", full));
    const nowMs = this.#settings.nowMs();
    const upload: Upload = { ...offer, state: "partial", offset: 0, begunMs: nowMs, wholeMs: null };
    const failure = await this.#save(upload);
    return failure === null ? ok(upload) : err(failure);
  }

  /** `piece` is in memory; nothing is written before its checksum is right. */
  async put(
    digest: string,
    claim: PieceClaim,
    piece: Uint8Array,
  ): Promise<Result<Upload, UploadRefusal>> {
    const upload = this.#uploads.get(digest);
    if (upload === undefined) return err(uploadRefusal("unknown", "no such upload is known here"));
    if (this.#busy.has(digest)) return err(uploadRefusal("busy", "another piece is being written"));
    const wrong = whyNotPiece(claim, piece.length, upload) ?? whyNotChecksum(claim, piece);
    if (wrong !== null) return err(wrong);
    this.#busy.add(digest);
    try {
      return await this.#append(upload, piece);
    } finally {
      this.#busy.delete(digest);
    }
  }

  async drop(digest: string): Promise<UploadRefusal | null> {
    const upload = this.#uploads.get(digest);
    if (upload === undefined || upload.state !== "partial") {
      return uploadRefusal("unknown", "no unfinished upload of that name is here");
    }
    if (this.#busy.has(digest)) return uploadRefusal("busy", "a piece is being written");
    await this.#remove(digest);
    return null;
  }

  /** Of one that is passed on: the destination has it, and the file is no longer needed. */
  async delivered(digest: string): Promise<void> {
    const upload = this.#uploads.get(digest);
    if (upload === undefined || upload.state !== "kept") return;
    const failure = await this.#save({ ...upload, state: "delivered" });
    if (failure === null) await rm(this.pathOf(digest), { force: true });
  }

  /** Removes uploads that have not become whole in their time, and notes of bundles that were passed on long ago. */
  async expire(): Promise<void> {
    const { wholeState, nowMs, log } = this.#settings;
    for (const upload of [...this.#uploads.values()]) {
      const ageMs = nowMs() - (upload.wholeMs ?? upload.begunMs);
      if (upload.state === "partial" && ageMs > this.expiresMs && !this.#busy.has(upload.digest)) {
        log.say("event", `service data of ${upload.node}: an unfinished upload has expired`);
        await this.#remove(upload.digest);
      }
      const wasPassedOn = upload.state === "delivered" && wholeState === "kept";
      if (wasPassedOn && ageMs > 7 * UPLOAD_EXPIRES_MS) await this.#remove(upload.digest);
    }
  }

  #whyFull(bytes: number): string | null {
    const { storeBytesMax = STORE_BYTES_MAX, partialMax = PARTIAL_MAX } = this.#settings;
    let used = bytes;
    let partialCount = 0;
    for (const upload of this.#uploads.values()) {
      if (upload.state === "partial") partialCount++;
      if (upload.state !== "delivered" || this.#settings.wholeState === "delivered") {
        used += upload.bytes;
      }
    }
    if (partialCount >= partialMax) return `${partialCount} uploads are unfinished already`;
    return used > storeBytesMax ? `bundles may have ${storeBytesMax} bytes here together` : null;
  }

  #partOf(digest: string): string {
    return join(this.#settings.folder, `${digest}.part`);
  }

  #metaOf(digest: string): string {
    return join(this.#settings.folder, `${digest}.json`);
  }

  async #save(upload: Upload): Promise<UploadRefusal | null> {
    const failure = await writeAtomic(this.#metaOf(upload.digest), `${JSON.stringify(upload)}\n`);
    if (failure !== null) return uploadRefusal("no-room", `it cannot be kept: ${failure.detail}`);
    this.#uploads.set(upload.digest, upload);
    return null;
  }

  async #append(upload: Upload, piece: Uint8Array): Promise<Result<Upload, UploadRefusal>> {
    try {
      const file = await open(this.#partOf(upload.digest), upload.offset === 0 ? "w" : "r+", 0o600);
      try {
        let written = 0;
        while (written < piece.length) {
          const at = upload.offset + written;
          const { bytesWritten } = await file.write(piece, written, piece.length - written, at);
          written += bytesWritten;
        }
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (cause) {
      return err(uploadRefusal("no-room", `it cannot be kept: ${diskFailure(cause).detail}`));
    }
    const grown = { ...upload, offset: upload.offset + piece.length };
    if (grown.offset < grown.bytes) {
      const failure = await this.#save(grown);
      return failure === null ? ok(grown) : err(failure);
    }
    return this.#complete(grown);
  }

  async #complete(upload: Upload): Promise<Result<Upload, UploadRefusal>> {
    const { digest } = upload;
    const part = this.#partOf(digest);
    const found = await digestOf(part);
    if (found !== digest) {
      await this.#remove(digest);
      const detail = "the whole is not what was offered; the upload begins anew";
      return err(uploadRefusal("bad-digest", detail));
    }
    const read = await verifyBundle(part);
    const why = read.ok ? whyOther(upload, read.value) : read.error.detail;
    if (why !== null) {
      await this.#remove(digest);
      return err(uploadRefusal("bad-bundle", `what was sent is no bundle: ${why}`));
    }
    try {
      await rename(part, this.pathOf(digest));
    } catch (cause) {
      return err(uploadRefusal("no-room", `it cannot be kept: ${diskFailure(cause).detail}`));
    }
    const { wholeState, nowMs, onWhole, log } = this.#settings;
    const whole: Upload = { ...upload, state: wholeState, wholeMs: nowMs() };
    const failure = await this.#save(whole);
    if (failure !== null) return err(failure);
    const about = `for event ${upload.event.slice(0, 12)}`;
    log.say("event", `service data of ${upload.node} ${about} is here, ${upload.bytes} bytes`);
    onWhole?.(whole);
    return ok(whole);
  }

  async #remove(digest: string): Promise<void> {
    this.#uploads.delete(digest);
    // The note goes last: files without one are never looked at.
    for (const path of [this.#partOf(digest), this.pathOf(digest), this.#metaOf(digest)]) {
      await rm(path, { force: true }).catch(() => undefined);
    }
  }

  async #load(digest: string): Promise<void> {
    const path = this.#metaOf(digest);
    let upload: Upload;
    try {
      upload = uploadSchema.parse(JSON.parse(readFileSync(path, "utf8")));
      if (upload.digest !== digest) throw new Error("it names another digest");
    } catch {
      this.#settings.log.say("fault", `${path} is damaged; set aside as ${path}.bad`);
      await rename(path, `${path}.bad`).catch(() => undefined);
      return;
    }
    if (upload.state !== "partial") {
      const isGone = upload.state === "kept" && sizeOf(this.pathOf(digest)) !== upload.bytes;
      if (!isGone) this.#uploads.set(digest, upload);
      else await this.#remove(digest);
      return;
    }
    await this.#loadPartial(upload);
  }

  async #loadPartial(upload: Upload): Promise<void> {
    // It had become whole, and the crash was before its note was written.
    if (sizeOf(this.pathOf(upload.digest)) === upload.bytes) {
      rmSync(this.#partOf(upload.digest), { force: true });
      await rename(this.pathOf(upload.digest), this.#partOf(upload.digest)).catch(() => undefined);
      await this.#complete({ ...upload, offset: upload.bytes });
      return;
    }
    const size = sizeOf(this.#partOf(upload.digest));
    const offset = size < upload.offset ? 0 : upload.offset;
    this.#uploads.set(upload.digest, { ...upload, offset });
    if (size <= offset) return;
    // Beyond what was answered nothing is sure.
    const file = await open(this.#partOf(upload.digest), "r+").catch(() => null);
    await file?.truncate(offset).catch(() => undefined);
    await file?.close();
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return -1;
  }
}

function whyNotChecksum({ checksum }: PieceClaim, piece: Uint8Array): UploadRefusal | null {
  if (checksum === null) return null;
  const found = createHash(checksum.algorithm).update(piece).digest("base64");
  if (found === checksum.base64) return null;
  return uploadRefusal("bad-checksum", "the piece is not what its checksum says; send it again");
}

function whyOther(
  upload: Upload,
  manifest: { readonly event: string; readonly node: string },
): string | null {
  if (manifest.event !== upload.event) return "its manifest names another event";
  return manifest.node === upload.node ? null : "its manifest names another node";
}

export async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path) as AsyncIterable<Uint8Array>) hash.update(chunk);
  return hash.digest("hex");
}
