/**
 * Names of principals: what may stand in one, and the SPIFFE id it is written as in certificates and tokens.
 *
 * The alphabet is that of SPIFFE paths without escapes, so that a name is the same text in a certificate, a URL, a file name and
 * a log line; 64 is what a common name may have. The cluster is a trust domain: lower case.
 */
import { type Principal, type PrincipalRole, ROLES } from "./identity.ts";

/** Cluster of processes that have no identity folder; nobody is authenticated in it. */
export const LOCAL_CLUSTER = "local";

const CLUSTER = /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/;
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;
const ID = /^spiffe:\/\/([^/]+)\/([^/]+)\/([^/]+)$/;
/** Longer is no id of ours; looked at before the expression is. */
const ID_CHARS_MAX = 320;

export const NAME_RULE =
  "letters, digits, and between them dots, dashes and underscores; at most 64";
export const CLUSTER_RULE =
  "small letters, digits, and between them dots and dashes; at most 63; not local";

export function isName(name: string): boolean {
  return NAME.test(name);
}

/** `local` is taken by those who have no authority. */
export function isClusterName(cluster: string): boolean {
  return cluster !== LOCAL_CLUSTER && CLUSTER.test(cluster);
}

export function isRole(role: string): role is PrincipalRole {
  return (ROLES as readonly string[]).includes(role);
}

/** null: not an id of a principal of holdfast. */
export function parseSpiffeId(id: string): Principal | null {
  const match = id.length <= ID_CHARS_MAX ? ID.exec(id) : null;
  const [, cluster = "", role = "", name = ""] = match ?? [];
  return CLUSTER.test(cluster) && isRole(role) && NAME.test(name) ? { cluster, role, name } : null;
}
