/**
 * Events that holdfast itself sees (way `host`): a node declared dead and back, no quorum, a job lost or kept once only, a disk
 * that is full, an outbox that folds or was damaged, a node that cannot call home, its daily sign of life.
 *
 * Decides what is an event, its words, and its id; not when anything is measured. Invariant: whoever tells of one thing gives it
 * one id, since an id comes from a key that is the same for all who see it (a node and its incarnation, a job and its epoch).
 * Of the members of a view the first two tell what all of them see: one could be cut off just then. A thing that is over is told by
 * a deassertion, by everybody who told that it began. What began and is not over is known from the events themselves
 * (`extra.about`), so that a restart forgets nothing.
 */
import type { BmcEvent, Severity } from "../../bmc/bmc.ts";
import { keyedEventId, type Sha256 } from "../../bmc/ipmi/event/event-identity.ts";
import type { Member, View } from "../membership/membership.ts";
import type { ClusterChange, ClusterJob } from "./cluster.ts";

/** How many members tell what every member sees. */
const TELLERS = 2;
/** A freeze that is over sooner is none: a view change passes through one. */
export const QUORUM_GRACE_MS = 5_000;
/** Losses that a later lead tells again, since the one before may have died of the same cause. */
const RETELL_WITHIN_MS = 600_000;
const LOSSES_MAX = 64;
const OPEN_MAX = 4_096;

export interface HostIdentity {
  readonly cluster: string;
  readonly node: string;
  readonly sha256: Sha256;
}

/** What holds for a while at this node. */
export type Condition = "disk-full" | "outbox-full" | "cannot-call-home";

/** What happened once at this node. */
export interface Incident {
  readonly what: "outbox-damaged" | "events-folded" | "heartbeat" | "test";
  /** The same for the same incident, whenever it is told. */
  readonly key: string;
  readonly severity: Severity;
  readonly subject: string;
  readonly text: string;
  readonly extra?: Readonly<Record<string, string | number>>;
}

interface Draft {
  /** What is asserted and deasserted; same for all who see it. */
  readonly about: readonly (string | number)[];
  readonly isAssertion: boolean;
  readonly system: string;
  readonly severity: Severity;
  readonly category: string;
  readonly subject: string;
  readonly text: string;
  readonly extra?: Readonly<Record<string, string | number>>;
}

interface Loss {
  readonly member: Member;
  readonly view: View;
  readonly reason: string;
  readonly atMs: number;
  isTold: boolean;
}

const CATEGORY: Readonly<Record<Condition, string>> = {
  "disk-full": "disk",
  "outbox-full": "outbox",
  "cannot-call-home": "call-home",
};

const SEVERITY: Readonly<Record<Condition, Severity>> = {
  "disk-full": "critical",
  "outbox-full": "critical",
  "cannot-call-home": "critical",
};

export function systemOfNode(node: string): string {
  return `node:${node}`;
}

export function isOfEveryPath(event: BmcEvent): boolean {
  return (
    event.way === "host" && event.category === CATEGORY["cannot-call-home"] && event.isAssertion
  );
}

/** Why `member` is not in the view any more, in the words of the view. */
function reasonOf(view: View, member: Member): string {
  const prefix = `${member.id} `;
  const part = view.reason.split(", ").find((one) => one.startsWith(prefix));
  return part?.slice(prefix.length) ?? view.reason;
}

export class HostEvents {
  readonly #self: HostIdentity;
  /** By `about`: what has begun and is not over. */
  readonly #open: Map<string, Draft> = new Map();
  #losses: Loss[] = [];
  #view: View | null = null;
  /** What the detector says of members, as the caller last saw it. */
  #frozen: { readonly reason: string; readonly sinceMs: number } | null = null;
  /** This run has acted in a view. */
  #hasActed = false;

  constructor(self: HostIdentity) {
    this.#self = self;
  }

  /** Events of earlier runs, oldest first: what they began is known. */
  remember(events: Iterable<BmcEvent>): void {
    for (const event of events) {
      const about = event.way === "host" ? event.extra["about"] : undefined;
      if (typeof about !== "string") continue;
      const parts = readAbout(about);
      if (parts === null) continue;
      const { system, severity, category, subject, text, isAssertion } = event;
      const draft = { about: parts, isAssertion, system, severity, category, subject, text };
      this.#note(about, draft);
    }
  }

