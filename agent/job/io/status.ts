/**
 * What an agent answers when it is asked how things are: the JSON of `/v1/node`, `/v1/status`, `/v1/jobs` and friends.
 *
 * These shapes are the commands' `--json` too, so fields are added, never renamed.
 */
import type { Version } from "../../checkpoint/checkpoint.ts";
import type { Role } from "../../membership/membership.ts";
import type { JobRecord, JobState, NodeLoad } from "../job.ts";
import type { NodeMachine } from "../node-machine.ts";

export const HOLDFAST_VERSION = "0.1.0";

export interface RankStatus {
  readonly job: string;
  readonly rank: number;
  readonly programPid: number;
  readonly proxyPid: number;
  readonly epoch: number;
  /** Versions of this rank that lie sealed on this node, newest first. */
  readonly sealed: readonly number[];
}

export interface HeldStatus {
  readonly job: string;
  readonly rank: number;
  readonly sealed: readonly number[];
}

export interface MemberLine {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly role: Role;
  readonly incarnation: number;
  readonly standing: string;
  readonly reason: string;
  readonly inView: boolean;
}

export interface NodeStatus {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  /** `alive`; `frozen` without a quorum; `joining` before its first view. */
  readonly state: "alive" | "frozen" | "joining";
  readonly reason: string | null;
  readonly role: Role;
  readonly instance: string;
  readonly incarnation: number;
  readonly epoch: number;
  readonly lead: string | null;
  /** Of the agent. */
  readonly pid: number;
  readonly version: string;
  readonly ranks: readonly RankStatus[];
  /** Every rank of which this node holds sealed states, its own and its partners'. */
  readonly holds: readonly HeldStatus[];
  readonly members: readonly MemberLine[];
  readonly load: NodeLoad;
}

/** A node that did not answer, as the asked agent knows it. */
export interface SilentNode {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly state: "unreachable" | "suspect" | "dead" | "left";
  readonly reason: string;
  readonly role: Role;
  readonly incarnation: number;
  readonly epoch: number;
  readonly pid: null;
  readonly ranks: readonly [];
}

export interface ClusterStatus {
  /** Who answered. */
  readonly asked: string;
  readonly epoch: number;
  readonly lead: string | null;
  readonly nodes: readonly (NodeStatus | SilentNode)[];
  readonly jobs: readonly JobSummary[];
}

export interface JobSummary {
  readonly id: string;
  readonly state: JobState;
  readonly epoch: number;
  readonly ranks: number;
  readonly placement: readonly string[];
  /** Newest sealed version; 0 for none. */
  readonly sealed: number;
  readonly exitCode: number | null;
  readonly verdict: string | null;
  readonly argv: readonly string[];
}

export function summaryOf(record: JobRecord): JobSummary {
  const { spec, state, epoch, placement, sealed, exitCode, verdict } = record;
  const { id, ranks, argv } = spec;
  return { id, state, epoch, ranks, placement, sealed, exitCode, verdict, argv };
}

function newestFirst(versions: Iterable<Version>): readonly number[] {
  return [...new Set<number>(versions)].sort((a, b) => b - a);
}

function heldBy(machine: NodeMachine): readonly HeldStatus[] {
  const byRank = Map.groupBy(
    machine.holdings().filter((holding) => holding.sealed),
    (holding) => `${holding.job}/${holding.rank}`,
  );
  return [...byRank.values()].flatMap((held) => {
    const [first] = held;
    if (first === undefined) return [];
    const sealed = newestFirst(held.map((holding) => holding.version));
    return [{ job: first.job, rank: first.rank, sealed }];
  });
}

export function nodeStatus(machine: NodeMachine, own: string, load: NodeLoad): NodeStatus {
  const members = machine.membership().members();
  const self = members.find(({ member }) => member.id === own)?.member;
  const view = machine.view();
  const frozen = machine.frozen();
  const holds = heldBy(machine);
  return {
    id: own,
    address: self?.address ?? "",
    port: self?.port ?? 0,
    state: view === null ? "joining" : frozen === null ? "alive" : "frozen",
    reason: frozen,
    role: self?.role ?? "worker",
    instance: self?.instance ?? "",
    incarnation: self?.incarnation ?? 0,
    epoch: view?.epoch ?? 0,
    lead: machine.lead(),
    pid: process.pid,
    version: HOLDFAST_VERSION,
    ranks: machine.running().map((running) => ({
      job: running.job,
      rank: running.rank,
      programPid: running.pid,
      proxyPid: running.proxyPid,
      epoch: running.epoch,
      sealed:
        holds.find((held) => held.job === running.job && held.rank === running.rank)?.sealed ?? [],
    })),
    holds,
    members: members.map(({ member, standing, reason }) => {
      const { id, instance, address, port, role, incarnation } = member;
      // Of the view whose epoch is told above: membership may have agreed on the next one already.
      const inView =
        view?.members.some((one) => one.id === id && one.instance === instance) ?? false;
      return { id, address, port, role, incarnation, standing, reason, inView };
    }),
    load,
  };
}
