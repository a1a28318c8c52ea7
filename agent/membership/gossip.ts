/**
 * News that waits to be spread: claims, each sent a bounded number of times, the least sent first.
 *
 * Invariant: of one member, only claims of its newest (incarnation, rebuttal) and severity are kept, one for each accuser;
 * at most NEWS_MAX in all.
 */
import { CLAIMS_MAX, type Claim, type ClaimStanding } from "./packet.ts";
import { NEWS_MAX } from "./timing.ts";

const SEVERITY: Readonly<Record<ClaimStanding, number>> = {
  alive: 0,
  suspect: 1,
  unreachable: 2,
  left: 3,
};

/** Order of claims about one member: (incarnation, rebuttal), then severity. Negative: `a` is older. */
export function compareClaims(a: Claim, b: Claim): number {
  return (
    a.member.incarnation - b.member.incarnation ||
    a.rebuttal - b.rebuttal ||
    SEVERITY[a.standing] - SEVERITY[b.standing]
  );
}

interface NewsItem {
  readonly claim: Claim;
  sentCount: number;
}

export class News {
  #items: NewsItem[] = [];

  size(): number {
    return this.#items.length;
  }

  add(claim: Claim): void {
    const instance = claim.member.instance;
    for (let i = this.#items.length - 1; i >= 0; i--) {
      const old = (this.#items[i] as NewsItem).claim;
      if (old.member.instance !== instance) continue;
      const order = compareClaims(old, claim);
      if (order > 0) return;
      if (order < 0 || old.accuser === claim.accuser) this.#items.splice(i, 1);
    }
    if (this.#items.length >= NEWS_MAX) this.#dropMostSent();
    this.#items.push({ claim, sentCount: 0 });
  }

  #dropMostSent(): void {
    this.#items.sort((a, b) => a.sentCount - b.sentCount);
    this.#items.pop();
  }

  /** Accusations are taken back: the observer was held up, so they are old, or the accused has answered. */
  dropAccusations(): void {
    this.#items = this.#items.filter((item) => SEVERITY[item.claim.standing] % 3 === 0);
  }

  /**
   * Appends to `into` until it holds CLAIMS_MAX claims, least sent first, and counts them as sent. What was sent `limit`
   * times is dropped. A member that `into` already speaks of is left out. O(NEWS_MAX log NEWS_MAX), while there is news.
   */
  take(into: Claim[], limit: number): void {
    const spokenOf = into.length > 0 ? (into[0] as Claim).member.instance : "";
    // Stable: among the equally often sent the older news goes first.
    if (this.#items.length > 1) this.#items.sort((a, b) => a.sentCount - b.sentCount);
    let isSpent = false;
    for (const item of this.#items) {
      if (into.length >= CLAIMS_MAX) break;
      if (item.claim.member.instance === spokenOf) continue;
      into.push(item.claim);
      if (++item.sentCount >= limit) isSpent = true;
    }
    if (isSpent) this.#items = this.#items.filter((item) => item.sentCount < limit);
  }
}