  /** `hasLeft`: whether a member that is gone left in good order. */
  onChange(
    change: ClusterChange,
    hasLeft: (member: Member) => boolean,
    nowMs: number,
  ): readonly BmcEvent[] {
    switch (change.kind) {
      case "view":
        return this.#onView(change.view, change.previous, hasLeft, nowMs);
      case "frozen":
        if (this.#hasActed) this.#frozen ??= { reason: change.reason, sinceMs: nowMs };
        return [];
      case "thawed":
        this.#hasActed = true;
        this.#frozen = null;
        return this.#close("quorum-lost", nowMs, "a majority is heard again: this node acts");
      case "job":
        return this.#onJob(change.record, nowMs);
    }
  }

  /** Milliseconds since 1970; Infinity: no tick is wanted. */
  dueMs(): number {
    const { cluster } = this.#self;
    const about = this.#quorumAbout();
    if (this.#frozen === null || this.#open.has(aboutText(about))) return Number.POSITIVE_INFINITY;
    return cluster === "" ? Number.POSITIVE_INFINITY : this.#frozen.sinceMs + QUORUM_GRACE_MS;
  }

  tick(nowMs: number): readonly BmcEvent[] {
    if (this.#frozen === null || nowMs < this.dueMs()) return [];
    const { cluster, node } = this.#self;
    const text = `cluster ${cluster} has no quorum as ${node} sees it: ${this.#frozen.reason}`;
    return this.#tell(
      {
        about: this.#quorumAbout(),
        isAssertion: true,
        system: `cluster:${cluster}`,
        severity: "critical",
        category: "quorum",
        subject: `cluster ${cluster}`,
        text,
      },
      nowMs,
    );
  }

  /** `detail` null: it is over. Nothing is told twice. */
  condition(what: Condition, detail: string | null, nowMs: number): readonly BmcEvent[] {
    const { cluster, node } = this.#self;
    const before = [...this.#open.values()].find((one) => one.about[0] === what);
    if (detail === null) return this.#close(what, nowMs, `${node}: ${what} is over`);
    if (before !== undefined) return [];
    return this.#tell(
      {
        about: [what, cluster, node, nowMs],
        isAssertion: true,
        system: systemOfNode(node),
        severity: SEVERITY[what],
        category: CATEGORY[what],
        subject: `${node} ${what}`,
        text: detail,
      },
      nowMs,
    );
  }

  incident(incident: Incident, nowMs: number): BmcEvent {
    const { cluster, node } = this.#self;
    const { what, key, severity, subject, text, extra = {} } = incident;
    return this.#eventOf(
      {
        about: [what, cluster, node, key],
        isAssertion: severity !== "ok",
        system: systemOfNode(node),
        severity,
        category: what,
        subject,
        text,
        extra,
      },
      nowMs,
    );
  }

  #onView(
    view: View,
    previous: View | null,
    hasLeft: (member: Member) => boolean,
    nowMs: number,
  ): readonly BmcEvent[] {
    this.#view = view;
    const { node } = this.#self;
    if (!view.members.some(({ id }) => id === node)) return [];
    const gone = (previous?.members ?? []).filter(
      (member) => member.id !== node && !view.members.some(({ id }) => id === member.id),
    );
    for (const member of gone) {
      if (hasLeft(member) || reasonOf(view, member) === "left") continue;
      const reason = reasonOf(view, member);
      this.#losses.push({ member, view, reason, atMs: nowMs, isTold: false });
    }
    this.#losses = this.#losses
      .filter(({ atMs }) => nowMs - atMs < RETELL_WITHIN_MS)
      .slice(-LOSSES_MAX);
    return [...this.#tellLosses(nowMs), ...this.#tellReturns(view, nowMs)];
  }

  #isTeller(): boolean {
    const place = (this.#view?.members ?? []).findIndex(({ id }) => id === this.#self.node);
    return place >= 0 && place < TELLERS;
  }

  #tellLosses(nowMs: number): readonly BmcEvent[] {
    if (!this.#isTeller()) return [];
    return this.#losses.flatMap((loss) => {
      if (loss.isTold) return [];
      loss.isTold = true;
      const { member, view, reason } = loss;
      const { id, instance, incarnation, address, role } = member;
      return this.#tell(
        {
          about: ["node-dead", this.#self.cluster, id, instance, incarnation],
          isAssertion: true,
          system: systemOfNode(id),
          severity: "critical",
          category: "node",
          subject: id,
          text: `node ${id} is dead: ${reason}; the cluster goes on in epoch ${view.epoch}`,
          extra: { node: id, address, role, incarnation, epoch: view.epoch },
        },
        nowMs,
      );
    });
  }

  #tellReturns(view: View, nowMs: number): readonly BmcEvent[] {
    const back = new Set<string>(view.members.map(({ id }) => id));
    // Whoever is back is not told dead by a later lead.
    this.#losses = this.#losses.filter(({ member }) => !back.has(member.id));
    return [...this.#open.values()]
      .filter(({ about }) => about[0] === "node-dead" && back.has(String(about[2])))
      .flatMap((draft) =>
        this.#over(draft, nowMs, `node ${String(draft.about[2])} is back in epoch ${view.epoch}`),
      );
  }

  #onJob(job: ClusterJob, nowMs: number): readonly BmcEvent[] {
    const told = [...this.#jobOver(job, nowMs)];
    if (!this.#isTeller()) return told;
    const { cluster } = this.#self;
    const { id } = job.spec;
    const common = {
      isAssertion: true,
      system: `cluster:${cluster}`,
      category: "job",
      subject: `job ${id}`,
      extra: { job: id, epoch: job.epoch, sealed: job.sealed },
    } as const;
    if (job.state === "lost") {
      const why = job.verdict ?? "no node or no state is left to go on with";
      const about = ["job-lost", cluster, id, job.epoch];
      told.push(
        ...this.#tell(
          { ...common, about, severity: "critical", text: `job ${id} is lost: ${why}` },
          nowMs,
        ),
      );
    }
    if (isDegraded(job)) {
      const about = ["job-degraded", cluster, id, job.epoch];
      const text = `job ${id} runs on ${new Set(job.placement).size} nodes, and no other keeps a copy of its states`;
      told.push(...this.#tell({ ...common, about, severity: "warning", text }, nowMs));
    }
    return told;
  }

  #jobOver(job: ClusterJob, nowMs: number): readonly BmcEvent[] {
    const { id } = job.spec;
    return [...this.#open.values()].flatMap((draft) => {
      const [what, , which] = draft.about;
      if (which !== id) return [];
      const isLostOver = what === "job-lost" && job.state === "running";
      const isDegradedOver =
        what === "job-degraded" && job.state !== "recovering" && !isDegraded(job);
      if (isLostOver) return this.#over(draft, nowMs, `job ${id} runs again`);
      if (isDegradedOver)
        return this.#over(draft, nowMs, `job ${id}: its states are not at risk any more`);
      return [];
    });
  }

  #quorumAbout(): readonly (string | number)[] {
    return ["quorum-lost", this.#self.cluster, this.#view?.epoch ?? 0];
  }

  #close(what: string, nowMs: number, text: string): readonly BmcEvent[] {
    return [...this.#open.values()]
      .filter(({ about }) => about[0] === what)
      .flatMap((draft) => this.#over(draft, nowMs, text));
  }

  #over(draft: Draft, nowMs: number, text: string): readonly BmcEvent[] {
    return this.#tell({ ...draft, isAssertion: false, severity: "ok", text }, nowMs);
  }

  #tell(draft: Draft, nowMs: number): readonly BmcEvent[] {
    const about = aboutText(draft.about);
    if (draft.isAssertion && this.#open.has(about)) return [];
    this.#note(about, draft);
    return [this.#eventOf(draft, nowMs)];
  }

  #note(about: string, draft: Draft): void {
    if (!isLasting(draft)) return;
    if (draft.isAssertion) this.#open.set(about, draft);
    else this.#open.delete(about);
    for (const [oldest] of this.#open) {
      if (this.#open.size <= OPEN_MAX) break;
      this.#open.delete(oldest);
    }
  }

  #eventOf(draft: Draft, nowMs: number): BmcEvent {
    const { system, severity, category, subject, text, isAssertion, extra = {} } = draft;
    const about = aboutText(draft.about);
    const key = JSON.stringify([isAssertion ? "begins" : "over", about]);
    return {
      id: keyedEventId(system, 0, key, this.#self.sha256),
      system,
      epoch: 0,
      nth: 0,
      way: "host",
      severity,
      whenMs: nowMs,
      seenMs: nowMs,
      isAssertion,
      category,
      subject,
      text,
      record: null,
      extra: { ...extra, about, told_by: this.#self.node },
    };
  }
}

/** Its states are kept on the very nodes that run it, and nowhere else. */
function isDegraded({ state, partners }: ClusterJob): boolean {
  return (
    state === "running" && partners.length > 0 && partners.every((partner) => partner === null)
  );
}

const LASTING: ReadonlySet<unknown> = new Set([
  "node-dead",
  "quorum-lost",
  "job-lost",
  "job-degraded",
  ...Object.keys(CATEGORY),
]);

function isLasting({ about }: Draft): boolean {
  return LASTING.has(about[0]);
}

function aboutText(about: readonly (string | number)[]): string {
  return JSON.stringify(about);
}

function readAbout(text: string): readonly (string | number)[] | null {
  try {
    const parts: unknown = JSON.parse(text);
    const isPlain = (part: unknown): boolean =>
      typeof part === "string" || typeof part === "number";
    return Array.isArray(parts) && parts.every(isPlain) ? parts : null;
  } catch {
    return null;
  }
}
