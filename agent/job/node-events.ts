/**
 * What the decision code of one agent is told and asks to be done. `NodeMachine` (`node-machine.ts`) composes membership
 * and jobs; the agent's shell and the simulator both drive it with exactly these.
 *
 * Handles: a proxy process has a number chosen by the machine (`proxy`), unique within a run of the agent. A program is
 * named by job and rank; at most one lives on a node. Tokens are chosen by the machine and echoed by the world.
 */
import type { StoreCommand, StoreEvent } from "../checkpoint/checkpoint.ts";
import type { Epoch, NodeId, Role } from "../membership/membership.ts";
import type { MembershipEffect, MembershipEvent } from "../membership/membership-events.ts";
import type { AgentToProxy, ProxyToAgent } from "../proxy/proxy.ts";
import type { JobMessage, JobRecord, JobRequest, NodeLoad } from "./job.ts";

export type NodeEvent =
  | { readonly kind: "membership"; readonly event: MembershipEvent }
  /** A job message of another member (over the link). */
  | { readonly kind: "job-message"; readonly from: NodeId; readonly message: JobMessage }
  | { readonly kind: "tick" }
  /** The record asked for by `persist-record` is on disk. */
  | { readonly kind: "record-persisted"; readonly token: number }
  /** The control socket of a proxy carried a line. `host` of its endpoint is the node's own address. */
  | { readonly kind: "proxy-says"; readonly proxy: number; readonly message: ProxyToAgent }
  | { readonly kind: "proxy-exited"; readonly proxy: number; readonly detail: string }
  | {
      readonly kind: "program-started";
      readonly job: string;
      readonly rank: number;
      readonly pid: number;
    }
  /** `code` null: ended by a signal, or it could not be started at all (`detail` says why, `code` 127). */
  | {
      readonly kind: "program-exited";
      readonly job: string;
      readonly rank: number;
      readonly pid: number;
      readonly code: number | null;
      readonly detail: string;
    }
  | { readonly kind: "store"; readonly event: StoreEvent }
  /** How the node is doing; every second or so. */
  | { readonly kind: "load"; readonly load: NodeLoad }
  /** A user asked this agent; answered by effect `reply` with the same token. */
  | { readonly kind: "request"; readonly token: string; readonly request: JobRequest };

export type NodeEffect =
  | { readonly kind: "membership"; readonly effect: MembershipEffect }
  | {
      readonly kind: "send-job-message";
      readonly to: NodeId;
      readonly address: string;
      readonly port: number;
      readonly message: JobMessage;
    }
  /** Write the record durably (fsync), replacing the one of the same job, then say `record-persisted`. */
  | { readonly kind: "persist-record"; readonly token: number; readonly record: JobRecord }
  /** Start a proxy process; it will say `listening`. */
  | { readonly kind: "spawn-proxy"; readonly proxy: number }
  | { readonly kind: "tell-proxy"; readonly proxy: number; readonly message: AgentToProxy }
  /** SIGKILL; answered by `proxy-exited`. */
  | { readonly kind: "kill-proxy"; readonly proxy: number }
  | {
      readonly kind: "start-program";
      readonly record: JobRecord;
      readonly rank: number;
      readonly segment: string;
      readonly regionsFolder: string;
    }
  /** SIGKILL with its process group; answered by `program-exited`. */
  | { readonly kind: "kill-program"; readonly job: string; readonly rank: number }
  /** SIGSTOP and SIGCONT to its process group: a node without a quorum must not compute on. */
  | { readonly kind: "pause-program"; readonly job: string; readonly rank: number }
  | { readonly kind: "continue-program"; readonly job: string; readonly rank: number }
  /** Remove the shared-memory files of these ranks (job over, or the rank moved away). */
  | { readonly kind: "remove-segments"; readonly job: string; readonly rank: number }
  | { readonly kind: "store"; readonly command: StoreCommand }
  | {
      readonly kind: "reply";
      readonly token: string;
      readonly job: string | null;
      readonly refused: string | null;
    }
  /** A line for who watches the job, among the output of this rank: something only a user can mend. */
  | { readonly kind: "warn"; readonly job: string; readonly rank: number; readonly text: string }
  /** The decision log: one line that a user can read, with the phase it belongs to for timing. */
  | {
      readonly kind: "decision";
      readonly epoch: Epoch;
      readonly job: string | null;
      readonly phase: Phase;
      readonly text: string;
    };

export type Phase =
  | "suspect"
  | "view"
  | "report"
  | "assign"
  | "joined"
  | "idle"
  | "select"
  | "restore"
  | "resume"
  | "checkpoint"
  | "seal"
  | "end"
  | "frozen"
  | "fault";

/** What is fixed for a run of an agent. */
export interface NodeConfig {
  readonly id: NodeId;
  readonly address: string;
  readonly role: Role;
  /** Folder for segments and regions, on tmpfs: `<folder>/<job>/rank-<r>/{segment,regions/,mailbox}`. */
  readonly sharedMemoryFolder: string;
  /** A program that does not reach a call within this time after a fault is ended and started anew. */
  readonly idleWithinMs: number;
  /** A recovery that makes no progress within this time asks for a new epoch. */
  readonly phaseWithinMs: number;
  /** Wall clock at start minus monotonic clock at start, so that pure code can date its history lines. */
  readonly wallOffsetMs: number;
}
