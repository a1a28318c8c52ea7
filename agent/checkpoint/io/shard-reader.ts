/**
 * Reads a shard's file: everything but the payload checked against the shard's digest when it is opened, the payload page
 * by page against the tail. Synchronous, since it stays in the store's Worker; whoever reads much gives way in between.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { WINDOW_PAGES } from "../../../core/abi.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import { type DigestCore, firstMismatch, isSameBytes } from "../page-digests.ts";
import { readPlan } from "../read-plan.ts";
import {
  decodeFooter,
  decodeHead,
  decodePrologue,
  decodeTail,
  FOOTER_BYTES,
  PROLOGUE_BYTES,
  type ShardError,
  type ShardFooter,
  type ShardHead,
  type ShardTail,
  wholeDigestInput,
} from "../shard.ts";

/** Fills `target` or throws: sizes were checked before, so a short read is a file that changes under us. */
export function readFully(fd: number, target: Uint8Array, position: number): void {
  for (let done = 0; done < target.length; ) {
    const bytesRead = readSync(fd, target, done, target.length - done, position + done);
    if (bytesRead === 0) throw new Error(`ends at ${position + done}`);
    done += bytesRead;
  }
}

export class ShardReader {
  readonly head: ShardHead;
  readonly tail: ShardTail;
  readonly footer: ShardFooter;
  readonly mailbox: Uint8Array | null;
  /** Of the file. */
  readonly bytes: number;
  readonly path: string;
  readonly #fd: number;
  readonly #payloadStart: number;

  private constructor(
    opened: { fd: number; path: string; bytes: number; payloadStart: number },
    parts: { head: ShardHead; mailbox: Uint8Array; tail: ShardTail; footer: ShardFooter },
  ) {
    this.#fd = opened.fd;
    this.path = opened.path;
    this.bytes = opened.bytes;
    this.#payloadStart = opened.payloadStart;
    this.head = parts.head;
    this.tail = parts.tail;
    this.footer = parts.footer;
    this.mailbox = parts.head.mailboxBytes === null ? null : parts.mailbox;
  }

  /** Throws only when the file cannot be read; what is wrong with its bytes is the error of the result. */
  static open(path: string, core: DigestCore): Result<ShardReader, ShardError> {
    const fd = openSync(path, "r");
    let isKept = false;
    try {
      const opened = ShardReader.#decode(fd, path, core);
      isKept = opened.ok;
      return opened;
    } finally {
      if (!isKept) closeSync(fd);
    }
  }

  static #decode(fd: number, path: string, core: DigestCore): Result<ShardReader, ShardError> {
    const bytes = fstatSync(fd).size;
    const leastBytes = PROLOGUE_BYTES + FOOTER_BYTES;
    if (bytes < leastBytes)
      return err({ kind: "too-short", wantBytes: leastBytes, gotBytes: bytes });
    const read = (position: number, length: number): Uint8Array => {
      const out = new Uint8Array(length);
      readFully(fd, out, position);
      return out;
    };
    const headLength = decodePrologue(read(0, PROLOGUE_BYTES));
    if (!headLength.ok) return headLength;
    const footer = decodeFooter(read(bytes - FOOTER_BYTES, FOOTER_BYTES));
    if (!footer.ok) return footer;
    if (headLength.value + FOOTER_BYTES > bytes) {
      return err({ kind: "too-short", wantBytes: headLength.value, gotBytes: bytes });
    }
    const headBytes = read(0, headLength.value);
    const head = decodeHead(headBytes);
    if (!head.ok) return head;
    const mailboxBytes = head.value.mailboxBytes ?? 0;
    const payloadStart = headBytes.length + mailboxBytes;
    const tailStart = payloadStart + footer.value.payloadBytes;
    const wantBytes = tailStart + footer.value.tailBytes + FOOTER_BYTES;
    if (wantBytes !== bytes) return err({ kind: "too-short", wantBytes, gotBytes: bytes });
    const mailbox = read(headBytes.length, mailboxBytes);
    const tailBytes = read(tailStart, footer.value.tailBytes);
    const parts = {
      head: core.digest(headBytes).slice(),
      mailbox: core.digest(mailbox).slice(),
      tail: core.digest(tailBytes).slice(),
    };
    const whole = core.digest(wholeDigestInput(parts, footer.value));
    if (!isSameBytes(whole, footer.value.whole))
      return err({ kind: "bad-digest", what: "the shard" });
    const tail = decodeTail(tailBytes, head.value.layout, footer.value.payloadBytes);
    if (!tail.ok) return tail;
    if (!isSameBytes(core.digest(tail.value.digests), footer.value.state)) {
      return err({ kind: "bad-digest", what: "the state" });
    }
    const all = { head: head.value, mailbox, tail: tail.value, footer: footer.value };
    return ok(new ShardReader({ fd, path, bytes, payloadStart }, all));
  }

  readPayload(target: Uint8Array, payloadOffset: number): void {
    readFully(this.#fd, target, this.#payloadStart + payloadOffset);
  }

  /** Every page of the payload against its digest. `giveWay` is awaited every few MiB. */
  async verifyPayload(
    core: DigestCore,
    giveWay: () => Promise<void>,
  ): Promise<Result<null, ShardError>> {
    let bytes = 0;
    for (const group of readPlan(this.head.layout, [this.tail.runs], WINDOW_PAGES)) {
      if (group.shard === null) continue;
      this.readPayload(core.inputWindow().subarray(0, group.bytes), group.payloadOffset);
      const found = core.digestWindow(group.bytes);
      const bad = firstMismatch(this.tail.digests, group.firstPage, found, group.pageCount);
      if (bad !== null) return err({ kind: "bad-digest", what: `page ${bad}` });
      bytes += group.bytes;
      if (bytes >= GIVE_WAY_BYTES) {
        bytes = 0;
        await giveWay();
      }
    }
    return ok(null);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** A millisecond or two of work. */
export const GIVE_WAY_BYTES: number = 4 * 2 ** 20;

/** Lets what waits on sockets and disks have its turn. */
export function giveWay(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
