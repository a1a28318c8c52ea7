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
    let most = 0;
    for (let i = 1; i < this.#items.length; i++) {
      if ((this.#items[i] as NewsItem).sentCount > (this.#items[most] as NewsItem).sentCount)
        most = i;
    }
    this.#items.splice(most, 1);
  }

  /** Accusations are taken back: the observer was held up, so they are old, or the accused has answered. */
  dropAccusations(): void {
    this.#items = this.#items.filter((item) => SEVERITY[item.claim.standing] % 3 === 0);
  }

  /**
   * Appends up to CLAIMS_MAX claims in all to `into`, least sent first, and counts them as sent.
   * What was sent `limit` times is dropped. O(NEWS_MAX · CLAIMS_MAX), while there is news.
   */
  take(into: Claim[], limit: number): void {
    const pass = this.#items;
    const skip = into.length > 0 ? (into[0] as Claim).member.instance : "";
    let picked = 0;
    for (let sent = 0; sent < limit && into.length < CLAIMS_MAX && picked < pass.length; sent++) {
      for (let i = 0; i < pass.length && into.length < CLAIMS_MAX; i++) {
        const item = pass[i] as NewsItem;
        if (item.sentCount !== sent || into.includes(item.claim)) continue;
        picked++;
        if (skip !== "" && item.claim.member.instance === skip) continue;
        into.push(item.claim);
      }
    }
    for (let i = pass.length - 1; i >= 0; i--) {
      const item = pass[i] as NewsItem;
      if (into.includes(item.claim) && ++item.sentCount >= limit) pass.splice(i, 1);
    }
  }
}
