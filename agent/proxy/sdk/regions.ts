/**
 * Named memory of a program: protected regions (part of checkpoints) and shared ones. Files mapped by the program, by its proxy for
 * transfers without a copy, and by the agent for checkpoints.
 *
 * A mapping outlives rollbacks: the agent restores the same file in place. Should the file have been replaced, it is mapped anew.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { regionPath, sharedPath } from "../io/segment-file.ts";
import type { Segment } from "../segment.ts";
import { REGION_NAME_BYTES_MAX } from "../segment-layout.ts";

/** Below this a copy costs nothing, and a mapping that small has no stable address (see `ffi.ts`). */
const DIRECT_BYTES_MIN = 4096;

interface Mapped {
  readonly u8: Uint8Array<ArrayBuffer>;
  readonly inode: number;
}

/** Where the proxy finds some memory of the program. */
export interface Area {
  readonly area: number;
  readonly offset: number;
}

/** A file of any length can be made there; whoever writes to what does not fit is killed by SIGBUS. */
function checkRoom(folder: string, name: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  const freeBytes = bavail * bsize;
  if (bytes <= freeBytes) return;
  throw new RangeError(
    `region '${name}' of ${bytes} bytes does not fit into shared memory: ${folder} has ${freeBytes} left; protect less, or start the agent with a larger --shm`,
  );
}

export class Regions {
  readonly #segment: Segment;
  readonly #segmentPath: string;
  readonly #folder: string;
  readonly #mapped = new Map<string, Mapped>();
  /** Area number of each mapping known to the proxy in this run of the body. */
  readonly #areas = new Map<ArrayBufferLike, number>();

  constructor(segment: Segment, segmentPath: string, folder: string) {
    this.#segment = segment;
    this.#segmentPath = segmentPath;
    this.#folder = folder;
  }

  /** The body starts anew: it names its regions again. */
  restart(): void {
    this.#areas.clear();
  }

  open(
    name: string,
    bytes: number,
    what: { readonly isProtected: boolean; readonly isRestored: boolean },
  ): Uint8Array<ArrayBuffer> {
    const encodedBytes = encodeURIComponent(name).length;
    if (name === "" || name === "." || name === ".." || encodedBytes > REGION_NAME_BYTES_MAX) {
      throw new RangeError(
        `'${name}' is no name for a region (1 to ${REGION_NAME_BYTES_MAX} bytes)`,
      );
    }
    if (!Number.isSafeInteger(bytes) || bytes <= 0) {
      throw new RangeError(`region '${name}' cannot have ${bytes} bytes`);
    }
    const { isProtected } = what;
    const path = isProtected ? regionPath(this.#folder, name) : sharedPath(this.#segmentPath, name);
    this.#makeFile(path, name, bytes, what.isRestored && isProtected);
    const inode = statSync(path).ino;
    const known = this.#mapped.get(path);
    const mapped =
      known?.inode === inode && known.u8.byteLength === bytes
        ? known
        : { u8: Bun.mmap(path, { shared: true }) as Uint8Array<ArrayBuffer>, inode };
    this.#mapped.set(path, mapped);
    const index = this.#segment.enterRegion(name, bytes, isProtected);
    if (index < 0) throw new RangeError(`region '${name}' is one too many`);
    if (bytes >= DIRECT_BYTES_MIN) this.#areas.set(mapped.u8.buffer, index + 1);
    return mapped.u8;
  }

  /** Null: the proxy cannot reach it, the bytes have to be copied. */
  areaOf(data: ArrayBufferView): Area | null {
    const area = this.#areas.get(data.buffer);
    return area === undefined ? null : { area, offset: data.byteOffset };
  }

  #makeFile(path: string, name: string, bytes: number, isRestored: boolean): void {
    mkdirSync(dirname(path), { recursive: true });
    const found = statSync(path, { throwIfNoEntry: false });
    if (found !== undefined && found.size === bytes) return;
    if (found !== undefined && found.size > 0 && isRestored) {
      throw new RangeError(
        `region '${name}' has ${found.size} bytes in the restored state, the program asks for ${bytes}`,
      );
    }
    checkRoom(dirname(path), name, bytes);
    const fd = openSync(path, found === undefined ? "w+" : "r+", 0o600);
    // To nothing first: whatever an earlier region of that name held is gone.
    ftruncateSync(fd, 0);
    ftruncateSync(fd, bytes);
    closeSync(fd);
  }
}
