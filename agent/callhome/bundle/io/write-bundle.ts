/**
 * Writes a bundle: tar through zstd into one file, flushed, renamed into place; the same items give the same bytes.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Transform } from "node:stream";
import { finished } from "node:stream/promises";
import { constants, createZstdCompress } from "node:zlib";
import { MANIFEST_NAME, type Manifest } from "../bundle.ts";
import { encodeTarHeader, paddingOf, TAR_END } from "../ustar.ts";

/** Logs shrink to a tenth at 100 MB/s and more; higher levels cost seconds of a node that is in trouble. */
const ZSTD_LEVEL = 6;

export interface BundlePart {
  /** As in the manifest. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  readonly takenAtMs: number;
}

export interface WrittenBundle {
  readonly bytes: number;
  /** SHA-256, 64 hex digits. */
  readonly digest: string;
}

/** Backpressure without a stream of our own: chunks go in, and wait while the compressor has enough. */
class Compressor {
  readonly #zstd = createZstdCompress({
    params: {
      [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
  readonly #hash = createHash("sha256");
  readonly #done: Promise<void>;
  #bytes = 0;

  constructor(path: string) {
    const count = new Transform({
      transform: (chunk: Uint8Array, _, done) => {
        this.#hash.update(chunk);
        this.#bytes += chunk.length;
        done(null, chunk);
      },
    });
    const file = createWriteStream(path, { mode: 0o600, flush: true });
    this.#zstd.on("error", (cause) => file.destroy(cause));
    this.#done = finished(this.#zstd.pipe(count).pipe(file));
    // Looked at once the end was written.
    this.#done.catch(() => undefined);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0 || this.#zstd.write(bytes)) return;
    // A full disk ends the file, and nothing drains any more.
    await Promise.race([once(this.#zstd, "drain"), this.#done]);
  }

  /**
   * The end is told only once the last bytes are taken: told while they wait, zstd would close its frame with them and, now
   * and then, append an empty second one.
   */
  async end(last: Uint8Array): Promise<WrittenBundle> {
    const isTaken = new Promise<void>((resolve) => {
      this.#zstd.write(last, () => resolve());
    });
    await Promise.race([isTaken, this.#done]);
    this.#zstd.end();
    await this.#done;
    return { bytes: this.#bytes, digest: this.#hash.digest("hex") };
  }
}

/** Rejects where the disk does not take it; nothing is left of it then. */
export async function writeBundle(
  path: string,
  manifest: Manifest,
  parts: readonly BundlePart[],
): Promise<WrittenBundle> {
  const tmp = `${path}.tmp`;
  try {
    const compressor = new Compressor(tmp);
    const text = Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`);
    const mtimeSeconds = Math.floor(manifest.begunMs / 1_000);
    await compressor.write(
      encodeTarHeader({ name: MANIFEST_NAME, bytes: text.length, mtimeSeconds }),
    );
    await compressor.write(text);
    await compressor.write(new Uint8Array(paddingOf(text.length)));
    const sorted = [...parts].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const part of sorted) await writePart(compressor, part);
    const written = await compressor.end(TAR_END);
    await rename(tmp, path);
    await syncFolder(dirname(path));
    return written;
  } catch (cause) {
    await rm(tmp, { force: true });
    throw cause;
  }
}

async function writePart(compressor: Compressor, part: BundlePart): Promise<void> {
  const { name, path, bytes, takenAtMs } = part;
  const mtimeSeconds = Math.floor(takenAtMs / 1_000);
  await compressor.write(encodeTarHeader({ name, bytes, mtimeSeconds }));
  let written = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Uint8Array>) {
    written += chunk.length;
    await compressor.write(chunk);
  }
  if (written !== bytes) throw new Error(`${name} has ${written} bytes, not ${bytes}`);
  await compressor.write(new Uint8Array(paddingOf(bytes)));
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
