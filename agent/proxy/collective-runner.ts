/**
 * Runs the collectives of one local rank, one after the other, by their schedules.
 *
 * What comes for the receive that is next in line is read straight into place (or into one scratch segment, then added);
 * what comes early is kept, in order, until its turn. Ranks that call different collectives are told so.
 */
import { assert } from "../../core/assert.ts";
import {
  type CollectiveLabel,
  describeLabel,
  labelOf,
  planCollective,
} from "./collectives/plan.ts";
import { type Schedule, type ScheduledReceive, SEGMENT_BYTES_MAX } from "./collectives/schedule.ts";
import type { Call, Done } from "./communication-library.ts";
import { FRAME, type FrameHeader } from "./frame.ts";
import { combine } from "./reduction.ts";
import { STATUS, type Status } from "./segment-layout.ts";
import { frameHeader } from "./send-side.ts";
import { type Memory, type Span, spanBytes, subSpan, type Transport } from "./transport.ts";

/** Programs repeat a few collectives; planning a large one costs as much as a small one takes. */
const PLANS_MAX = 64;

interface Early {
  readonly header: FrameHeader;
  readonly payload: Span | null;
}

interface Active {
  readonly call: Call;
  readonly number: number;
  readonly label: CollectiveLabel;
  readonly schedule: Schedule;
  readonly input: Span;
  readonly output: Span;
  receivedCount: number;
  sentCount: number;
  writtenCount: number;
}

export interface RunnerPlace {
  readonly rank: number;
  readonly size: number;
  readonly epoch: number;
}

export class CollectiveRunner {
  readonly #place: RunnerPlace;
  readonly #transport: Transport;
  readonly #onDone: (done: Done) => void;
  readonly #allocate: (bytes: number) => Memory;
  readonly #waiting: Call[] = [];
  readonly #early = new Map<number, Early[]>();
  readonly #earlyBytes = new Map<number, number>();
  readonly #plans = new Map<string, Schedule>();
  readonly #scratch: Memory;
  #active: Active | null = null;
  #nextNumber = 1;
  #isAdvancing = false;
  #mustAdvance = false;
  /** Whose frame is being read into place. */
  #inPlaceFrom = -1;

  /** `allocate` gives memory that native code may write. */
  constructor(
    place: RunnerPlace,
    transport: Transport,
    onDone: (done: Done) => void,
    allocate: (bytes: number) => Memory,
  ) {
    this.#place = place;
    this.#transport = transport;
    this.#onDone = onDone;
    this.#allocate = allocate;
    this.#scratch = allocate(SEGMENT_BYTES_MAX);
  }

  /** Held for a rank that is ahead of this one. */
  earlyBytesFrom(source: number): number {
    return this.#earlyBytes.get(source) ?? 0;
  }

  start(call: Call): void {
    this.#waiting.push(call);
    this.#advance();
  }

