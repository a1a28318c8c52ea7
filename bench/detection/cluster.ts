/**
 * A failure detector at work on hosts, seen through what its agents say: who suspects whom, who counts whom out.
 *
 * The same words for holdfast and its peer. `suspect` is an observer's own accusation; what it only passes on is not counted.
 * `out` is its verdict; `agreed-out` and `agreed-in` are decisions of the whole cluster, where there are such.
 */
export type NoticeKind = "suspect" | "out" | "in" | "agreed-out" | "agreed-in";

export interface Notice {
  /** On the clock of the process that reads. */
  readonly atMs: number;
  readonly observer: number;
  readonly subject: number;
  readonly kind: NoticeKind;
}

export interface Cluster {
  readonly name: string;
  /** Members agree on who is in: `agreed-out` and `agreed-in` are said. */
  readonly hasViews: boolean;
  /** Everything said so far, in the order of being read. */
  readonly notices: readonly Notice[];
  start(): void;
  /** Every agent counts all in. */
  isWhole(): boolean;
  /** What an operator would do once a host is back, so that the next trial need not wait; nothing for most. */
  mend(index: number): void;
  signal(index: number, signal: "SIGSTOP" | "SIGCONT"): void;
  /** The newest lines of every agent, for a failure's message. */
  said(): string;
}

export function nameOf(index: number): string {
  return `n${index + 1}`;
}

export function indexOf(name: string): number {
  return Number(name.slice(1)) - 1;
}

/** When `observer` first counted `subject` out since `sinceMs`; null for not yet. */
export function knownMs(
  cluster: Cluster,
  pair: { readonly observer: number; readonly subject: number },
  sinceMs: number,
  kinds: readonly NoticeKind[],
): number | null {
  const first = cluster.notices.find(
    (notice) =>
      notice.atMs >= sinceMs &&
      notice.observer === pair.observer &&
      notice.subject === pair.subject &&
      kinds.includes(notice.kind),
  );
  return first?.atMs ?? null;
}

const LINES_KEPT = 12;

/** The newest lines of each agent. */
export class Sayings {
  readonly #lines = new Map<number, string[]>();

  add(index: number, line: string): void {
    const lines = this.#lines.get(index) ?? [];
    this.#lines.set(index, [...lines, line].slice(-LINES_KEPT));
  }

  text(): string {
    return [...this.#lines]
      .flatMap(([index, lines]) => lines.map((line) => `${nameOf(index)}: ${line}`))
      .join("\n");
  }
}
