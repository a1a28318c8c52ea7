/**
 * Recent shards of other nodes, in memory as well as on disk: a lost rank's successor reads them without a seek. Bounded
 * by bytes; the one used longest ago goes first. Losing an entry loses nothing.
 *
 * Pieces are kept as they came: joining 256 MiB would hold up the agent's thread for a tenth of a second.
 */
export interface CachedShard {
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
  /** Whole digest in hexadecimal. */
  readonly digest: string;
}

export class ShardCache {
  readonly #bytesMax: number;
  readonly #shards = new Map<string, CachedShard>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  canHold(bytes: number): boolean {
    return bytes <= this.#bytesMax;
  }

  put(path: string, shard: CachedShard): void {
    this.drop(path);
    if (!this.canHold(shard.bytes)) return;
    this.#shards.set(path, shard);
    this.#bytes += shard.bytes;
    for (const oldest of this.#shards.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.drop(oldest);
    }
  }

  get(path: string): CachedShard | null {
    const shard = this.#shards.get(path);
    if (shard === undefined) return null;
    this.#shards.delete(path);
    this.#shards.set(path, shard);
    return shard;
  }

  drop(path: string): void {
    const shard = this.#shards.get(path);
    if (shard === undefined) return;
    this.#shards.delete(path);
    this.#bytes -= shard.bytes;
  }
}

/** The bytes of a cached shard, a piece at a time. */
export function streamOf(shard: CachedShard): ReadableStream<Uint8Array> {
  let index = 0;
  return new ReadableStream<Uint8Array>({
    pull: (controller) => {
      const piece = shard.pieces[index++];
      if (piece === undefined) controller.close();
      else controller.enqueue(piece);
    },
  });
}