  spanFor(header: FrameHeader): Span | null {
    const active = this.#active;
    const next = active?.schedule.receives[active.receivedCount];
    const isNext =
      active !== null &&
      next !== undefined &&
      next.peer === header.source &&
      this.#isSame(active, next, header) &&
      (this.#early.get(header.source)?.length ?? 0) === 0;
    if (!isNext || this.#inPlaceFrom !== -1 || header.payloadBytes === 0) return null;
    this.#inPlaceFrom = header.source;
    return next.combine === "copy"
      ? subSpan(active.output, next.offset, next.bytes)
      : { memory: this.#scratch, offset: 0, bytes: next.bytes };
  }

  onFrame(header: FrameHeader, payload: Span | null): void {
    if (this.#inPlaceFrom === header.source) {
      this.#inPlaceFrom = -1;
      const active = this.#active;
      const next = active?.schedule.receives[active.receivedCount];
      assert(active !== null && next !== undefined && payload !== null, "the next receive waits");
      if (next.combine === "reduce") this.#reduce(active, next, payload);
      active.receivedCount++;
    } else {
      const queue = this.#early.get(header.source);
      if (queue === undefined) this.#early.set(header.source, [{ header, payload }]);
      else queue.push({ header, payload });
      this.#countEarly(header.source, header.payloadBytes);
    }
    this.#advance();
  }

  #countEarly(source: number, bytes: number): void {
    this.#earlyBytes.set(source, this.earlyBytesFrom(source) + bytes);
  }

  /** Never nested: what a callback causes is done by the outer call. */
  #advance(): void {
    this.#mustAdvance = true;
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    while (this.#mustAdvance) {
      this.#mustAdvance = false;
      if (this.#active === null) this.#begin();
      if (this.#active !== null) this.#step(this.#active);
    }
    this.#isAdvancing = false;
  }

  #begin(): void {
    const call = this.#waiting.shift();
    if (call === undefined) return;
    const label = labelOf(call);
    const schedule = this.#plan(call, label);
    const output = call.output ?? call.input;
    let { input } = call;
    if (schedule.needsInputCopy) {
      input = { memory: this.#allocate(call.input.bytes), offset: 0, bytes: call.input.bytes };
      spanBytes(input).set(spanBytes(call.input));
    }
    for (const { inputOffset, outputOffset, bytes } of schedule.copies) {
      const target = subSpan(output, outputOffset, bytes);
      spanBytes(target).set(spanBytes(subSpan(input, inputOffset, bytes)));
    }
    const number = this.#nextNumber++;
    const counts = { receivedCount: 0, sentCount: 0, writtenCount: 0 };
    this.#active = { call, number, label, schedule, input, output, ...counts };
  }

  #plan(call: Call, label: CollectiveLabel): Schedule {
    const key = `${label.code} ${label.bytes} ${label.root}`;
    const known = this.#plans.get(key);
    if (known !== undefined) return known;
    const schedule = planCollective(call, this.#place.size);
    if (this.#plans.size >= PLANS_MAX) this.#plans.clear();
    this.#plans.set(key, schedule);
    return schedule;
  }

  #step(active: Active): void {
    for (;;) {
      this.#sendWhatMay(active);
      if (this.#inPlaceFrom !== -1) break;
      const next = active.schedule.receives[active.receivedCount];
      if (next === undefined || !this.#takeNext(active, next)) break;
      if (this.#active !== active) return;
    }
    const isDone =
      active.receivedCount === active.schedule.receives.length &&
      active.writtenCount === active.schedule.sends.length;
    if (isDone) this.#finish(active, STATUS.ok, "");
  }

  /** False: it is not there yet. */
  #takeNext(active: Active, next: ScheduledReceive): boolean {
    if (next.peer === this.#place.rank) {
      const own = subSpan(active.input, next.offset, next.bytes);
      if (next.combine === "reduce") this.#reduce(active, next, own);
      else spanBytes(subSpan(active.output, next.offset, next.bytes)).set(spanBytes(own));
      active.receivedCount++;
      return true;
    }
    const early = this.#early.get(next.peer)?.shift();
    if (early === undefined) return false;
    this.#countEarly(next.peer, -early.header.payloadBytes);
    if (!this.#isSame(active, next, early.header)) {
      this.#refuse(active, early.header);
      return true;
    }
    if (early.payload !== null) {
      if (next.combine === "reduce") this.#reduce(active, next, early.payload);
      else {
        const target = subSpan(active.output, next.offset, next.bytes);
        spanBytes(target).set(spanBytes(early.payload));
      }
    }
    active.receivedCount++;
    return true;
  }

  #sendWhatMay(active: Active): void {
    for (;;) {
      const send = active.schedule.sends[active.sentCount];
      if (send === undefined || send.after > active.receivedCount) return;
      active.sentCount++;
      const from = send.from === "input" ? active.input : active.output;
      this.#transport.send({
        header: this.#header(active, send.peer, send.bytes),
        payload: send.bytes === 0 ? null : subSpan(from, send.offset, send.bytes),
        onWritten: () => {
          active.writtenCount++;
          this.#advance();
        },
      });
    }
  }

  #isSame(active: Active, next: ScheduledReceive, header: FrameHeader): boolean {
    const { label } = active;
    return (
      header.tag === (active.number | 0) &&
      header.payloadBytes === next.bytes &&
      header.aux === label.code &&
      header.total === label.bytes &&
      header.id === label.root
    );
  }

  #refuse(active: Active, header: FrameHeader): void {
    const theirs = { code: header.aux, bytes: header.total, root: header.id };
    const text =
      `rank ${header.source} calls ${describeLabel(theirs)}, ` +
      `rank ${this.#place.rank} ${describeLabel(active.label)}`;
    // The other may wait for a frame that this rank would never send: an empty one under its own name tells it as well.
    this.#transport.send({
      header: this.#header(active, header.source, 0),
      payload: null,
      onWritten: null,
    });
    this.#finish(active, STATUS.mismatch, text);
  }

  #header(active: Active, destination: number, payloadBytes: number): FrameHeader {
    return frameHeader(FRAME.collective, {
      epoch: this.#place.epoch,
      source: this.#place.rank,
      destination,
      tag: active.number,
      id: active.label.root,
      payloadBytes,
      aux: active.label.code,
      total: active.label.bytes,
    });
  }

  #reduce(active: Active, next: ScheduledReceive, source: Span): void {
    const { numberType, reduce } = active.call;
    assert(numberType !== null && reduce !== null, "a reduction names type and operation");
    const target = subSpan(active.output, next.offset, next.bytes);
    combine(numberType, reduce, target, subSpan(source, 0, next.bytes));
  }

  #finish(active: Active, status: Status, text: string): void {
    this.#active = null;
    this.#mustAdvance = true;
    this.#onDone({
      rank: this.#place.rank,
      request: active.call.request,
      status,
      source: -1,
      tag: -1,
      bytes: active.output.bytes,
      totalBytes: active.output.bytes,
      text,
    });
  }
}
