/**
 * The proxy processes of a node: one kept warm (started, listening, unassigned), one for each job that runs here.
 *
 * Decides when to start and end them. A proxy is assigned once and never again: a new epoch gets a new process, so nothing
 * of the communication library's state can leak from one epoch into the next.
 */
import type { NodeId } from "../membership/membership.ts";
import type { ProxyEndpoint } from "../proxy/proxy.ts";
import type { EffectSink } from "./effects.ts";

/** A proxy that ends before it listens is tried again after this; it doubles up to the maximum. */
const RESTART_MS_MIN = 100;
const RESTART_MS_MAX = 5_000;

interface ProxyProcess {
  readonly proxy: number;
  pid: number;
  port: number | null;
  assigned: boolean;
  ending: boolean;
}

export class ProxyPool {
  readonly #node: NodeId;
  readonly #host: string;
  readonly #processes = new Map<number, ProxyProcess>();
  #next = 1;
  #warm: number | null = null;
  #restartMs = RESTART_MS_MIN;
  #restartAtMs: number | null = null;
  /** Failures to start in a row. */
  failedStarts = 0;

  constructor(node: NodeId, host: string) {
    this.#node = node;
    this.#host = host;
  }

  /** Starts the warm proxy unless there is one or a failed start has to wait. */
  ensureWarm(sink: EffectSink): void {
    if (this.#warm !== null) return;
    if (this.#restartAtMs !== null && sink.nowMs < this.#restartAtMs) return;
    this.#restartAtMs = null;
    const proxy = this.#next++;
    this.#processes.set(proxy, { proxy, pid: 0, port: null, assigned: false, ending: false });
    this.#warm = proxy;
    sink.push({ kind: "spawn-proxy", proxy });
  }

  get dueMs(): number {
    return this.#restartAtMs ?? Number.POSITIVE_INFINITY;
  }

  onListening(proxy: number, pid: number, port: number): void {
    const process = this.#processes.get(proxy);
    if (process === undefined) return;
    process.pid = pid;
    process.port = port;
    this.#restartMs = RESTART_MS_MIN;
    this.failedStarts = 0;
  }

  /** The endpoint of the warm proxy; null while it does not listen. */
  endpoint(): ProxyEndpoint | null {
    const process = this.#warm === null ? undefined : this.#processes.get(this.#warm);
    if (process === undefined || process.port === null) return null;
    return { node: this.#node, host: this.#host, port: process.port };
  }

  /** Hands the warm proxy out if it is the one that listens on `port`. */
  take(port: number): number | null {
    if (this.#warm === null) return null;
    const process = this.#processes.get(this.#warm);
    if (process === undefined || process.port !== port) return null;
    process.assigned = true;
    this.#warm = null;
    return process.proxy;
  }

  pidOf(proxy: number): number {
    return this.#processes.get(proxy)?.pid ?? 0;
  }

  end(proxy: number, sink: EffectSink): void {
    const process = this.#processes.get(proxy);
    if (process === undefined || process.ending) return;
    process.ending = true;
    sink.push({ kind: "kill-proxy", proxy });
  }

  /** Says whether the proxy was assigned and nobody had asked for its end: a fault. */
  onExited(proxy: number, sink: EffectSink): boolean {
    const process = this.#processes.get(proxy);
    if (process === undefined) return false;
    this.#processes.delete(proxy);
    if (this.#warm === proxy) {
      this.#warm = null;
      this.failedStarts++;
      this.#restartAtMs = sink.nowMs + this.#restartMs;
      this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MS_MAX);
    }
    return process.assigned && !process.ending;
  }
}
