/**
 * Ends of local processes that concern others: programs that ended by themselves, and faults.
 *
 * An exit is repeated to the lead until the record shows it. A fault is told with the next report and explains the
 * recovery; it asks for a new epoch at once.
 */
import type { NodeId } from "../membership/membership.ts";
import type { EffectSink } from "./effects.ts";
import type { JobRecord, LocalFault, PendingExit } from "./job.ts";

const FAULTS_MAX = 64;

export class LocalEnds {
  exits: readonly PendingExit[] = [];
  faults: readonly LocalFault[] = [];

  addExit(exit: PendingExit): void {
    this.exits = [...this.exits, exit];
  }

  addFault(fault: LocalFault, sink: EffectSink): void {
    this.faults = [...this.faults, fault].slice(-FAULTS_MAX);
    sink.decide("fault", fault.job, fault.detail);
    sink.wantEpoch(fault.detail);
  }

  /** The job runs under a new plan: what ended before is history. */
  forget(job: string): void {
    this.exits = this.exits.filter((exit) => exit.job !== job);
    this.faults = this.faults.filter((fault) => fault.job !== job);
  }

  clear(): void {
    this.exits = [];
    this.faults = [];
  }

  /** Drops the exits that the record shows, or that it is over without. */
  onRecord(record: JobRecord, isOver: boolean): void {
    this.exits = this.exits.filter(({ job, exit }) => {
      if (job !== record.spec.id) return true;
      return !isOver && !record.exits.some((known) => known.rank === exit.rank);
    });
  }

  send(lead: NodeId, sink: EffectSink): void {
    for (const { job, epoch, exit } of this.exits) {
      sink.send(lead, { kind: "exited", epoch, job, exit });
    }
  }
}
