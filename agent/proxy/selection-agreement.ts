/**
 * Do all proxies of a job select the same state from the same facts? Each tells every other (epoch, digest of the
 * facts, version); only when all are equal does anybody act. A difference means that the assignments differed: the recovery
 * fails with one line and is tried again under a higher epoch.
 *
 * Invariant: says `agreed` or `failed` at most once.
 */
import type { Selection, Version } from "../checkpoint/checkpoint.ts";
import type { NodeId } from "../membership/membership.ts";

export interface Opinion {
  readonly inputDigest: string;
  readonly version: Version | null;
}

export type AgreementOutcome =
  | { readonly kind: "open" }
  | { readonly kind: "agreed" }
  | { readonly kind: "failed"; readonly reason: string };

function describe(version: Version | null): string {
  return version === null ? "no version" : `v${version}`;
}

export class SelectionAgreement {
  readonly #own: Selection;
  readonly #missing: Set<NodeId>;
  #isOver = false;

  constructor(own: Selection, others: readonly NodeId[]) {
    this.#own = own;
    this.#missing = new Set(others);
  }

  /** To be called once at the start too: a proxy alone agrees with itself. */
  outcome(): AgreementOutcome {
    if (this.#isOver || this.#missing.size > 0) return { kind: "open" };
    this.#isOver = true;
    return { kind: "agreed" };
  }

  onOpinion(from: NodeId, opinion: Opinion): AgreementOutcome {
    if (this.#isOver) return { kind: "open" };
    const isSameInput = opinion.inputDigest === this.#own.inputDigest;
    if (!isSameInput || opinion.version !== this.#own.version) {
      this.#isOver = true;
      const theirs = `${from} selects ${describe(opinion.version)}`;
      const ours = `this node ${describe(this.#own.version)}`;
      const why = isSameInput ? "from the same facts" : "from other facts";
      return { kind: "failed", reason: `${theirs}, ${ours}, ${why}` };
    }
    this.#missing.delete(from);
    return this.outcome();
  }
}
