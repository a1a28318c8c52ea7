/**
 * The best k of n candidates by weighted metrics, for addresses and for spares.
 *
 * The metrics lie in the core's memory (`core.rankTable`), metric-major, since they change less often than they are
 * asked for. A candidate's score is
 *
 *   prior + (raw − prior) / (1 + ageMs / halfLifeMs)     raw = Σ weight · metric, prior = Σ weight · prior
 *
 * so an old measurement counts less and less and tends to what is known of candidates in general. All arithmetic is in
 * 32-bit floats in a fixed order: every node gets the same ranking. Equal scores rank by index, lower first. A candidate
 * whose score is not a number is left out; that is how the caller excludes one (metric NaN).
 */

/** Views on the core's memory. Metric m of candidate i is metrics[m · CANDIDATES_MAX + i]; higher is better. */
export interface RankTable {
  readonly metrics: Float32Array;
  /** How old the metrics of candidate i are; not negative. */
  readonly agesMs: Float32Array;
}

export interface RankQuery {
  /** Candidates 0 … candidateCount − 1 of the table; at most CANDIDATES_MAX. */
  readonly candidateCount: number;
  /** One a metric, 1 … METRICS_MAX of them. */
  readonly weights: ArrayLike<number>;
  /** One a metric: the value when nothing is known, such as the mean of the last hour. */
  readonly priors: ArrayLike<number>;
  /** The age at which a metric counts half. Infinity: age does not matter. */
  readonly halfLifeMs: number;
  /** How many to choose, 1 … CHOICES_MAX. */
  readonly choiceCount: number;
  /**
   * Weighted sampling without replacement instead of the strict best: the chance of a candidate is in proportion to
   * its score, so that not every client takes the same one. Scores of 0 and below are never drawn. The same seed gives
   * the same draw.
   */
  readonly sampleSeed?: number;
}
