/**
 * Questions that need the other nodes: the whole cluster's status, and what would happen if some of it died.
 *
 * Each member is asked with a short bound; one that does not answer is told as what it is, so the answer always comes.
 */
import { createCore } from "../../../core/core.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Holding, NodeHoldings, Version } from "../../checkpoint/checkpoint.ts";
import type { Identity } from "../../identity/identity.ts";
import { compareNodeIds, type Member, type NodeId } from "../../membership/membership.ts";
import type { MemberStatus } from "../../membership/membership-events.ts";
import { askAgent } from "../../net/io/http-client.ts";
import type { Problem } from "../../net/problem.ts";
import { selectCommonState } from "../../proxy/selection.ts";
import type { NodeMachine } from "../node-machine.ts";
import type { CandidateOrder } from "../placement.ts";
import { type WhatIfAnswer, whatIf } from "../what-if.ts";
import { type ClusterStatus, type NodeStatus, type SilentNode, summaryOf } from "./status.ts";

const ANSWER_WITHIN_MS = 500;

export interface QuerySource {
  /** As whom other nodes are asked. */
  readonly identity: Identity | null;
  readonly own: string;
  readonly machine: NodeMachine;
  status(): NodeStatus;
  sealedAtMs(job: string, version: Version): number | null;
  readonly order: CandidateOrder;
}

export function addressOf({ address, port }: Pick<Member, "address" | "port">): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function silent({ member, standing, reason }: MemberStatus, why: string): SilentNode {
  const { id, address, port, role, incarnation } = member;
  const state = standing === "alive" ? "unreachable" : standing;
  const shown = standing === "alive" ? why : reason;
  return {
    ...{ id, address, port, role, incarnation },
    state,
    reason: shown,
    epoch: 0,
    pid: null,
    ranks: [],
  };
}

async function askMember(
  line: MemberStatus,
  identity: Identity | null,
): Promise<NodeStatus | SilentNode> {
  // A member that is known to be gone is not waited for.
  if (line.standing === "dead" || line.standing === "left") return silent(line, line.reason);
  const at = addressOf(line.member);
  const answer = await askAgent<NodeStatus>({
    ...{ at, path: "/v1/node", timeoutMs: ANSWER_WITHIN_MS, identity },
  });
  if (!answer.ok) return silent(line, answer.error.detail);
  if (answer.value.id !== line.member.id) return silent(line, `${answer.value.id} answers there`);
  return answer.value;
}

export async function clusterStatus(source: QuerySource): Promise<ClusterStatus> {
  const others = source.machine
    .membership()
    .members()
    .filter(({ member }) => member.id !== source.own);
  const answers = others.map((line) => askMember(line, source.identity));
  const nodes = [source.status(), ...(await Promise.all(answers))];
  nodes.sort((a, b) => compareNodeIds(a.id as NodeId, b.id as NodeId));
  const view = source.machine.view();
  return {
    asked: source.own,
    epoch: view?.epoch ?? 0,
    lead: source.machine.lead(),
    nodes,
    jobs: source.machine.records().map(summaryOf),
  };
}

async function holdingsOf(source: QuerySource, member: Member): Promise<NodeHoldings> {
  if (member.id === source.own) return { node: member.id, holdings: source.machine.holdings() };
  const answer = await askAgent<readonly Holding[]>({
    at: addressOf(member),
    path: "/v1/holdings",
    timeoutMs: ANSWER_WITHIN_MS,
    identity: source.identity,
  });
  return { node: member.id, holdings: answer.ok ? answer.value : [] };
}

export async function askWhatIf(
  source: QuerySource,
  lost: readonly string[],
): Promise<Result<WhatIfAnswer, Problem>> {
  const view = source.machine.view();
  if (view === null) {
    return err({ kind: "frozen", detail: `${source.own} is in no view yet: try again later` });
  }
  const frozen = source.machine.frozen();
  if (frozen !== null) {
    const detail = `nobody acts here already: ${frozen}; \`holdfast status\` shows who is missing`;
    return err({ kind: "frozen", detail });
  }
  const known = view.members.map((member) => member.id as string);
  const stranger = lost.find((node) => !known.includes(node));
  if (stranger !== undefined) {
    const detail = `${stranger} is no member of the cluster; members are ${known.join(", ")}`;
    return err({ kind: "not-found", detail });
  }
  const holdings = await Promise.all(view.members.map((member) => holdingsOf(source, member)));
  const core = createCore();
  return ok(
    whatIf(
      {
        view,
        lost: lost as readonly NodeId[],
        records: source.machine.records(),
        holdings,
        sealedAtMs: (job, version) => source.sealedAtMs(job, version),
        nowMs: Date.now(),
      },
      { order: source.order, select: (input) => selectCommonState(input, core) },
    ),
  );
}
