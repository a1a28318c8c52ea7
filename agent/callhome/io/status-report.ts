/**
 * Tells each manager how this node is (`report.ts`): soon after something changed, and each `REPORT_EVERY_MS` besides.
 *
 * One report at a time to each manager, so that a slow one gets fewer and never older ones after newer. A manager that does not
 * answer is told again with the next; what it misses is in there too. Said once when a manager does not take reports, and
 * once when it does again.
 */
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { ClusterJob, ClusterWatch } from "../cluster.ts";
import {
  NODES_PATH,
  type NodeReport,
  REPORT_DEBOUNCE_MS,
  REPORT_EVERY_MS,
  type ReportAnswer,
  type ReportedBmc,
  type ReportedCallhome,
  type ReportedInventory,
  type ReportedJob,
  type ReportedStatus,
  reportAnswerSchema,
} from "../report.ts";
import { askJson, type Caller } from "./parcels-client.ts";

const ANSWER_WITHIN_MS = 3_000;
const ROLLBACKS_MAX = 64;
const SEALED_MAX = 64;
const HELD_MAX = 16_384;
const JOBS_MAX = 4_096;
const ARGUMENTS_MAX = 256;
const TEXT_CHARACTERS_MAX = 2_000;

export interface StatusReportParts {
  readonly node: string;
  /** Of this start. */
  readonly run: string;
  readonly managers: readonly string[];
  readonly caller: Caller;
  readonly clock: Clock;
  readonly log: Log;
  readonly cluster: ClusterWatch;
  readonly bmcs: () => readonly ReportedBmc[];
  readonly inventory: () => ReportedInventory;
  readonly callhome: () => ReportedCallhome;
}

interface Line {
  readonly manager: string;
  isSending: boolean;
  /** Something has changed since the last one was made. */
  isStale: boolean;
  wantsInventory: boolean;
  isRefused: boolean | null;
}

function cut(text: string): string {
  return text.slice(0, TEXT_CHARACTERS_MAX);
}

function reportedStatus(cluster: ClusterWatch): ReportedStatus {
  const { id: _, ...status } = cluster.status();
  return {
    ...status,
    reason: status.reason === null ? null : cut(status.reason),
    ranks: status.ranks.map(({ job, rank, epoch, sealed }) => {
      return { job, rank, epoch, sealed: sealed.slice(0, SEALED_MAX) };
    }),
    holds: status.holds.slice(0, HELD_MAX).map(({ job, rank, sealed }) => {
      return { job, rank, sealed: sealed.slice(0, SEALED_MAX) };
    }),
    members: status.members.map((member) => ({ ...member, reason: cut(member.reason) })),
  };
}

function reportedJob(record: ClusterJob): ReportedJob {
  const { spec, epoch, revision, state, placement, sealed, exitCode, verdict } = record;
  const { id, ranks, argv } = spec;
  const rollbacks = (record.lineage ?? []).slice(-ROLLBACKS_MAX);
  return {
    rollbacks: rollbacks.map(({ epoch: at, base }) => ({ epoch: at, base })),
    ...{ id, state, epoch, revision, ranks, placement, sealed, exitCode },
    verdict: verdict === null ? null : cut(verdict),
    argv: argv.slice(0, ARGUMENTS_MAX).map(cut),
  };
}

export class StatusReport {
  readonly #parts: StatusReportParts;
  readonly #lines: readonly Line[];
  readonly #startedMs: number;
  #seq = 0;
  #timer: Timer | null = null;
  #timerAtMs: number = Number.POSITIVE_INFINITY;
  #isStopped = false;
  #unsubscribe: () => void = () => undefined;

  constructor(parts: StatusReportParts) {
    this.#parts = parts;
    this.#startedMs = parts.clock.wallMs();
    this.#lines = parts.managers.map((manager) => ({
      manager,
      isSending: false,
      isStale: false,
      wantsInventory: false,
      isRefused: null,
    }));
  }

  begin(): void {
    if (this.#lines.length === 0) return;
    this.#unsubscribe = this.#parts.cluster.onChange(() => this.touch());
    this.touch();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.end();
    this.#unsubscribe();
  }

  /** Something has changed that is worth a report within `withinMs`. */
  touch(withinMs: number = REPORT_DEBOUNCE_MS): void {
    if (this.#isStopped || this.#lines.length === 0) return;
    const atMs = this.#parts.clock.nowMs() + withinMs;
    if (atMs < this.#timerAtMs) this.#arm(withinMs);
  }

  #arm(delayMs: number): void {
    this.#timer?.end();
    this.#timerAtMs = this.#parts.clock.nowMs() + delayMs;
    this.#timer = this.#parts.clock.after(delayMs, () => {
      this.#arm(REPORT_EVERY_MS);
      for (const line of this.#lines) this.#send(line);
    });
  }

  #send(line: Line): void {
    if (line.isSending) {
      line.isStale = true;
      return;
    }
    line.isSending = true;
    line.isStale = false;
    void this.#put(line).then((wantsMore) => {
      line.isSending = false;
      if (!this.#isStopped && (wantsMore || line.isStale)) this.#send(line);
    });
  }

  /** Whether another one is wanted at once. */
  async #put(line: Line): Promise<boolean> {
    const { node, caller, log } = this.#parts;
    const hadInventory = line.wantsInventory;
    const answer = await askJson<ReportAnswer>(caller, {
      target: { role: "manager", url: line.manager },
      path: `${NODES_PATH}/${encodeURIComponent(node)}`,
      method: "PUT",
      body: JSON.stringify(this.#report(line.wantsInventory)),
      schema: reportAnswerSchema,
      timeoutMs: ANSWER_WITHIN_MS,
    });
    if (!answer.ok) {
      if (line.isRefused !== true) log.say("detail", `report to a manager: ${answer.error.detail}`);
      line.isRefused = true;
      return false;
    }
    if (line.isRefused === true) log.say("detail", `manager ${line.manager} takes reports again`);
    line.isRefused = false;
    line.wantsInventory = answer.value.wantsInventory;
    return line.wantsInventory && !hadInventory;
  }

  #report(withInventory: boolean): NodeReport {
    const { node, run, cluster, clock } = this.#parts;
    const inventory = this.#parts.inventory();
    const text = JSON.stringify(inventory);
    return {
      v: 1,
      node,
      run,
      startedMs: this.#startedMs,
      seq: ++this.#seq,
      atMs: clock.wallMs(),
      status: reportedStatus(cluster),
      jobs: cluster.records().slice(0, JOBS_MAX).map(reportedJob),
      bmcs: this.#parts.bmcs(),
      inventoryDigest: new Bun.CryptoHasher("sha256").update(text).digest("hex"),
      inventory: withInventory ? inventory : null,
      callhome: this.#parts.callhome(),
    };
  }
}
