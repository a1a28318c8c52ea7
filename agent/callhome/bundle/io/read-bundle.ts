/**
 * Reads a bundle that somebody else made: checked to the last byte before anything of it is believed.
 *
 * Refused, each by its own kind: what zstd or tar do not take, names and types that a bundle never has, a manifest that is missing,
 * wrong or not first, files that it does not name, digests that are not its own, more than the limits (a small file may unpack to
 * terabytes). Extracting writes into a fresh folder, files of mode 0600, under names that cannot lead out of it.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createZstdDecompress } from "node:zlib";
import { err, ok, type Result } from "../../../../core/result.ts";
import { MANIFEST_NAME, type Manifest, manifestSchema } from "../bundle.ts";
import { type TarError, type TarEvent, TarReader } from "../ustar.ts";

export type BundleError =
  | TarError
  | { readonly kind: "unreadable"; readonly detail: string }
  | { readonly kind: "no-zstd"; readonly detail: string }
  | { readonly kind: "bad-manifest"; readonly detail: string }
  | { readonly kind: "not-named"; readonly detail: string }
  | { readonly kind: "bad-digest"; readonly detail: string };

export interface BundleLimits {
  /** Unpacked. */
  readonly bytesMax: number;
  readonly membersMax: number;
}

/** The plan's 50 MiB and its manifest, with room for plans of later versions. */
export const BUNDLE_LIMITS: BundleLimits = { bytesMax: 256 * 1024 * 1024, membersMax: 256 };

const MANIFEST_BYTES_MAX = 1024 * 1024;

class Reading {
  readonly #folder: string | null;
  readonly #tar: TarReader;
  readonly #left = new Map<string, { readonly bytes: number; readonly sha256: string }>();
  readonly #manifestParts: Uint8Array[] = [];
  #manifest: Manifest | null = null;
  #name = "";
  #bytes = 0;
  #hash: Hash = createHash("sha256");
  #file: FileHandle | null = null;

  constructor(folder: string | null, limits: BundleLimits) {
    this.#folder = folder;
    this.#tar = new TarReader(limits);
  }

  async push(chunk: Uint8Array): Promise<BundleError | null> {
    const events = this.#tar.push(chunk);
    if (!events.ok) return events.error;
    for (const event of events.value) {
      const error = await this.#take(event);
      if (error !== null) return error;
    }
    return null;
  }

  end(): Result<Manifest, BundleError> {
    const cut = this.#tar.end();
    if (cut !== null) return err(cut);
    if (this.#manifest === null) {
      return err({ kind: "bad-manifest", detail: `it has no ${MANIFEST_NAME}` });
    }
    const [missing] = this.#left.keys();
    if (missing === undefined) return ok(this.#manifest);
    return err({ kind: "not-named", detail: `the manifest names ${missing}, which is not there` });
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
  }

  #take(event: TarEvent): Promise<BundleError | null> | BundleError | null {
    switch (event.kind) {
      case "member":
        return this.#begin(event.member.name, event.member.bytes);
      case "bytes":
        return this.#more(event.bytes);
      case "whole":
        return this.#whole();
    }
  }

  async #begin(name: string, bytes: number): Promise<BundleError | null> {
    this.#name = name;
    this.#bytes = bytes;
    this.#hash = createHash("sha256");
    if (this.#manifest === null) {
      if (name !== MANIFEST_NAME) {
        return { kind: "bad-manifest", detail: `${name} comes before ${MANIFEST_NAME}` };
      }
      if (bytes > MANIFEST_BYTES_MAX) {
        return { kind: "bad-manifest", detail: `the manifest has ${bytes} bytes` };
      }
    } else if (!this.#left.has(name)) {
      return { kind: "not-named", detail: `${name} is not in the manifest` };
    }
    if (this.#folder === null) return null;
    const path = join(this.#folder, name);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    this.#file = await open(path, "wx", 0o600);
    return null;
  }

  async #more(bytes: Uint8Array): Promise<BundleError | null> {
    this.#hash.update(bytes);
    if (this.#manifest === null) this.#manifestParts.push(bytes.slice());
    await this.#file?.write(bytes);
    return null;
  }

  async #whole(): Promise<BundleError | null> {
    await this.close();
    if (this.#manifest === null) return this.#readManifest();
    const named = this.#left.get(this.#name);
    this.#left.delete(this.#name);
    if (named?.bytes === this.#bytes && named.sha256 === this.#hash.digest("hex")) return null;
    return { kind: "bad-digest", detail: `${this.#name} is not what the manifest says` };
  }

  #readManifest(): BundleError | null {
    let document: unknown;
    try {
      document = JSON.parse(Buffer.concat(this.#manifestParts).toString("utf8"));
    } catch {
      return { kind: "bad-manifest", detail: "the manifest is no JSON" };
    }
    const parsed = manifestSchema.safeParse(document);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const detail = `the manifest: ${issue?.path.join(".")}: ${issue?.message}`;
      return { kind: "bad-manifest", detail };
    }
    this.#manifest = parsed.data;
    for (const { name, bytes, sha256 } of parsed.data.items) {
      if (sha256 !== null) this.#left.set(name, { bytes, sha256 });
    }
    return null;
  }
}

async function readThrough(
  path: string,
  folder: string | null,
  limits: BundleLimits,
): Promise<Result<Manifest, BundleError>> {
  const reading = new Reading(folder, limits);
  const source = createReadStream(path);
  const plain = createZstdDecompress();
  source.on("error", (cause) => plain.destroy(cause));
  try {
    for await (const chunk of source.pipe(plain) as AsyncIterable<Uint8Array>) {
      const error = await reading.push(chunk);
      if (error !== null) return err(error);
    }
    return reading.end();
  } catch (cause) {
    const { code, message } = cause as { code?: string; message?: string };
    if (code !== undefined && /^(?:E[A-Z]+)$/.test(code)) {
      return err({ kind: "unreadable", detail: `${path}: ${code}` });
    }
    return err({ kind: "no-zstd", detail: `it is no whole zstd file (${code ?? message})` });
  } finally {
    source.destroy();
    plain.destroy();
    await reading.close();
  }
}

/** Whether it is whole and says the truth about itself. */
export function verifyBundle(
  path: string,
  limits: BundleLimits = BUNDLE_LIMITS,
): Promise<Result<Manifest, BundleError>> {
  return readThrough(path, null, limits);
}

/** `folder` is made and must not be there: nothing is overwritten. What was written before an error stays, to be looked at. */
export async function extractBundle(
  path: string,
  folder: string,
  limits: BundleLimits = BUNDLE_LIMITS,
): Promise<Result<Manifest, BundleError>> {
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (cause) {
    const code = (cause as { code?: string }).code ?? "unknown";
    return err({ kind: "unreadable", detail: `${folder} cannot be made (${code})` });
  }
  return readThrough(path, folder, limits);
}
