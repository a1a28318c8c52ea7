/**
 * Who gets certificates from an authority: who brings a token, and who has a certificate already.
 *
 * Invariants: a token gives one set of keys certificates, however often it is shown, so that whoever lost the answer may ask
 * again; a certificate is only for the name that the token, or the certificate before it, is for; what is answered is durable.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Problem } from "../../net/problem.ts";
import type { Principal } from "../identity.ts";
import {
  type CredentialsAnswer,
  type JoinRequest,
  RENEWAL_AGE_MS_MAX,
  type RenewalStatement,
  type Requests,
} from "../join-protocol.ts";
import { type IssuedCertificate, issueLeaf, timesFrom } from "./authority.ts";
import type { AuthorityOffice } from "./authority-office.ts";
import type { TokenRow } from "./authority-store.ts";
import { sha256Hex } from "./bundle.ts";
import { hasClusterKeys } from "./held-identity.ts";
import { type CertificateRequest, readRequest } from "./x509.ts";

/** Wrong secrets after which a token is of no use any more. */
export const TOKEN_FAILURES_MAX = 5;

const NEW_TOKEN = "make one with holdfast identity token";

interface ProvenRequests {
  readonly principal: Principal;
  readonly tls: CertificateRequest;
  readonly sign: CertificateRequest;
}

interface Issued {
  readonly authority: number;
  readonly tls: IssuedCertificate;
  readonly sign: IssuedCertificate;
}

function refuse(
  kind: Problem["kind"],
  detail: string,
): { readonly ok: false; readonly error: Problem } {
  return err({ kind, detail });
}

/** Of both keys: what makes a second joining with one token the same one. */
function digestOf({ tls, sign }: ProvenRequests): string {
  return createHash("sha256").update(tls.spki).update(sign.spki).digest("hex");
}

/** The token, if its secret is known and it has not expired. */
function knownToken(
  office: AuthorityOffice,
  { id, secret }: JoinRequest,
  nowMs: number,
): Result<TokenRow, Problem> {
  const token = office.store.token(id);
  const given = Buffer.from(sha256Hex(Buffer.from(secret)));
  // Compared also where there is no such token, so that the answer takes as long.
  const isRight = timingSafeEqual(given, Buffer.from(token?.secretSha256 ?? "0".repeat(64)));
  if (token !== null && !isRight) office.store.noteTokenFailure(id);
  if (token === null || !isRight || token.failures >= TOKEN_FAILURES_MAX) {
    return refuse("forbidden", `the token is not known, or was tried too often: ${NEW_TOKEN}`);
  }
  if (nowMs < token.expiresMs) return ok(token);
  const at = new Date(token.expiresMs).toISOString();
  return refuse("forbidden", `the token expired ${at}: ${NEW_TOKEN}`);
}

async function prove(
  office: AuthorityOffice,
  requests: Requests,
): Promise<Result<ProvenRequests, Problem>> {
  const tls = await readRequest(requests.tls, "tls");
  if (!tls.ok) return refuse("bad-request", `the request for TLS: ${tls.error}`);
  const sign = await readRequest(requests.sign, "sign");
  if (!sign.ok) return refuse("bad-request", `the request for signatures: ${sign.error}`);
  const { principal } = sign.value;
  const other = tls.value.principal;
  const { cluster, role, name } = principal;
  if (role !== other.role || name !== other.name || cluster !== other.cluster) {
    return refuse("bad-request", "the two requests are not of one name");
  }
  if (cluster !== office.cluster) {
    return refuse("forbidden", `this is cluster ${office.cluster}, not ${cluster}`);
  }
  return ok({ principal, tls: tls.value, sign: sign.value });
}

async function issue(
  office: AuthorityOffice,
  { principal, tls, sign }: ProvenRequests,
  nowMs: number,
): Promise<Issued> {
  const { generation, pair } = office.current();
  const order = { principal, times: timesFrom(nowMs, office.leafDays) };
  return {
    authority: generation,
    tls: await issueLeaf(pair, { ...order, purpose: "tls", spki: tls.spki }),
    sign: await issueLeaf(pair, { ...order, purpose: "sign", spki: sign.spki }),
  };
}

