/**
 * The output of all ranks of a job from all nodes, as one stream that any member can give.
 *
 * Each node numbers its own lines. A reader sends what it has seen of each node (`n1:17,n2:9`), so it can go on with another
 * agent after the one it read from died, and sees no line twice. The lines of a node that is gone are gone with it; what was
 * lost out of a full ring is said. The stream ends when the job is over and every node that still answers has said all.
 */
import type { Identity } from "../../identity/identity.ts";
import type { View } from "../../membership/membership.ts";
import { type LineSink, readNdjson } from "../../net/io/ndjson.ts";
import { schemeOf, secureFetch } from "../../net/io/secure.ts";
import type { JobRecord } from "../job.ts";
import { isOver } from "../records.ts";
import type { OutputLine, OutputLog } from "./output-log.ts";
import type { Ring } from "./ring.ts";

export type OutputEvent =
  | {
      readonly kind: "line";
      readonly node: string;
      readonly seq: number;
      readonly rank: number;
      readonly stream: "stdout" | "stderr";
      readonly text: string;
    }
  /** That many lines were pushed out before they could be read; `rank-<r>.log` in the node's data folder has them. */
  | { readonly kind: "gap"; readonly node: string; readonly lost: number }
  | {
      readonly kind: "state";
      readonly state: JobRecord["state"];
      readonly epoch: number;
      readonly placement: readonly string[];
      /** The newest line of the job's story. */
      readonly what: string;
    }
  /** The node that is read from has lost its quorum: nothing computes here until it is back, which is null. */
  | { readonly kind: "frozen"; readonly reason: string | null }
  | {
      readonly kind: "end";
      readonly state: JobRecord["state"];
      readonly exitCode: number | null;
      readonly verdict: string | null;
    };

export type Cursor = Map<string, number>;

/** `n1:17,n2:9`; what does not parse is left out, and that node's lines come from the beginning. */
export function parseCursor(text: string): Cursor {
  const cursor: Cursor = new Map();
  for (const part of text.split(",")) {
    const [node, seq] = part.split(":");
    const number = Number(seq);
    if (node !== undefined && node !== "" && Number.isSafeInteger(number)) cursor.set(node, number);
  }
  return cursor;
}

export function formatCursor(cursor: ReadonlyMap<string, number>): string {
  return [...cursor].map(([node, seq]) => `${node}:${seq}`).join(",");
}

const READ_AT_ONCE = 256;
/** After the end of a job, how long a node may take to hear of it and to say the rest. */
const LAST_WORDS_MS = 2_000;
const RETRY_MS = 100;

export interface OutputSource {
  readonly own: string;
  /** As whom other nodes are asked. */
  readonly identity: Identity | null;
  readonly output: OutputLog;
  record(job: string): JobRecord | undefined;
  view(): View | null;
  /** Why this node must not act; null while it may. */
  frozen(): string | null;
  /** Rises with each record that is kept, each view, and with frost and thaw. */
  readonly changes: Ring<string>;
}

/** Lines of this node only; ends when the job is over and all is said. */
export async function streamOwnOutput(
  source: OutputSource,
  job: string,
  cursor: Cursor,
  sink: LineSink,
): Promise<void> {
  const ring = source.output.ring(job);
  let seq = cursor.get(source.own) ?? 0;
  while (!sink.signal.aborted) {
    const record = source.record(job);
    const { entries, lost } = ring.after(seq, READ_AT_ONCE);
    if (lost > 0) sink.push({ kind: "gap", node: source.own, lost } satisfies OutputEvent);
    for (const { seq: number, item } of entries) sink.push(lineOf(source.own, number, item));
    seq = entries.at(-1)?.seq ?? seq;
    cursor.set(source.own, seq);
    await sink.ready();
    if (entries.length > 0) continue;
    if (record !== undefined && isOver(record)) return;
    await ring.changed(sink.signal);
  }
}

function lineOf(node: string, seq: number, line: OutputLine): OutputEvent {
  return { kind: "line", node, seq, rank: line.rank, stream: line.stream, text: line.text };
}

