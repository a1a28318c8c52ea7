/**
 * The package `holdfast` as a program sees it: `import { run } from "holdfast"`.
 *
 *     await run((context) => {
 *       const weights = context.protect("weights", Float32Array, 1000);
 *       …
 *     });
 *
 * `run` attaches to the rank's proxy, enters the body, and enters it again, from the restored state, after every rollback. It
 * returns once every rank's body has returned.
 */
import { dieWithParent, libc } from "../../runtime/io/ffi.ts";
import { PROGRAM_ENV } from "../proxy.ts";
import { ANY, OP, STATUS } from "../segment-layout.ts";
import { attach } from "./attach.ts";
import { Channel } from "./channel.ts";
import type {
  Context,
  Numbers,
  NumbersKind,
  Received,
  ReceiveFilter,
  ReduceOp,
  Request,
} from "./context.ts";
import { GroupCalls } from "./group-calls.ts";
import { Messages, Slab } from "./messages.ts";
import { Regions } from "./regions.ts";
import { Rollback } from "./rollback.ts";

export type {
  Context,
  Numbers,
  NumbersKind,
  Received,
  ReceiveFilter,
  ReduceOp,
  Request,
} from "./context.ts";

interface Place {
  readonly job: string;
  readonly rank: number;
  readonly size: number;
  readonly segment: string;
  readonly regionsFolder: string;
  readonly control: string;
}

function placeOf(env: Readonly<Record<string, string | undefined>>): Place {
  const read = (name: string): string => {
    const value = env[name];
    if (value === undefined || value === "") {
      throw new Error(`${name} is not set: start this program with \`holdfast run\``);
    }
    return value;
  };
  return {
    job: read(PROGRAM_ENV.job),
    rank: Number(read(PROGRAM_ENV.rank)),
    size: Number(read(PROGRAM_ENV.size)),
    segment: read(PROGRAM_ENV.segment),
    regionsFolder: read(PROGRAM_ENV.regionsFolder),
    control: read(PROGRAM_ENV.control),
  };
}

class ProgramContext implements Context {
  readonly job: string;
  readonly rank: number;
  readonly size: number;
  restored: number | null = null;
  checkpointFailure: string | null = null;
  readonly #channel: Channel;
  readonly #regions: Regions;
  readonly #messages: Messages;
  readonly #group: GroupCalls;

  constructor(place: Place, channel: Channel) {
    this.job = place.job;
    this.rank = place.rank;
    this.size = place.size;
    const { segment, path } = channel.mapped;
    this.#channel = channel;
    this.#regions = new Regions(segment, path, place.regionsFolder);
    this.#messages = new Messages(channel, this.#regions, new Slab(segment.bytes));
    this.#group = new GroupCalls(this.#messages, place.rank, place.size);
  }

  /** Before every run of the body. */
  restart(): void {
    this.#regions.restart();
    this.#messages.restart();
    this.#group.restart();
    const version = this.#channel.mapped.segment.restoredVersion;
    this.restored = version === 0 ? null : version;
    this.checkpointFailure = null;
  }

  finalize(): void {
    this.#group.plain(OP.finalize);
  }

  /** Nothing but a round trip to the proxy. */
  nullCall(): void {
    this.#group.plain(OP.null);
  }

  send(destination: number, data: Numbers, tag = 0): void {
    this.startSend(destination, data, tag).wait();
  }

  receive(into: Numbers, filter: ReceiveFilter = {}): Received {
    return this.startReceive(into, filter).wait() as Received;
  }

  startSend(destination: number, data: Numbers, tag = 0): Request {
    return this.#messages.send({ peer: destination, tag }, data);
  }

  startReceive(into: Numbers, filter: ReceiveFilter = {}): Request {
    return this.#messages.receive({ peer: filter.source ?? ANY, tag: filter.tag ?? ANY }, into);
  }

  barrier(): void {
    this.#group.plain(OP.barrier);
  }

  broadcast(data: Numbers, root = 0): void {
    this.#group.inPlace(OP.broadcast, data, { root, reduce: null });
  }

  reduce(data: Numbers, op: ReduceOp = "sum", root = 0): void {
    this.#group.inPlace(OP.reduce, data, { root, reduce: op });
  }

  allReduce(data: Numbers, op: ReduceOp = "sum"): void {
    this.#group.inPlace(OP.allReduce, data, { root: 0, reduce: op });
  }

  gather<T extends Numbers>(data: T, into: T | null, root = 0): void {
    if (this.rank === root) this.#checkLength(into, data.byteLength * this.size);
    const target = this.rank === root ? into : null;
    this.#group.spread(OP.gather, data, target, { root, blockBytes: data.byteLength });
  }

  allGather<T extends Numbers>(data: T, into: T): void {
    this.#checkLength(into, data.byteLength * this.size);
    this.#group.spread(OP.allGather, data, into, { root: 0, blockBytes: data.byteLength });
  }

  allToAll<T extends Numbers>(data: T, into: T): void {
    this.#checkLength(into, data.byteLength);
    const blockBytes = data.byteLength / this.size;
    if (!Number.isInteger(data.length / this.size)) {
      throw new RangeError(`${data.length} elements are not ${this.size} equal blocks`);
    }
    this.#group.spread(OP.allToAll, data, into, { root: 0, blockBytes });
  }

  protect(name: string, bytes: number): Uint8Array;
  protect<T extends Numbers>(name: string, kind: NumbersKind<T>, length: number): T;
  protect(name: string, what: number | NumbersKind<Numbers>, length = 0): Numbers {
    if (typeof what === "number") return this.#open(name, Uint8Array, what, true);
    return this.#open(name, what, length, true);
  }

  share<T extends Numbers>(name: string, kind: NumbersKind<T>, length: number): T {
    return this.#open(name, kind, length, false);
  }

  checkpoint(): number | null {
    if (this.#messages.openCount > 0) {
      throw new Error("finish every request (wait) before checkpoint()");
    }
    const { status, value } = this.#group.plain(OP.checkpoint);
    if (status === STATUS.ok) {
      if (value > 0) this.checkpointFailure = null;
      return value === 0 ? null : value;
    }
    this.checkpointFailure = this.#channel.mapped.segment.failureText;
    return null;
  }

  #open<T extends Numbers>(
    name: string,
    kind: NumbersKind<T>,
    length: number,
    isProtected: boolean,
  ): T {
    this.#channel.check();
    const each = (kind as unknown as { readonly BYTES_PER_ELEMENT: number }).BYTES_PER_ELEMENT;
    const isRestored = this.restored !== null;
    const u8 = this.#regions.open(name, length * each, { isProtected, isRestored });
    return new kind(u8.buffer, u8.byteOffset, length);
  }

  #checkLength(into: Numbers | null, bytes: number): void {
    if (into === null || into.byteLength !== bytes) {
      throw new RangeError(`the result takes ${bytes} bytes, not ${into?.byteLength ?? 0}`);
    }
  }
}

/** Runs `body` as a rank of a job; returns once every rank's body has returned. */
export async function run(body: (context: Context) => void | Promise<void>): Promise<void> {
  const place = placeOf(process.env);
  const channel = new Channel(place.segment);
  // Only a direct child of the agent: a program behind a shell notices at its next call instead.
  if (channel.mapped.segment.load("agentPid") === libc.getppid()) dieWithParent();
  const context = new ProgramContext(place, channel);
  for (;;) {
    channel.enter();
    if (!(await attach(place, channel))) continue;
    context.restart();
    try {
      await body(context);
      context.finalize();
      return;
    } catch (error) {
      if (!(error instanceof Rollback)) throw error;
    }
  }
}
