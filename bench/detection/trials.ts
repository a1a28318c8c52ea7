/**
 * One trial on clusters that share their hosts: a host cut off and healed, or an observer stopped for a while.
 *
 * Both clusters are at work all the time and meet the same fault at the same moment. Every wait has a limit, and says what the
 * agents said last when it is reached. Counted as false: a verdict `out` on whoever was there, by whoever was there.
 */
import { type Cluster, knownMs, type Notice, type NoticeKind } from "./cluster.ts";
import type { Hosts } from "./hosts.ts";

export const WHOLE_WITHIN_MS = 60_000;
const KNOWN_WITHIN_MS = 30_000;

async function until(
  what: string,
  withinMs: number,
  clusters: readonly Cluster[],
  isSo: (cluster: Cluster) => boolean,
): Promise<void> {
  const giveUpMs = performance.now() + withinMs;
  for (;;) {
    const missing = clusters.find((cluster) => !isSo(cluster));
    if (missing === undefined) return;
    if (performance.now() > giveUpMs) {
      throw new Error(`${missing.name}: not within ${withinMs} ms: ${what}\n${missing.said()}`);
    }
    await Bun.sleep(10);
  }
}

export function untilWhole(clusters: readonly Cluster[]): Promise<void> {
  return until("all count each other in", WHOLE_WITHIN_MS, clusters, (cluster) =>
    cluster.isWhole(),
  );
}

function othersThan(hosts: Hosts, index: number): readonly number[] {
  return Array.from({ length: hosts.count }, (_, other) => other).filter((one) => one !== index);
}

function since(cluster: Cluster, fromMs: number): readonly Notice[] {
  return cluster.notices.filter(({ atMs }) => atMs >= fromMs);
}

function isVerdict({ kind }: Notice): boolean {
  return kind === "out" || kind === "agreed-out";
}

/** Who counted whom out; one who says it several times is counted once. */
function verdictsIn(notices: readonly Notice[]): number {
  return pairs(notices.filter(isVerdict));
}

/** Whom `observer` suspected by itself or counted out. */
function accusations(notices: readonly Notice[], observer: number): number {
  return pairs(
    notices.filter(
      (notice) =>
        notice.observer === observer &&
        notice.subject !== observer &&
        (notice.kind === "suspect" || isVerdict(notice)),
    ),
  );
}

function pairs(notices: readonly Notice[]): number {
  return new Set(notices.map(({ observer, subject }) => `${observer} ${subject}`)).size;
}

export interface CutResult {
  /** From the cut until the last of the others counted it out. */
  readonly knownMs: number;
  /** Until the first of them did. */
  readonly firstMs: number;
  /** Until the last of the others had the view without it; null where there are no views. */
  readonly agreedMs: number | null;
  /** Verdicts of the others on each other, until all was well again. */
  readonly falseVerdicts: number;
  /** Suspicions of the others of each other. */
  readonly falseSuspicions: number;
  /** Whom the one cut off suspects or counts out: to it, all others are gone. */
  readonly victimAccuses: number;
}

interface Cut {
  readonly victim: number;
  readonly atMs: number;
}

function timesOf(hosts: Hosts, cluster: Cluster, cut: Cut, kinds: readonly NoticeKind[]) {
  return othersThan(hosts, cut.victim).map((observer) => {
    const at = knownMs(cluster, { observer, subject: cut.victim }, cut.atMs, kinds);
    return at === null ? Number.POSITIVE_INFINITY : at - cut.atMs;
  });
}

/** Where there are views, until they have agreed, too. */
async function untilKnown(hosts: Hosts, clusters: readonly Cluster[], cut: Cut): Promise<void> {
  await until("every other agent knows", KNOWN_WITHIN_MS, clusters, (cluster) => {
    const kinds: readonly NoticeKind[] = cluster.hasViews ? ["agreed-out"] : ["out"];
    return timesOf(hosts, cluster, cut, kinds).every(Number.isFinite);
  });
}