function hostOf(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** One reader of one job's whole output. */
class OutputRelay {
  readonly #source: OutputSource;
  readonly #job: string;
  readonly #cursor: Cursor;
  readonly #sink: LineSink;
  readonly #relays = new Map<string, Promise<void>>();

  constructor(source: OutputSource, job: string, cursor: Cursor, sink: LineSink) {
    this.#source = source;
    this.#job = job;
    this.#cursor = cursor;
    this.#sink = sink;
  }

  async run(): Promise<void> {
    const source = this.#source;
    let told = "";
    let frozen: string | null = null;
    while (!this.#sink.signal.aborted) {
      const record = source.record(this.#job);
      if (record === undefined) return;
      const { state, epoch, placement, history } = record;
      const news = `${state} ${epoch}`;
      if (news !== told) {
        const what = history.at(-1)?.what ?? "";
        this.#push({ kind: "state", state, epoch, placement, what });
      }
      told = news;
      const reason = source.frozen();
      if ((reason === null) !== (frozen === null)) this.#push({ kind: "frozen", reason });
      frozen = reason;
      this.#followAll();
      if (isOver(record)) break;
      await source.changes.changed(this.#sink.signal);
    }
    await Promise.race([Promise.all(this.#relays.values()), Bun.sleep(LAST_WORDS_MS)]);
    const record = source.record(this.#job);
    if (record === undefined) return;
    const { state, exitCode, verdict } = record;
    this.#push({ kind: "end", state, exitCode, verdict });
  }

  #push(event: OutputEvent): void {
    this.#sink.push(event);
  }

  #isOver(): boolean {
    const record = this.#source.record(this.#job);
    return record !== undefined && isOver(record);
  }

  #followAll(): void {
    const { own } = this.#source;
    this.#follow(own, () => streamOwnOutput(this.#source, this.#job, this.#cursor, this.#sink));
    for (const { id, role, address, port } of this.#source.view()?.members ?? []) {
      if (id === own || role === "witness") continue;
      this.#follow(id, () => this.#relayPeer(id, hostOf(address, port)));
    }
  }

  /** A node that comes back under a later view is read again. */
  #follow(node: string, read: () => Promise<void>): void {
    if (this.#relays.has(node)) return;
    const reading = read().finally(() => {
      if (!this.#isOver()) this.#relays.delete(node);
    });
    this.#relays.set(node, reading);
  }

  /** Until the node has said all, or is no member any more. */
  async #relayPeer(node: string, at: string): Promise<void> {
    while (!this.#sink.signal.aborted) {
      if (await this.#readPeer(node, at)) return;
      const isMember = this.#source.view()?.members.some((member) => member.id === node) ?? false;
      if (!isMember || this.#isOver()) return;
      await Bun.sleep(RETRY_MS);
    }
  }

  /** Whether it has said all. */
  async #readPeer(node: string, at: string): Promise<boolean> {
    const after = this.#cursor.get(node) ?? 0;
    const { identity } = this.#source;
    try {
      const response = await secureFetch(identity, "agent")(
        `${schemeOf(identity)}://${at}/v1/jobs/${this.#job}/output?own=1&after=${after}`,
        { signal: this.#sink.signal },
      );
      // It may not have heard of the job yet.
      if (!response.ok) {
        await response.body?.cancel();
        return false;
      }
      for await (const value of readNdjson(response)) {
        const event = value as OutputEvent;
        if (event.kind === "line") this.#cursor.set(node, event.seq);
        this.#push(event);
        await this.#sink.ready();
      }
      return true;
    } catch {
      // Gone, or going: whether it is worth another try is the view's to say.
      return false;
    }
  }
}

/** Everybody's lines, and every change of the job's state. */
export function streamOutput(
  source: OutputSource,
  job: string,
  cursor: Cursor,
  sink: LineSink,
): Promise<void> {
  return new OutputRelay(source, job, cursor, sink).run();
}