function keepIssued(
  office: AuthorityOffice,
  { role, name }: Principal,
  issued: Issued,
  nowMs: number,
): void {
  const { authority } = issued;
  for (const purpose of ["tls", "sign"] as const) {
    const { serial, notAfterMs } = issued[purpose];
    office.store.addIssued({
      serial,
      authority,
      role,
      name,
      purpose,
      issuedMs: nowMs,
      notAfterMs,
    });
  }
}

async function answer(
  office: AuthorityOffice,
  principal: Principal,
  issued: Issued,
): Promise<CredentialsAnswer> {
  const { bundle } = await office.trust();
  const clusterKeys = hasClusterKeys(principal) ? bundle.clusterKeys : [];
  const { tls, sign } = issued;
  return { ...principal, tls: tls.cert, sign: sign.cert, bundle: { ...bundle, clusterKeys } };
}

/** Whether a token may be used for what is asked. */
function mayUse(
  office: AuthorityOffice,
  token: TokenRow,
  { role, name }: Principal,
  by: string,
): Problem | null {
  if (role !== token.role || (token.name !== null && token.name !== name)) {
    const own = `${token.role} ${token.name ?? "of any name"}`;
    return { kind: "forbidden", detail: `the token is for ${own}, not for ${role} ${name}` };
  }
  if (token.usedMs !== null) {
    const isAgain = token.usedBy === by && token.usedName === name;
    return isAgain ? null : { kind: "refused", detail: `the token was used: ${NEW_TOKEN}` };
  }
  if (token.name === null && office.isTaken(role, name)) {
    const remedy = `revoke it, or make a token with --role ${role} --name ${name}`;
    return { kind: "refused", detail: `${role} ${name} has certificates already: ${remedy}` };
  }
  return null;
}

/** A token that names who it is for takes the name over from who had it. */
export async function join(
  office: AuthorityOffice,
  request: JoinRequest,
): Promise<Result<CredentialsAnswer, Problem>> {
  const nowMs = office.nowMs();
  const token = knownToken(office, request, nowMs);
  if (!token.ok) return token;
  const proven = await prove(office, request.requests);
  if (!proven.ok) return proven;
  const { principal } = proven.value;
  const by = digestOf(proven.value);
  const refusal = mayUse(office, token.value, principal, by);
  if (refusal !== null) return err(refusal);
  const { role, name } = principal;
  const isAgain = token.value.usedMs !== null;
  const issued = await issue(office, proven.value, nowMs);
  const isFirst = office.store.transaction(() => {
    if (!isAgain && !office.store.useToken(request.id, nowMs, by, name)) return false;
    if (!isAgain && office.store.revoke(role, name, nowMs, "retired") > 0) {
      office.store.raiseRevision();
    }
    keepIssued(office, principal, issued, nowMs);
    return true;
  });
  if (!isFirst) return refuse("refused", `the token was used just now: ${NEW_TOKEN}`);
  return ok(await answer(office, principal, issued));
}

/** `asker` is who signed the statement, with a certificate that holds now. */
export async function renew(
  office: AuthorityOffice,
  asker: Principal,
  { askedMs, requests }: RenewalStatement,
): Promise<Result<CredentialsAnswer, Problem>> {
  const nowMs = office.nowMs();
  if (Math.abs(nowMs - askedMs) > RENEWAL_AGE_MS_MAX) {
    const ageMs = Math.round(nowMs - askedMs);
    return refuse("forbidden", `the request for renewal is ${ageMs} ms old: set the clocks`);
  }
  return await admit(office, asker, requests);
}

/** Certificates for `principal`, whom the caller knows to be the one that asks. */
export async function admit(
  office: AuthorityOffice,
  principal: Principal,
  requests: Requests,
): Promise<Result<CredentialsAnswer, Problem>> {
  const proven = await prove(office, requests);
  if (!proven.ok) return proven;
  const { role, name } = proven.value.principal;
  if (role !== principal.role || name !== principal.name) {
    const who = `${principal.role} ${principal.name}`;
    return refuse("forbidden", `${who} asks for ${role} ${name}`);
  }
  const nowMs = office.nowMs();
  const issued = await issue(office, proven.value, nowMs);
  office.store.transaction(() => keepIssued(office, principal, issued, nowMs));
  return ok(await answer(office, principal, issued));
}
