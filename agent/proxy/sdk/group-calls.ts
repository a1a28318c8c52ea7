/**
 * Collectives of a program. A large one is cut in parts of COLLECTIVE_BYTES_MAX on every rank alike, whatever memory the data
 * lies in, since the order of summation depends on the cut; several parts are under way at a time.
 */
import { OP, REDUCE_OP, type ReduceCode, STATUS } from "../segment-layout.ts";
import type { Channel, Completion, Submission } from "./channel.ts";
import type { Numbers, ReduceOp } from "./context.ts";
import type { Messages } from "./messages.ts";
import { bytesOf, numberTypeOf } from "./numbers.ts";

/** A quarter of the slab: input and output of a part fit beside the messages that are under way. */
export const COLLECTIVE_BYTES_MAX = 4_194_304;
/** The same where input and output are two blocks. */
const SPREAD_BYTES_MAX = 2_097_152;

const REDUCE_CODES: Readonly<Record<ReduceOp, ReduceCode>> = REDUCE_OP;

interface Moved {
  /** Copies input to the slab and says what to submit. */
  prepare(): Submission;
  /** Copies the result out and gives the slab back. */
  conclude(): void;
}

export class GroupCalls {
  readonly #messages: Messages;
  readonly #channel: Channel;
  readonly #rank: number;
  readonly #size: number;

  #plainSlot = -1;
  #answer: Completion | null = null;
  readonly #onPlain = (completion: Completion): void => {
    this.#answer = completion;
  };
  readonly #isAnswered = (): boolean => this.#answer !== null;

  constructor(messages: Messages, rank: number, size: number) {
    this.#messages = messages;
    this.#channel = messages.channel;
    this.#rank = rank;
    this.#size = size;
  }

  /** One record without data; the value that comes back. Nothing is made anew: this is what a call costs at least. */
  plain(op: number): Completion {
    if (this.#plainSlot < 0) this.#plainSlot = this.#open(this.#onPlain);
    this.#answer = null;
    this.#channel.submitBare(this.#plainSlot, op);
    this.#channel.waitUntil(this.#isAnswered);
    return this.#answer as unknown as Completion;
  }

  /** The channel has forgotten every slot. */
  restart(): void {
    this.#plainSlot = -1;
  }

  inPlace(
    op: number,
    data: Numbers,
    what: { readonly root: number; readonly reduce: ReduceOp | null },
  ): void {
    const reduce = what.reduce === null ? 0 : REDUCE_CODES[what.reduce];
    const kind = numberTypeOf(data) | (reduce << 8);
    const base = { op, peer: what.root, kind };
    const isRoot = this.#rank === what.root;
    const readsInput = op !== OP.broadcast || isRoot;
    const writesOutput = op === OP.allReduce || (op === OP.reduce ? isRoot : !isRoot);
    // A reduction works in place on every rank: what the program keeps must not be reached.
    const area = op === OP.reduce && !isRoot ? null : this.#messages.regions.areaOf(data);
    const bytes = bytesOf(data);
    const parts: Moved[] = [];
    for (let from = 0; from < bytes.byteLength; from += COLLECTIVE_BYTES_MAX) {
      const part = bytes.subarray(from, from + COLLECTIVE_BYTES_MAX);
      if (area !== null) {
        const record = { ...base, area: area.area, offset: area.offset + from };
        parts.push({ prepare: () => ({ ...record, bytes: part.byteLength }), conclude: () => {} });
      } else parts.push(this.#copied(base, part, { readsInput, writesOutput }));
    }
    this.#run(parts);
  }

  /** `into` null where the rank gets nothing. `block` elements of `data` go to, or come from, each rank. */
  spread(
    op: number,
    data: Numbers,
    into: Numbers | null,
    what: { readonly root: number; readonly blockBytes: number },
  ): void {
    const { root, blockBytes } = what;
    const partBytes = Math.max(64, Math.floor(SPREAD_BYTES_MAX / this.#size / 64) * 64);
    const parts: Moved[] = [];
    for (let from = 0; from < blockBytes; from += partBytes) {
      const bytes = Math.min(partBytes, blockBytes - from);
      const stretch = { from, bytes, blockBytes };
      parts.push(this.#spreadPart({ op, peer: root }, data, into, stretch));
    }
    this.#run(parts);
  }

  #copied(
    base: Submission,
    part: Uint8Array,
    what: { readonly readsInput: boolean; readonly writesOutput: boolean },
  ): Moved {
    const { slab } = this.#messages;
    let offset = -1;
    return {
      prepare: () => {
        offset = this.#messages.allocateOrWait(part.byteLength);
        if (what.readsInput) slab.view(offset, part.byteLength).set(part);
        return { ...base, offset, bytes: part.byteLength };
      },
      conclude: () => {
        if (what.writesOutput) part.set(slab.view(offset, part.byteLength));
        slab.release(offset);
      },
    };
  }

  #spreadPart(
    base: Submission,
    data: Numbers,
    into: Numbers | null,
    stretch: { readonly from: number; readonly bytes: number; readonly blockBytes: number },
  ): Moved {
    const { slab } = this.#messages;
    const { from, bytes, blockBytes } = stretch;
    const source = bytesOf(data);
    const target = into === null ? null : bytesOf(into);
    const inBlocks = base.op === OP.allToAll ? this.#size : 1;
    let input = -1;
    let output = -1;
    const blocks = (count: number, move: (whole: number, packed: number) => void): void => {
      for (let i = 0; i < count; i++) move(i * blockBytes + from, i * bytes);
    };
    return {
      prepare: () => {
        const inBytes = inBlocks * bytes;
        input = this.#messages.allocateOrWait(inBytes);
        if (target !== null) output = this.#messages.allocateOrWait(this.#size * bytes);
        const packed = slab.view(input, inBytes);
        blocks(inBlocks, (whole, at) => packed.set(source.subarray(whole, whole + bytes), at));
        const kind = numberTypeOf(data);
        return { ...base, kind, offset: input, bytes: inBytes, outOffset: Math.max(output, 0) };
      },
      conclude: () => {
        slab.release(input);
        if (target === null) return;
        const packed = slab.view(output, this.#size * bytes);
        blocks(this.#size, (whole, at) => target.set(packed.subarray(at, at + bytes), whole));
        slab.release(output);
      },
    };
  }

  /** Two parts at a time: while one is added up, the next is copied. */
  #run(parts: readonly Moved[]): void {
    const failures: string[] = [];
    const open: { readonly part: Moved; readonly slot: number; isDone: boolean }[] = [];
    const finishFirst = (): void => {
      const first = open.shift();
      if (first === undefined) return;
      this.#channel.waitUntil(() => first.isDone);
      this.#channel.close(first.slot);
      first.part.conclude();
    };
    for (const part of parts) {
      if (open.length === 2) finishFirst();
      const entry = {
        part,
        slot: this.#open((completion) => {
          entry.isDone = true;
          if (completion.status !== STATUS.ok) {
            failures.push(this.#channel.mapped.segment.failureText);
          }
        }),
        isDone: false,
      };
      open.push(entry);
      this.#channel.submit(entry.slot, part.prepare());
    }
    while (open.length > 0) finishFirst();
    if (failures[0] !== undefined) throw new Error(failures[0]);
  }

  #open(handler: (completion: Completion) => void): number {
    const slot = this.#channel.open(handler);
    if (slot < 0) throw new RangeError("too many requests are open");
    return slot;
  }
}
