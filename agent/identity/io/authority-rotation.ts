/**
 * A new authority in place of the old one without anybody being cut off, in three steps of which each must have reached
 * everybody before the next:
 *
 *   begin    the new one is believed beside the old one, which issues still
 *   switch   the new one issues; who hears of it renews at once
 *   end      the old one is not believed any more; refused while somebody has not renewed
 */
import { X509Certificate } from "node:crypto";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Problem } from "../../net/problem.ts";
import type { Principal } from "../identity.ts";
import { newAuthority } from "./authority.ts";
import { type AuthorityOffice, isLive } from "./authority-office.ts";
import { fingerprintOf } from "./certificates.ts";

/** Names in a sentence; the others are counted. */
const NAMED_MAX = 5;

function refused(detail: string): { readonly ok: false; readonly error: Problem } {
  return err({ kind: "refused", detail });
}

/** Fingerprint of the new one. */
export async function beginRotation(office: AuthorityOffice): Promise<Result<string, Problem>> {
  const rows = office.store.authorities();
  if (rows.some(({ state }) => state === "next" || state === "old")) {
    return refused("a rotation is under way: see holdfast identity show");
  }
  const generation = (rows[0]?.generation ?? 0) + 1;
  const pair = await newAuthority(office.cluster, generation, office.nowMs());
  await office.change(() => {
    for (const row of rows) {
      if (row.state === "gone") office.store.forgetAuthority(row.generation);
    }
    office.store.addAuthority(generation, "next", pair);
  });
  return ok(fingerprintOf(new X509Certificate(pair.cert)));
}

export async function switchRotation(office: AuthorityOffice): Promise<Result<null, Problem>> {
  const next = office.store.authorities().find(({ state }) => state === "next");
  if (next === undefined) {
    return refused("no new authority waits: begin with holdfast identity rotate begin");
  }
  await office.change(() => {
    office.store.setAuthority(office.current().generation, "old");
    office.store.setAuthority(next.generation, "current");
  });
  return ok(null);
}

/** Those who have no certificate of the authority that issues now: `end` would cut them off. */
export function laggards(office: AuthorityOffice): readonly Principal[] {
  const { generation } = office.current();
  const { cluster } = office;
  const late = new Map<string, Principal>();
  const renewed = new Set<string>();
  for (const row of office.store.issued()) {
    if (!isLive(row, office.nowMs())) continue;
    const key = `${row.role} ${row.name}`;
    if (row.authority === generation) renewed.add(key);
    else late.set(key, { cluster, role: row.role, name: row.name });
  }
  return [...late].filter(([key]) => !renewed.has(key)).map(([, principal]) => principal);
}

export async function endRotation(
  office: AuthorityOffice,
  isForced: boolean,
): Promise<Result<null, Problem>> {
  const old = office.store.authorities().filter(({ state }) => state === "old");
  if (old.length === 0) return refused("no old authority is left: see holdfast identity show");
  const late = isForced ? [] : laggards(office);
  if (late.length > 0) {
    const names = late.slice(0, NAMED_MAX).map(({ role, name }) => `${role} ${name}`);
    const more = late.length > NAMED_MAX ? ` and ${late.length - NAMED_MAX} more` : "";
    return refused(`not renewed yet: ${names.join(", ")}${more}; --force cuts them off`);
  }
  await office.change(() => {
    for (const { generation } of old) office.store.setAuthority(generation, "gone");
  });
  return ok(null);
}
