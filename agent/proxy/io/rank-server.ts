/**
 * One local rank as its proxy serves it: submissions out of the ring, completions into it, idling and resuming.
 *
 * Owns the segment while the proxy lives. Every word of a submission is judged before it is used: a program may be wrong, and
 * must not take the proxy with it.
 */

import { err, ok, type Result } from "../../../core/result.ts";
import { futexWake, isProcessEnded, libc, openProcess } from "../../runtime/io/ffi.ts";
import { isCollective } from "../collectives/plan.ts";
import type { Call, Done } from "../communication-library.ts";
import type { LocalRank } from "../proxy.ts";
import { elementBytes, isNumberType, isReduceCode } from "../reduction.ts";
import {
  ANY,
  COMPLETION,
  HEADER,
  OP,
  type Op,
  SLAB_AREA,
  SLAB_BYTES,
  SLAB_OFFSET,
  STATUS,
  SUBMISSION,
} from "../segment-layout.ts";
import type { Memory, Span } from "../transport.ts";
import {
  createSegment,
  type MappedSegment,
  mapFile,
  openSegment,
  regionPath,
  sharedPath,
} from "./segment-file.ts";

const TWO_32 = 4_294_967_296;

/** Operations without data: only the first words of their records count. */
const BARE_OPS: ReadonlySet<number> = new Set([OP.barrier, OP.checkpoint, OP.finalize]);

export interface ServerPlan {
  readonly epoch: number;
  readonly size: number;
  readonly agentPid: number;
}

interface MappedRegion {
  readonly name: string;
  readonly isProtected: boolean;
  readonly memory: Memory;
}

export class RankServer {
  readonly rank: number;
  readonly mapped: MappedSegment;
  readonly #local: LocalRank;
  readonly #plan: ServerPlan;
  readonly #regions = new Map<number, MappedRegion>();
  /** Handle of the program's process; -1: none known. */
  #program = -1;
  #programPid = 0;

  constructor(local: LocalRank, plan: ServerPlan) {
    this.rank = local.rank;
    this.#local = local;
    this.#plan = plan;
    if (local.fresh) createSegment(local.segment, local.rank, plan.size);
    this.mapped = openSegment(local.segment);
  }

