/**
 * Keys and certificates come into an identity's folder: at `init`, at `join`, and when they are renewed.
 *
 * Keys are made here, and only requests leave. What is answered is checked before it is kept, against the keys and the name
 * that were asked for: an answer that does not fit changes nothing.
 */
import { createPublicKey, type KeyObject, type X509Certificate } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Problem } from "../../net/problem.ts";
import type { Principal } from "../identity.ts";
import type { CredentialsAnswer, Requests } from "../join-protocol.ts";
import type { JoinToken } from "../join-token.ts";
import type { Trust } from "../trust.ts";
import { authoritiesOf, readBundle } from "./bundle.ts";
import { isIssuedBy, readLeaf } from "./certificates.ts";
import { askToJoin, isSame } from "./door-client.ts";
import {
  hasIdentity,
  makeIdentityFolder,
  readBounded,
  readSettings,
  writePair,
  writeSettings,
  writeTrust,
  writeWhole,
} from "./identity-folder.ts";
import { type KeyPurpose, keyPem, makeKey, makeRequest, readKey } from "./keys.ts";

export interface NewKeys {
  readonly tls: KeyObject;
  readonly sign: KeyObject;
}

export function makeKeys(): NewKeys {
  return { tls: makeKey("tls"), sign: makeKey("sign") };
}

export function requestsOf(principal: Principal, keys: NewKeys): Requests {
  return { tls: makeRequest(principal, keys.tls), sign: makeRequest(principal, keys.sign) };
}

function refused(detail: string): { readonly ok: false; readonly error: Problem } {
  return err({ kind: "forbidden", detail: `the authority's answer does not fit: ${detail}` });
}

function certificateFault(
  pem: string,
  key: KeyObject,
  principal: Principal,
  authorities: readonly X509Certificate[],
): string | null {
  const leaf = readLeaf(pem);
  if (!leaf.ok) return leaf.error;
  const { publicKey, x509 } = leaf.value;
  if (!isSame(leaf.value.principal, principal)) return "its certificate is for another name";
  if (!createPublicKey(key).equals(publicKey)) return "its certificate is for another key";
  const isKnown = authorities.some((authority) => isIssuedBy(x509, authority));
  return isKnown ? null : "its certificate is from another authority";
}

/** The trust of an answer that is what was asked for. `trusted`: one of these must have signed its bundle. */
export function checkCredentials(
  answer: CredentialsAnswer,
  keys: NewKeys,
  principal: Principal,
  trusted: readonly X509Certificate[],
): Result<Trust, Problem> {
  const trust = readBundle(answer.bundle, trusted);
  if (!trust.ok) return refused(`its bundle: ${trust.error}`);
  if (trust.value.statement.cluster !== principal.cluster) {
    return refused(`it is of cluster ${trust.value.statement.cluster}`);
  }
  const authorities = authoritiesOf(trust.value);
  for (const purpose of ["tls", "sign"] as const) {
    const fault = certificateFault(answer[purpose], keys[purpose], principal, authorities);
    if (fault !== null) return refused(`${purpose}: ${fault}`);
  }
  return trust;
}

/** null: they are kept. What a full disk or a missing right leaves is what was there before. */
export function keepCredentials(
  folder: string,
  keys: NewKeys,
  answer: CredentialsAnswer,
): Problem | null {
  return kept(folder, () => {
    for (const purpose of ["tls", "sign"] as const) {
      writePair(folder, purpose, keyPem(keys[purpose]), answer[purpose]);
    }
  });
}

export function kept(folder: string, write: () => void): Problem | null {
  try {
    write();
    return null;
  } catch (cause) {
    return { kind: "not-kept", detail: `${folder}: ${(cause as Error).message}` };
  }
}

function pendingPath(folder: string, purpose: KeyPurpose): string {
  return join(folder, `joining-${purpose}.key.pem`);
}

/** Keys of an earlier try, so that a token whose answer was lost on the way is still of use. */
function pendingKey(folder: string, purpose: KeyPurpose): KeyObject {
  const path = pendingPath(folder, purpose);
  const text = readBounded(path);
  const known = text.ok ? readKey(text.value) : null;
  const key = known ?? makeKey(purpose);
  if (known === null) writeWhole(path, keyPem(key), 0o600);
  return key;
}

export interface JoinOrder {
  readonly door: string;
  readonly token: JoinToken;
  readonly name: string;
  readonly folder: string;
}

/** Whole afterwards, or as before: the bundle, by which a folder counts as one with an identity, is written last. */
export async function joinCluster(order: JoinOrder): Promise<Result<Principal, Problem>> {
  const { door, token, folder } = order;
  if (hasIdentity(folder)) {
    const detail = `there is an identity in ${folder}: see holdfast identity show`;
    return err({ kind: "refused", detail });
  }
  const principal: Principal = { cluster: token.cluster, role: token.role, name: order.name };
  let keys: NewKeys;
  try {
    makeIdentityFolder(folder);
    keys = { tls: pendingKey(folder, "tls"), sign: pendingKey(folder, "sign") };
  } catch (cause) {
    return err({ kind: "not-kept", detail: `${folder}: ${(cause as Error).message}` });
  }
  const joined = await askToJoin(door, token, requestsOf(principal, keys));
  if (!joined.ok) return joined;
  const { answer, authority } = joined.value;
  const trust = checkCredentials(answer, keys, principal, [authority]);
  if (!trust.ok) return trust;
  const problem =
    keepCredentials(folder, keys, answer) ??
    kept(folder, () => {
      const { doors } = readSettings(folder);
      writeSettings(folder, { doors: [door, ...doors.filter((one) => one !== door)] });
      writeTrust(folder, trust.value);
      forgetPending(folder);
    });
  return problem === null ? ok(principal) : err(problem);
}

function forgetPending(folder: string): void {
  for (const purpose of ["tls", "sign"] as const) {
    rmSync(pendingPath(folder, purpose), { force: true });
  }
}