/** Cuts `victim` off, waits until everybody knows in every cluster, heals, waits until all is well. In the clusters' order. */
export async function cutTrial(
  hosts: Hosts,
  clusters: readonly Cluster[],
  victim: number,
): Promise<readonly CutResult[]> {
  const cut: Cut = { victim, atMs: hosts.cut(victim) };
  try {
    await untilKnown(hosts, clusters, cut);
  } finally {
    hosts.heal(victim);
  }
  for (const cluster of clusters) cluster.mend(victim);
  await untilWhole(clusters);
  return clusters.map((cluster) => {
    const known = timesOf(hosts, cluster, cut, ["out", "agreed-out"]);
    const said = since(cluster, cut.atMs);
    const amongOthers = said.filter(
      ({ observer, subject }) => observer !== victim && subject !== victim,
    );
    return {
      knownMs: Math.max(...known),
      firstMs: Math.min(...known),
      agreedMs: cluster.hasViews ? Math.max(...timesOf(hosts, cluster, cut, ["agreed-out"])) : null,
      falseVerdicts: verdictsIn(amongOthers),
      falseSuspicions: pairs(amongOthers.filter(({ kind }) => kind === "suspect")),
      victimAccuses: accusations(said, victim),
    };
  });
}

/** Watches healthy clusters for a while: whatever verdict comes is false. */
export async function quietTrial(
  clusters: readonly Cluster[],
  forMs: number,
): Promise<readonly number[]> {
  const fromMs = performance.now();
  await Bun.sleep(forMs);
  return clusters.map((cluster) => verdictsIn(since(cluster, fromMs)));
}

export interface StallResult {
  /** Who the stalled observer accused, own suspicions and verdicts, while it was stopped and afterwards. */
  readonly accusations: number;
  readonly verdicts: number;
  /** How many of the others suspected the stalled one by themselves, and how many counted it out. */
  readonly suspectedBy: number;
  readonly countedOutBy: number;
  /** The whole cluster went on without it for a while. */
  readonly isExpelled: boolean;
  /** Verdicts of the others on each other. */
  readonly falseVerdicts: number;
}

export interface Stall {
  readonly index: number;
  readonly stopMs: number;
  /** Counted from the moment it goes on. */
  readonly watchMs: number;
}

function observers(notices: readonly Notice[]): number {
  return new Set(notices.map(({ observer }) => observer)).size;
}

/** Stops one agent of every cluster, lets it go on, and counts what is said until `watchMs` later; then waits until all is well. */
export async function stallTrial(
  clusters: readonly Cluster[],
  { index, stopMs, watchMs }: Stall,
): Promise<readonly StallResult[]> {
  const fromMs = performance.now();
  for (const cluster of clusters) cluster.signal(index, "SIGSTOP");
  try {
    await Bun.sleep(stopMs);
  } finally {
    for (const cluster of clusters) cluster.signal(index, "SIGCONT");
  }
  await Bun.sleep(watchMs);
  const results = clusters.map((cluster): StallResult => {
    const said = since(cluster, fromMs);
    const own = said.filter(({ observer, subject }) => observer === index && subject !== index);
    const about = said.filter(({ observer, subject }) => observer !== index && subject === index);
    const amongOthers = said.filter(
      ({ observer, subject }) => observer !== index && subject !== index,
    );
    return {
      accusations: accusations(said, index),
      verdicts: verdictsIn(own),
      suspectedBy: observers(about.filter(({ kind }) => kind === "suspect")),
      countedOutBy: observers(about.filter(isVerdict)),
      isExpelled: about.some(({ kind }) => kind === "agreed-out"),
      falseVerdicts: verdictsIn(amongOthers),
    };
  });
  for (const cluster of clusters) if (!cluster.isWhole()) cluster.mend(index);
  await untilWhole(clusters);
  return results;
}