  /** From now on the program finds no service; at its next call it leaves its body and says so. */
  requestIdle(): void {
    const { segment } = this.mapped;
    segment.store("agentPid", this.#plan.agentPid);
    segment.store("proxyPid", process.pid);
    segment.store("idleRequest", this.#plan.epoch);
    this.wakeProgram();
  }

  /**
   * The program waits in the SDK, or there is none that could touch its regions: it has ended, or has not attached yet (when it
   * does it acknowledges first), or never will, because it does not know the SDK; such a program is left alone.
   */
  get isIdle(): boolean {
    if (this.#local.fresh) return true;
    const { segment } = this.mapped;
    if (segment.load("programPid") === 0) return true;
    return segment.load("idleAck") === (this.#plan.epoch | 0) || this.isProgramEnded();
  }

  isProgramEnded(): boolean {
    const pid = this.mapped.segment.load("programPid");
    if (pid === 0) return false;
    if (pid !== this.#programPid) {
      if (this.#program >= 0) libc.close(this.#program);
      this.#programPid = pid;
      this.#program = openProcess(pid);
    }
    return this.#program < 0 || isProcessEnded(this.#program);
  }

  /** Everything is restored: empty rings, a new generation, go. */
  resume(version: number): void {
    const { segment } = this.mapped;
    segment.clearRings();
    segment.clearRegions();
    segment.store("epoch", this.#plan.epoch);
    segment.store("generation", segment.load("generation") + 1);
    segment.restoredVersion = version;
    segment.store("finalized", 0);
    segment.store("resume", this.#plan.epoch);
    this.wakeProgram();
  }

  wakeProgram(): void {
    const { segment, memory } = this.mapped;
    if (segment.takeFlag("programSleeps")) futexWake(memory.pointer + HEADER.programSleeps);
  }

  /** Says that a bell is needed from now on. False: there is work, do not sleep. */
  prepareSleep(): boolean {
    const { segment } = this.mapped;
    segment.store("proxySleeps", 1);
    if (!segment.submissions.hasNext()) return true;
    segment.store("proxySleeps", 0);
    return false;
  }

  endSleep(): void {
    this.mapped.segment.store("proxySleeps", 0);
  }

  complete(done: Done): void {
    const { segment } = this.mapped;
    const { words, completions } = segment;
    const at = completions.cursor;
    if (done.text !== "") segment.failureText = done.text;
    words[at + COMPLETION.status] = done.status;
    words[at + COMPLETION.epoch] = this.#plan.epoch;
    words[at + COMPLETION.request] = done.request;
    words[at + COMPLETION.source] = done.source;
    words[at + COMPLETION.tag] = done.tag;
    words[at + COMPLETION.bytesLow] = done.bytes | 0;
    words[at + COMPLETION.bytesHigh] = Math.floor(done.bytes / TWO_32);
    words[at + COMPLETION.totalLow] = done.totalBytes | 0;
    words[at + COMPLETION.totalHigh] = Math.floor(done.totalBytes / TWO_32);
    completions.publish();
    this.wakeProgram();
  }

  /** The answer of checkpoint(); version 0: none was taken. */
  completeCheckpoint(request: number, version: number, failure: string | null): void {
    const { words, completions } = this.mapped.segment;
    words[completions.cursor + COMPLETION.valueLow] = version | 0;
    words[completions.cursor + COMPLETION.valueHigh] = Math.floor(version / TWO_32);
    const status = failure === null ? STATUS.ok : STATUS.checkpointFailed;
    const nothing = { source: -1, tag: -1, bytes: 0, totalBytes: 0 };
    this.complete({ rank: this.rank, request, status, ...nothing, text: failure ?? "" });
  }

  refuse(request: number, text: string): void {
    const nothing = { source: -1, tag: -1, bytes: 0, totalBytes: 0 };
    this.complete({ rank: this.rank, request, status: STATUS.badArgument, ...nothing, text });
  }

  /** Null calls are answered here. Says whether there was anything; at most `budget` records a turn. */
  serve(budget: number, onCall: (server: RankServer, call: Call) => void): boolean {
    const { submissions, words } = this.mapped.segment;
    let count = 0;
    while (count < budget && submissions.hasNext()) {
      count++;
      const at = submissions.cursor;
      submissions.advance();
      if (words[at + SUBMISSION.epoch] !== (this.#plan.epoch | 0)) continue;
      if (words[at + SUBMISSION.op] === OP.null) {
        this.#completeNull(words[at + SUBMISSION.request] ?? 0);
        continue;
      }
      const decoded = this.#decode(at);
      if (decoded.ok) onCall(this, decoded.value);
      else this.refuse(words[at + SUBMISSION.request] ?? 0, decoded.error);
    }
    return count > 0;
  }

  /** By itself, because it is what the cost of a call is measured by. */
  #completeNull(request: number): void {
    const { words, completions } = this.mapped.segment;
    const at = completions.cursor;
    words[at + COMPLETION.status] = STATUS.ok;
    words[at + COMPLETION.epoch] = this.#plan.epoch;
    words[at + COMPLETION.request] = request;
    completions.publish();
    this.wakeProgram();
  }

  #decode(at: number): Result<Call, string> {
    const { words } = this.mapped.segment;
    const word = (index: number): number => words[at + index] ?? 0;
    if (BARE_OPS.has(word(SUBMISSION.op))) {
      return ok(this.#bareCall(word(SUBMISSION.op) as Op, word(SUBMISSION.request)));
    }
    const wide = (low: number, high: number): number =>
      (word(low) >>> 0) + (word(high) >>> 0) * TWO_32;
    const bytes = wide(SUBMISSION.bytesLow, SUBMISSION.bytesHigh);
    const offset = wide(SUBMISSION.offsetLow, SUBMISSION.offsetHigh);
    const input = this.#span(word(SUBMISSION.area), offset, bytes);
    if (!input.ok) return input;
    const kind = word(SUBMISSION.kind);
    const numberType = kind & 0xff;
    const reduce = (kind >> 8) & 0xff;
    const call: Call = {
      rank: this.rank,
      op: word(SUBMISSION.op) as Op,
      request: word(SUBMISSION.request),
      peer: word(SUBMISSION.peer),
      tag: word(SUBMISSION.tag),
      input: input.value,
      totalBytes: wide(SUBMISSION.totalLow, SUBMISSION.totalHigh),
      numberType: isNumberType(numberType) ? numberType : null,
      reduce: isReduceCode(reduce) ? reduce : null,
      output: null,
    };
    const refusal = this.#judge(call);
    if (refusal !== null) return err(refusal);
    const outBytes = this.#outputBytes(call);
    if (outBytes === null) return ok(call);
    const outOffset = word(SUBMISSION.outOffset) >>> 0;
    const output = this.#span(word(SUBMISSION.outArea), outOffset, outBytes);
    return output.ok ? ok({ ...call, output: output.value }) : output;
  }

  #bareCall(op: Op, request: number): Call {
    return {
      rank: this.rank,
      op,
      request,
      peer: 0,
      tag: 0,
      input: { memory: this.mapped.memory, offset: SLAB_OFFSET, bytes: 0 },
      totalBytes: 0,
      numberType: null,
      reduce: null,
      output: null,
    };
  }

  /** Null: the call has no output of its own. */
  #outputBytes(call: Call): number | null {
    if (call.op === OP.allToAll) return call.input.bytes;
    if (call.op === OP.allGather) return call.input.bytes * this.#plan.size;
    const isRoot = call.op === OP.gather && call.peer === this.rank;
    return isRoot ? call.input.bytes * this.#plan.size : null;
  }

  #judge(call: Call): string | null {
    const { op, peer } = call;
    const needsRank = op === OP.send || op === OP.broadcast || op === OP.reduce || op === OP.gather;
    const mayBeAny = op === OP.receive && peer === ANY;
    const isRank = peer >= 0 && peer < this.#plan.size;
    if ((needsRank || op === OP.receive) && !isRank && !mayBeAny) return `there is no rank ${peer}`;
    switch (op) {
      case OP.send:
        return call.tag < 0 ? `a tag is 0 or more, not ${call.tag}` : null;
      case OP.allToAll:
        return call.input.bytes % this.#plan.size === 0 ? null : "blocks of unequal size";
      case OP.reduce:
      case OP.allReduce:
        return this.#judgeReduce(call);
      case OP.receive:
      case OP.piece:
        return null;
      default:
        return isCollective(op) ? null : `operation ${op} is not known`;
    }
  }

  #judgeReduce(call: Call): string | null {
    if (call.numberType === null || call.reduce === null) return "unknown number type or reduction";
    const each = elementBytes(call.numberType);
    const start = call.input.memory.u8.byteOffset + call.input.offset;
    return start % each === 0 && call.input.bytes % each === 0 ? null : "numbers not aligned";
  }

  #span(area: number, offset: number, bytes: number): Result<Span, string> {
    if (area === SLAB_AREA) {
      if (offset + bytes > SLAB_BYTES) return err("payload outside of the slab");
      return ok({ memory: this.mapped.memory, offset: SLAB_OFFSET + offset, bytes });
    }
    const memory = this.#regionMemory(area - 1);
    if (memory === null) return err(`area ${area} is not in the region table`);
    if (offset + bytes > memory.u8.byteLength) return err(`payload outside of area ${area}`);
    return ok({ memory, offset, bytes });
  }

  #regionMemory(index: number): Memory | null {
    const entry = this.mapped.segment.region(index);
    if (entry === null) return null;
    const known = this.#regions.get(index);
    const isKnown =
      known !== undefined &&
      known.name === entry.name &&
      known.isProtected === entry.isProtected &&
      known.memory.u8.byteLength >= entry.bytes;
    if (isKnown) return known.memory;
    const path = entry.isProtected
      ? regionPath(this.#local.regionsFolder, entry.name)
      : sharedPath(this.#local.segment, entry.name);
    try {
      const memory = mapFile(path);
      if (memory.pointer === 0 || memory.u8.byteLength < entry.bytes) return null;
      this.#regions.set(index, { name: entry.name, isProtected: entry.isProtected, memory });
      return memory;
    } catch {
      return null;
    }
  }
}
