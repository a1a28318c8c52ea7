/**
 * Keeps an identity good while its process runs: hears of revocations and new authorities as soon as they are told, and renews
 * its certificates in time, without anybody's doing.
 *
 * It asks one door after the other; the question for news is held there until there are some, so a revocation is known
 * within a second where a door is reached, and in a minute where one fails and comes back. On the machine with the authority's
 * folder no door is needed. What cannot be done now is tried again; what is pressing is said in the log once a day.
 */
import { X509Certificate } from "node:crypto";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Problem } from "../../net/problem.ts";
import type { Log } from "../../runtime/log.ts";
import type { CredentialsAnswer } from "../join-protocol.ts";
import { BUNDLE_WAIT_S_MAX } from "../join-protocol.ts";
import { isPressing, renewalDueMs, renewalRetryMs } from "../renewal.ts";
import { admit } from "./admission.ts";
import { lacksKeys } from "./adopt-bundle.ts";
import { type AuthorityOffice, openAuthorityOffice } from "./authority-office.ts";
import { hasAuthority } from "./authority-store.ts";
import { authoritiesOf } from "./bundle.ts";
import { isIssuedBy, type LeafCertificate, readLeaf } from "./certificates.ts";
import {
  checkCredentials,
  keepCredentials,
  makeKeys,
  type NewKeys,
  requestsOf,
} from "./credentials.ts";
import {
  askForBundle,
  askMemberForBundle,
  askToRenew,
  type NewsQuestion,
  type NewsSource,
} from "./door-client.ts";
import { hasClusterKeys } from "./held-identity.ts";
import { authorityFolderOf, readSettings } from "./identity-folder.ts";
import type { FolderIdentity } from "./open-identity.ts";
import { pause } from "./pause.ts";

/** After an answer without news from a door that does not hold questions, and after a failure. */
const NEWS_PAUSE_MS = 60_000;
/** Nodes look at different moments, so they do not all come at once when another authority issues. */
const LOOK_MS = 60_000;
const COMPLAIN_MS = 86_400_000;

export interface KeeperOptions {
  readonly log: Log;
  readonly nowMs: () => number;
  /** 0 … 1, for spreading. */
  readonly unit: () => number;
  /** `address:port`, besides those in the folder's settings. */
  readonly doors: readonly string[];
  /** Whom else to ask for news while no door answers. */
  readonly others?: () => readonly NewsSource[];
  /** How often it is looked whether a renewal is due; a minute. */
  readonly lookMs?: number;
}

export interface Keeper {
  close(): Promise<void>;
}

class IdentityKeeper implements Keeper {
  readonly #identity: FolderIdentity;
  readonly #options: KeeperOptions;
  readonly #unit: number;
  readonly #ended = new AbortController();
  readonly #working: Promise<unknown>;
  #office: AuthorityOffice | null = null;
  #failures = 0;
  #retryMs = Number.NEGATIVE_INFINITY;
  #complainedMs = Number.NEGATIVE_INFINITY;

  constructor(identity: FolderIdentity, options: KeeperOptions) {
    this.#identity = identity;
    this.#options = options;
    this.#unit = options.unit();
    this.#working = Promise.all([this.#followNews(), this.#renewInTime()]);
  }

  async close(): Promise<void> {
    this.#ended.abort();
    await this.#working;
    this.#office?.close();
  }

