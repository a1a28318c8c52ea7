/**
 * `holdfast identity token|list|revoke|serve|rotate`: on the machine with the authority.
 */
import { once } from "node:events";
import { dirname } from "node:path";
import type { PrincipalRole } from "../../identity/identity.ts";
import { adoptBundle } from "../../identity/io/adopt-bundle.ts";
import { type AuthorityOffice, isLive } from "../../identity/io/authority-office.ts";
import {
  beginRotation,
  endRotation,
  switchRotation,
} from "../../identity/io/authority-rotation.ts";
import type { IssuedRow } from "../../identity/io/authority-store.ts";
import { hasClusterKeys } from "../../identity/io/held-identity.ts";
import { readIdentityFolder, readTrust } from "../../identity/io/identity-folder.ts";
import { startJoinDoor } from "../../identity/io/join-door.ts";
import type { RevocationReason } from "../../identity/trust.ts";
import { stderrLog } from "../../runtime/io/log.ts";
import { CliError, EXIT_CONFIG, EXIT_USAGE } from "../cli-error.ts";
import { formatTable, printJson, printLine } from "../print.ts";
import {
  type AuthorityFlags,
  checkedName,
  openNamedAuthority,
  operatorFolder,
  parseDuration,
  parseListen,
  problemError,
} from "./folders.ts";

/** What was changed is known at once to the identities of this machine; the others hear of it. */
async function tellOwn(office: AuthorityOffice): Promise<number> {
  const { bundle, statement } = await office.trust();
  for (const folder of [dirname(office.store.folder), operatorFolder()]) {
    const own = readIdentityFolder(folder);
    const known = readTrust(folder);
    if (!own.ok || !known.ok || own.value.principal.cluster !== office.cluster) continue;
    const clusterKeys = hasClusterKeys(own.value.principal) ? bundle.clusterKeys : [];
    const adopted = adoptBundle(folder, known.value, { ...bundle, clusterKeys });
    if (!adopted.ok) process.stderr.write(`note: ${adopted.error}\n`);
  }
  return statement.version;
}

interface TokenFlags extends AuthorityFlags {
  readonly role: PrincipalRole;
  readonly name?: string;
  readonly ttl: string;
}

/** The token alone on standard output, so that it can be piped; what is to be said about it beside. */
export function token(flags: TokenFlags): void {
  const { role } = flags;
  const name = flags.name === undefined ? null : checkedName(flags.name);
  const ttlMs = parseDuration(flags.ttl);
  const office = openNamedAuthority(flags);
  try {
    const made = office.makeToken({ role, name, ttlMs });
    if (!made.ok) throw problemError(made.error);
    if (name !== null && office.isTaken(role, name)) {
      const note = `${role} ${name} has certificates: whoever joins by this token retires them`;
      process.stderr.write(`note: ${note}\n`);
    }
    printLine(made.value);
  } finally {
    office.close();
  }
}

export interface Member {
  readonly role: PrincipalRole;
  readonly name: string;
  readonly state: "holds" | "ended" | "retired" | "compromised";
  readonly notAfterMs: number;
  /** Whether its newest certificates are from the authority that issues now. */
  readonly isOfIssuer: boolean;
}

function memberOf(rows: readonly IssuedRow[], issuer: number, nowMs: number): Member {
  const live = rows.filter((row) => isLive(row, nowMs));
  const shown = live.length > 0 ? live : rows;
  const newest = shown.reduce((a, b) => (b.issuedMs >= a.issuedMs ? b : a));
  const { role, name, notAfterMs, reason, authority } = newest;
  const state = live.length > 0 ? "holds" : (reason ?? "ended");
  return { role, name, state, notAfterMs, isOfIssuer: authority === issuer };
}

export function membersOf(office: AuthorityOffice): readonly Member[] {
  const byName = new Map<string, IssuedRow[]>();
  for (const row of office.store.issued()) {
    const key = `${row.role} ${row.name}`;
    byName.set(key, [...(byName.get(key) ?? []), row]);
  }
  const { generation } = office.current();
  return [...byName.values()].map((rows) => memberOf(rows, generation, office.nowMs()));
}

