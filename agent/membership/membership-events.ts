/**
 * Events and effects of the membership machine: all that its shell, the simulator and the composed node need to know of it.
 *
 * The machine is `step(event, nowMs) → effects`; effects are done in their order. `nowMs` is a monotonic clock.
 * Persisting comes before what depends on it: the machine holds such effects back until `persisted`.
 */
import type { Epoch, Member, NodeId, Role, Standing, View } from "./membership.ts";
import type { Endpoint, Packet } from "./packet.ts";
import type { MembershipTiming } from "./timing.ts";
import type { Accepted, Ballot, ViewMessage } from "./view-message.ts";

export interface MembershipConfig {
  readonly id: NodeId;
  /**
   * For a fresh data folder: drawn at random by the shell, `[A-Za-z0-9-]{1,40}`, unique in the world.
   * Not looked at when there is a saved state, which has its own.
   */
  readonly instance: string;
  /** The address others reach this node at; UDP and TCP share the port. */
  readonly address: string;
  readonly port: number;
  readonly role: Role;
  /**
   * Begin a cluster when there is no saved view: at once without seeds, else when none of them answers.
   * Exactly one node of a new cluster has it.
   */
  readonly found: boolean;
  /** Default: DEFAULT_TIMING. */
  readonly timing?: MembershipTiming;
}

/** What must survive a crash. Written as a whole; the newest wins. */
export interface SavedMembership {
  readonly format: 1;
  readonly id: NodeId;
  readonly instance: string;
  /** Of the run that wrote it; the next run counts one up. */
  readonly incarnation: number;
  /** The founder's instance; empty while it belongs to none. */
  readonly cluster: string;
  readonly view: View | null;
  /** What this node promised as a voter for the epoch after `view`. */
  readonly promised: Ballot;
  readonly accepted: Accepted | null;
}

/** What a TCP check found. `accepted`: the kernel took the connection, the agent did not answer in time (it is stalled). */
export type TcpOutcome = "answered" | "accepted" | "refused" | "silent";

export type MembershipEvent =
  /** First event of a run. Seeds may be empty and may name this node itself. */
  | { readonly kind: "start"; readonly seeds: readonly Endpoint[] }
  /** `dueMs()` has come. A tick too early is harmless, one too late tells the machine that it was stalled. */
  | { readonly kind: "tick" }
  | { readonly kind: "packet"; readonly from: Endpoint; readonly packet: Packet }
  | { readonly kind: "message"; readonly from: NodeId; readonly message: ViewMessage }
  | { readonly kind: "link-opened"; readonly peer: NodeId }
  | { readonly kind: "link-closed"; readonly peer: NodeId }
  /** A redial was refused: no process listens where the peer was. */
  | { readonly kind: "link-refused"; readonly peer: NodeId }
  | { readonly kind: "tcp-checked"; readonly token: number; readonly outcome: TcpOutcome }
  /** This state and all before it are on disk. */
  | { readonly kind: "persisted"; readonly token: number }
  /** A view after the present one, with the same members if nothing else is to change. */
  | { readonly kind: "want-epoch"; readonly reason: string }
  /** Go in good order. `left` follows. */
  | { readonly kind: "leave" };

export type MembershipEffect =
  | { readonly kind: "send-packet"; readonly to: Endpoint; readonly packet: Packet }
  /** Over the link to `to`; dial `address:port` when there is none. May be lost: the machine asks again. */
  | {
      readonly kind: "send";
      readonly to: NodeId;
      readonly address: string;
      readonly port: number;
      readonly message: ViewMessage;
    }
  /**
   * Connect by TCP and ask who is there. `answered` only when it answers as this id and instance; another one there is
   * `refused`. Answer with `tcp-checked` within `timeoutMs`.
   */
  | {
      readonly kind: "check-tcp";
      readonly token: number;
      readonly to: Endpoint;
      readonly id: NodeId;
      readonly instance: string;
      readonly timeoutMs: number;
    }
  /** Write and sync, in order; answer with `persisted`. A newer state may stand for older ones. */
  | { readonly kind: "persist"; readonly token: number; readonly state: SavedMembership }
  /**
   * A newer view is agreed and on disk. It may lack this node: then `frozen` comes before it in the same step.
   * Epochs only rise, and may skip (the views between were never seen here).
   */
  | { readonly kind: "view"; readonly view: View; readonly previous: View | null }
  /** No quorum, or not in the newest view: neither roll back nor write. Emitted anew when the reason changes in kind. */
  | { readonly kind: "frozen"; readonly reason: string }
  /** The present view (the last `view` effect) is in force again. */
  | { readonly kind: "thawed" }
  | {
      readonly kind: "standing";
      readonly member: Member;
      readonly standing: Standing;
      readonly reason: string;
    }
  /** The others agreed to go on without us, or there are none: the agent may end. */
  | { readonly kind: "left" }
  | { readonly kind: "log"; readonly level: "info" | "warn" | "error"; readonly text: string };

/** One line of `status` and `explain`. */
export interface MemberStatus {
  readonly member: Member;
  readonly standing: Standing;
  readonly reason: string;
  readonly inView: boolean;
  readonly epoch: Epoch | 0;
  /** Since its last direct answer to a probe of ours; null for never (and for this node itself). */
  readonly answeredAgoMs: number | null;
  readonly rebuttal: number;
  readonly suspicion: {
    readonly confirmedBy: readonly NodeId[];
    readonly verdictInMs: number;
  } | null;
}

export interface OwnHealth {
  /** 0 good … 8: how far own timeouts are stretched. */
  readonly awareness: number;
  /** Times this run was held up long enough to void what it had under way. */
  readonly stalls: number;
}