  get #signal(): AbortSignal {
    return this.#ended.signal;
  }

  #doors(): readonly string[] {
    return [...new Set([...this.#options.doors, ...readSettings(this.#identity.folder).doors])];
  }

  async #followNews(): Promise<void> {
    for (let turn = 0; !this.#signal.aborted; turn++) {
      const heard = await this.#hear(turn).catch(
        (cause): Result<boolean, Problem> => err({ kind: "internal", detail: String(cause) }),
      );
      if (this.#signal.aborted) return;
      if (!heard.ok) this.#options.log.say("detail", `identity: no news: ${heard.error.detail}`);
      if (!heard.ok || !heard.value) await pause(NEWS_PAUSE_MS, this.#signal);
    }
  }

  /** True: the next question may follow at once. */
  async #hear(turn: number): Promise<Result<boolean, Problem>> {
    const office = this.#ownOffice();
    if (office !== null) return await this.#hearFrom(office);
    const doors = this.#doors();
    const door = doors[turn % Math.max(1, doors.length)];
    if (door === undefined) return await this.#hearFromOthers(turn);
    const startMs = performance.now();
    const answered = await askForBundle(door, this.#identity, this.#question(BUNDLE_WAIT_S_MAX));
    if (!answered.ok) {
      const other = await this.#hearFromOthers(turn);
      return other.ok && other.value ? other : answered;
    }
    if (answered.value !== null) return this.#take(answered.value, door);
    return ok(performance.now() - startMs > (BUNDLE_WAIT_S_MAX * 1_000) / 2);
  }

  async #hearFromOthers(turn: number): Promise<Result<boolean, Problem>> {
    const others = this.#options.others?.() ?? [];
    const other = others[turn % Math.max(1, others.length)];
    if (other === undefined || this.#signal.aborted) return ok(false);
    const answered = await askMemberForBundle(other, this.#identity, this.#question(0));
    if (!answered.ok) return answered;
    return answered.value === null ? ok(false) : this.#take(answered.value, other.address);
  }

  #question(waitS: number): NewsQuestion {
    const trust = this.#identity.trust();
    const isLacking = hasClusterKeys(this.#identity.principal) && lacksKeys(trust);
    const after = isLacking ? 0 : trust.statement.version;
    return { after, waitS, nowMs: this.#options.nowMs(), signal: this.#signal };
  }

  async #hearFrom(office: AuthorityOffice): Promise<Result<boolean, Problem>> {
    if (office.store.revision > this.#identity.trust().statement.version) {
      const taken = this.#take((await office.trust()).bundle, office.store.folder);
      if (!taken.ok) return taken;
    }
    await pause(OWN_PAUSE_MS, this.#signal);
    return ok(true);
  }

  /** null: the authority's folder is not here; it may be taken away, and brought back. */
  #ownOffice(): AuthorityOffice | null {
    const folder = authorityFolderOf(this.#identity.folder);
    if (hasAuthority(folder)) {
      this.#office ??= openAuthorityOffice(folder, this.#options.nowMs);
    } else {
      this.#office?.close();
      this.#office = null;
    }
    return this.#office;
  }

  #take(bundle: unknown, from: string): Result<boolean, Problem> {
    const before = this.#identity.trust();
    const adopted = this.#identity.adopt(bundle);
    if (!adopted.ok) return err({ kind: "forbidden", detail: `${from}: ${adopted.error}` });
    const after = this.#identity.trust();
    if (after === before) return ok(false);
    const { statement } = after;
    const revoked = statement.revoked.length - before.statement.revoked.length;
    const more = revoked > 0 ? `, ${revoked} more certificates are revoked` : "";
    this.#options.log.say("event", `identity: bundle ${statement.version} is believed${more}`);
    return ok(true);
  }

  async #renewInTime(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        await this.#renewIfDue();
      } catch (cause) {
        this.#failed(`${(cause as Error).message}`);
      }
      await pause(this.#options.lookMs ?? LOOK_MS, this.#signal);
    }
  }

  async #renewIfDue(): Promise<void> {
    const nowMs = this.#options.nowMs();
    const leaf = this.#certificate();
    if (leaf === null || nowMs < this.#dueMs(leaf) || nowMs < this.#retryMs) return;
    const renewed = await renewIdentity(this.#identity, this.#doors(), nowMs);
    if (!renewed.ok) {
      this.#failed(renewed.error.detail);
      return;
    }
    this.#failures = 0;
    this.#retryMs = Number.NEGATIVE_INFINITY;
    const until = new Date(this.#certificate()?.notAfterMs ?? 0).toISOString();
    this.#options.log.say("event", `identity: certificates are renewed, until ${until}`);
  }

  #certificate(): LeafCertificate | null {
    const tls = this.#identity.tls();
    const leaf = tls === null ? null : readLeaf(tls.cert);
    return leaf?.ok === true ? leaf.value : null;
  }

  #dueMs(leaf: LeafCertificate): number {
    const [issuer] = this.#identity.trust().statement.authorities;
    const isOfIssuer = issuer !== undefined && isIssuedBy(leaf.x509, new X509Certificate(issuer));
    return renewalDueMs(leaf, isOfIssuer, this.#unit);
  }

  #failed(detail: string): void {
    const nowMs = this.#options.nowMs();
    this.#failures++;
    this.#retryMs = nowMs + renewalRetryMs(this.#failures, this.#options.unit());
    const { log } = this.#options;
    const leaf = this.#certificate();
    const until = leaf === null ? "" : `, they end ${new Date(leaf.notAfterMs).toISOString()}`;
    const text = `identity: certificates cannot be renewed${until}: ${detail}`;
    const isGrave = leaf !== null && isPressing(leaf, nowMs);
    if (!isGrave || nowMs - this.#complainedMs < COMPLAIN_MS) log.say("detail", text);
    else {
      this.#complainedMs = nowMs;
      log.say("fault", text);
    }
  }
}

/** An authority in the own folder is looked at so often; it is one small query. */
const OWN_PAUSE_MS = 1_000;

async function askAnyDoor(
  identity: FolderIdentity,
  doors: readonly string[],
  keys: NewKeys,
  nowMs: number,
): Promise<Result<CredentialsAnswer, Problem>> {
  let last: Result<CredentialsAnswer, Problem> = err({
    kind: "unreachable",
    detail: "no door is known: say holdfast identity renew --door ADDRESS:PORT",
  });
  const requests = requestsOf(identity.principal, keys);
  for (const door of doors) {
    last = await askToRenew(door, identity, requests, nowMs);
    if (last.ok) return last;
  }
  return last;
}

/** At the authority in the identity's own folder, or the given one, or else at the first door that answers. */
async function askSomewhere(
  identity: FolderIdentity,
  from: AuthorityOffice | readonly string[],
  keys: NewKeys,
  nowMs: number,
): Promise<Result<CredentialsAnswer, Problem>> {
  if ("store" in from) {
    return await admit(from, identity.principal, requestsOf(identity.principal, keys));
  }
  const own = authorityFolderOf(identity.folder);
  if (!hasAuthority(own)) return await askAnyDoor(identity, from, keys, nowMs);
  const office = openAuthorityOffice(own, () => nowMs);
  try {
    return await admit(office, identity.principal, requestsOf(identity.principal, keys));
  } finally {
    office.close();
  }
}

/** New keys and certificates, now. The old ones stay if anything fails. */
export async function renewIdentity(
  identity: FolderIdentity,
  from: AuthorityOffice | readonly string[],
  nowMs: number,
): Promise<Result<null, Problem>> {
  const keys = makeKeys();
  const answer = await askSomewhere(identity, from, keys, nowMs);
  if (!answer.ok) return answer;
  const trusted = authoritiesOf(identity.trust());
  const trust = checkCredentials(answer.value, keys, identity.principal, trusted);
  if (!trust.ok) return trust;
  // First whom to believe: the certificates may be from an authority that was not known.
  const adopted = identity.adopt(answer.value.bundle);
  if (!adopted.ok) return err({ kind: "not-kept", detail: adopted.error });
  const problem = keepCredentials(identity.folder, keys, answer.value);
  if (problem !== null) return err(problem);
  const complaint = identity.reload();
  return complaint === null ? ok(null) : err({ kind: "not-kept", detail: complaint });
}

/** Ends with `close`; the identity itself stays open. */
export function startKeeper(identity: FolderIdentity, options: KeeperOptions): Keeper {
  return new IdentityKeeper(identity, options);
}
