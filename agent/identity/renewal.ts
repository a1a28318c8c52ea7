/**
 * When a process renews its certificates, and what it says while it cannot.
 *
 * Two thirds into their life, so that a third is left for an authority that is away; at once when the authority that issues is
 * another one than theirs, since the old one is about to be dropped. Retries are spread, so that a cluster whose authority comes
 * back does not ask all at once.
 */
export interface CertificateLife {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export const RETRY_MS_MIN = 30_000;
export const RETRY_MS_MAX: number = 3_600_000;

/** `isOfIssuer`: it is from the authority that issues now. `unit` is in 0 … 1, drawn anew by each process. */
export function renewalDueMs(life: CertificateLife, isOfIssuer: boolean, unit: number): number {
  if (!isOfIssuer) return Number.NEGATIVE_INFINITY;
  const lifeMs = life.notAfterMs - life.notBeforeMs;
  // Up to a twentieth earlier: nodes that joined together do not renew together.
  return life.notBeforeMs + lifeMs * (2 / 3 - unit / 20);
}

/** Doubles from half a minute to an hour, with full jitter in its upper half. */
export function renewalRetryMs(failures: number, unit: number): number {
  const most = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.max(0, failures - 1));
  return most / 2 + (most / 2) * unit;
}

/** Whether it is time for somebody to look into it: half of what was left for a renewal is gone. */
export function isPressing(life: CertificateLife, nowMs: number): boolean {
  const lifeMs = life.notAfterMs - life.notBeforeMs;
  return nowMs >= life.notBeforeMs + (lifeMs * 5) / 6;
}
