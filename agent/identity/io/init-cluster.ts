/**
 * Makes a cluster on its first machine: the authority, the identity of this node, and one for whoever types commands.
 *
 * Each of the three is made where it is missing and left alone where it is there, so a second run changes nothing, and one
 * that was interrupted is finished by the next.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { Problem } from "../../net/problem.ts";
import type { Principal } from "../identity.ts";
import { admit } from "./admission.ts";
import { type AuthorityOffice, createAuthority, openAuthorityOffice } from "./authority-office.ts";
import { hasAuthority } from "./authority-store.ts";
import { authoritiesOf } from "./bundle.ts";
import { fingerprintOf } from "./certificates.ts";
import { checkCredentials, keepCredentials, kept, makeKeys, requestsOf } from "./credentials.ts";
import { isSame } from "./door-client.ts";
import {
  authorityFolderOf,
  hasIdentity,
  makeIdentityFolder,
  readIdentityFolder,
  writeTrust,
} from "./identity-folder.ts";

export interface InitOrder {
  /** null: the one that is there, or `holdfast`. */
  readonly cluster: string | null;
  readonly identityFolder: string;
  readonly nodeName: string;
  readonly operatorFolder: string;
  readonly operatorName: string;
}

export interface Made {
  readonly folder: string;
  readonly principal: Principal;
  readonly isNew: boolean;
}

export interface InitReport {
  readonly cluster: string;
  readonly authorityFolder: string;
  readonly fingerprint: string;
  readonly isNew: boolean;
  readonly node: Made;
  /** The problem: an identity of another cluster lies there, and is left alone. */
  readonly operator: Result<Made, Problem>;
}

export const DEFAULT_CLUSTER = "holdfast";

/** Straight from the authority, on its own machine. */
export async function makeIdentityHere(
  office: AuthorityOffice,
  folder: string,
  principal: Principal,
): Promise<Result<Made, Problem>> {
  if (hasIdentity(folder)) {
    const there = readIdentityFolder(folder);
    if (!there.ok) return err({ kind: "refused", detail: there.error });
    if (isSame(there.value.principal, principal)) return ok({ folder, principal, isNew: false });
    const { role, name, cluster } = there.value.principal;
    const detail = `${folder} has the identity of ${role} ${name} of cluster ${cluster}`;
    return err({ kind: "refused", detail });
  }
  const keys = makeKeys();
  const answer = await admit(office, principal, requestsOf(principal, keys));
  if (!answer.ok) return answer;
  const trusted = authoritiesOf(await office.trust());
  const trust = checkCredentials(answer.value, keys, principal, trusted);
  if (!trust.ok) return trust;
  const problem =
    kept(folder, () => makeIdentityFolder(folder)) ??
    keepCredentials(folder, keys, answer.value) ??
    kept(folder, () => writeTrust(folder, trust.value));
  return problem === null ? ok({ folder, principal, isNew: true }) : err(problem);
}

/** Throws what the file system and SQLite throw. */
export async function initCluster(
  order: InitOrder,
  nowMs: () => number = Date.now,
): Promise<Result<InitReport, Problem>> {
  const { identityFolder } = order;
  const authorityFolder = authorityFolderOf(identityFolder);
  const isNew = !hasAuthority(authorityFolder);
  if (isNew && hasIdentity(identityFolder)) {
    const detail = `${identityFolder} is an identity of a cluster whose authority is elsewhere`;
    return err({ kind: "refused", detail });
  }
  await createAuthority(authorityFolder, order.cluster ?? DEFAULT_CLUSTER, nowMs());
  const office = openAuthorityOffice(authorityFolder, nowMs);
  try {
    const { cluster } = office;
    if (order.cluster !== null && order.cluster !== cluster) {
      const detail = `${authorityFolder} is the authority of cluster ${cluster}, not ${order.cluster}`;
      return err({ kind: "refused", detail });
    }
    const agent: Principal = { cluster, role: "agent", name: order.nodeName };
    const node = await makeIdentityHere(office, identityFolder, agent);
    if (!node.ok) return node;
    const person: Principal = { cluster, role: "operator", name: order.operatorName };
    const operator = await makeIdentityHere(office, order.operatorFolder, person);
    const [authority] = authoritiesOf(await office.trust());
    const fingerprint = authority === undefined ? "" : fingerprintOf(authority);
    return ok({ cluster, authorityFolder, fingerprint, isNew, node: node.value, operator });
  } finally {
    office.close();
  }
}
