/** What a checker throws when a history is wrong. The exit codes are those of the command line (`main.ts`). */
export type ViolationKind = "crash" | "liveness" | "correctness";

export const EXIT_CODES: Readonly<Record<ViolationKind, number>> = {
  crash: 127,
  liveness: 128,
  correctness: 129,
};

export class Violation extends Error {
  override readonly name = "Violation";
  readonly kind: ViolationKind;
  /** Which checker: one word or two, stable, so that failures can be counted by cause. */
  readonly rule: string;

  constructor(kind: ViolationKind, rule: string, text: string) {
    super(text);
    this.kind = kind;
    this.rule = rule;
  }
}

/** A safety checker's statement. */
export function holds(condition: boolean, rule: string, text: () => string): asserts condition {
  if (!condition) throw new Violation("correctness", rule, text());
}