export function list(flags: AuthorityFlags & { readonly json?: boolean }): void {
  const office = openNamedAuthority(flags);
  const members = membersOf(office);
  office.close();
  if (flags.json === true) {
    for (const member of members) printJson(member);
    return;
  }
  const rows = members.map(({ role, name, state, notAfterMs, isOfIssuer }) => [
    role,
    name,
    state,
    new Date(notAfterMs).toISOString().slice(0, 10),
    isOfIssuer ? "" : "of the old authority",
  ]);
  printLine(formatTable(["ROLE", "NAME", "STATE", "UNTIL", ""], rows));
}

interface RevokeFlags extends AuthorityFlags {
  readonly role?: PrincipalRole;
  readonly reason: RevocationReason;
}

function roleOf(office: AuthorityOffice, name: string, given: PrincipalRole | undefined) {
  if (given !== undefined) return given;
  const roles = [
    ...new Set(
      office.store
        .issued()
        .filter((row) => row.name === name)
        .map(({ role }) => role),
    ),
  ];
  const [only] = roles;
  if (only !== undefined && roles.length === 1) return only;
  if (only === undefined) {
    throw problemError({ kind: "not-found", detail: `no certificate was issued to ${name}` });
  }
  const remedy = `say which with --role: ${roles.join(", ")}`;
  throw new CliError(`${name} is the name of several`, EXIT_USAGE, remedy);
}

export async function revoke(name: string, flags: RevokeFlags): Promise<void> {
  const office = openNamedAuthority(flags);
  try {
    const role = roleOf(office, name, flags.role);
    const revoked = await office.revoke(role, name, flags.reason);
    if (!revoked.ok) throw problemError(revoked.error);
    const version = await tellOwn(office);
    const what = revoked.value === 0 ? "was revoked before" : "is revoked";
    printLine(`${role} ${name} ${what} (${flags.reason}); bundle ${version} says so`);
  } finally {
    office.close();
  }
}

export async function rotateAuthority(
  step: "begin" | "switch" | "end",
  flags: AuthorityFlags & { readonly force?: boolean },
): Promise<void> {
  const office = openNamedAuthority(flags);
  try {
    if (step === "begin") {
      const begun = await beginRotation(office);
      if (!begun.ok) throw problemError(begun.error);
      await tellOwn(office);
      printLine(`a new authority is believed, fingerprint ${begun.value}`);
      printLine("when everybody has heard of it (a minute): holdfast identity rotate switch");
      return;
    }
    const done = await (step === "switch"
      ? switchRotation(office)
      : endRotation(office, flags.force === true));
    if (!done.ok) throw problemError(done.error);
    await tellOwn(office);
    printLine(
      step === "switch"
        ? "it issues now, and everybody renews; then: holdfast identity rotate end"
        : "the old authority is not believed any more",
    );
  } finally {
    office.close();
  }
}

export async function rotateKey(flags: AuthorityFlags): Promise<void> {
  const office = openNamedAuthority(flags);
  try {
    const generation = await office.rotateClusterKey();
    await tellOwn(office);
    printLine(`key ${generation} for datagrams; the ones before are still taken`);
  } finally {
    office.close();
  }
}

export async function serve(flags: AuthorityFlags & { readonly listen: string }): Promise<void> {
  const at = parseListen(flags.listen);
  const office = openNamedAuthority(flags);
  const log = stderrLog("door", "event");
  const door = await startJoinDoor(office, { ...at, log });
  if (!door.ok) {
    throw new CliError(`${flags.listen}: ${door.error.detail}`, EXIT_CONFIG, "is the port taken?");
  }
  const { cluster } = office;
  log.say("event", `the door of cluster ${cluster} is open at ${at.hostname}:${door.value.port}`);
  await Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
  await door.value.close();
}
