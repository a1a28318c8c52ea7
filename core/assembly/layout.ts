/**
 * The module's fixed memory: every region that a host sees lies here. No allocator, no start function. The picture of
 * the whole is above `createCore` in `core/core.ts`; the numbers are in `core/abi.ts`.
 */
import {
  CANDIDATES_MAX,
  CHOICES_MAX,
  DELTA_SLACK_BYTES,
  DIGEST_BYTES,
  GROUPS_MAX,
  METRICS_MAX,
  REGION_AGES,
  REGION_BEFORE,
  REGION_CHOICES,
  REGION_COMMON,
  REGION_DELTAS,
  REGION_DIGESTS,
  REGION_ELSEWHERE,
  REGION_INPUT,
  REGION_METRICS,
  REGION_OUTPUT,
  REGION_PARENTS,
  REGION_PRIORS,
  REGION_RECOVERED,
  REGION_SHARDS,
  REGION_SHARED_PARENTS,
  REGION_STREAM,
  REGION_STREAM_STATE,
  REGION_WEIGHTS,
  SHARD_WORDS_MAX,
  STREAM_BYTES,
  STREAM_STATE_BYTES,
  VERSIONS_MAX,
  WINDOW_BYTES,
  WINDOW_PAGES,
} from "../abi";

export const before: usize = memory.data(WINDOW_BYTES, 64);
export const input: usize = memory.data(WINDOW_BYTES, 64);
export const output: usize = memory.data(WINDOW_BYTES + DELTA_SLACK_BYTES, 64);
export const digests: usize = memory.data(WINDOW_PAGES * DIGEST_BYTES, 64);
/** Accumulators, the 64 bytes before the buffer, the buffer: one piece, so that a last stripe may reach back. */
export const streamState: usize = memory.data(STREAM_STATE_BYTES + STREAM_BYTES, 64);
export const stream: usize = streamState + STREAM_STATE_BYTES;

export const shards: usize = memory.data(SHARD_WORDS_MAX * 8, 64);
export const deltas: usize = memory.data(GROUPS_MAX * 8, 64);
export const elsewhere: usize = memory.data(GROUPS_MAX * 8, 64);
export const parents: usize = memory.data(GROUPS_MAX * VERSIONS_MAX, 64);
export const sharedParents: usize = memory.data(VERSIONS_MAX, 64);
export const recovered: usize = memory.data(GROUPS_MAX * 8, 64);
export const common: usize = memory.data(8, 8);

export const metrics: usize = memory.data(METRICS_MAX * CANDIDATES_MAX * 4, 64);
export const ages: usize = memory.data(CANDIDATES_MAX * 4, 64);
export const scores: usize = memory.data(CANDIDATES_MAX * 4, 64);
export const weights: usize = memory.data(METRICS_MAX * 4, 16);
export const priors: usize = memory.data(METRICS_MAX * 4, 16);
export const choices: usize = memory.data(CHOICES_MAX * 4, 16);

/** Where a region begins; the host asks once. */
export function region(id: u32): usize {
  switch (id) {
    case REGION_BEFORE:
      return before;
    case REGION_INPUT:
      return input;
    case REGION_OUTPUT:
      return output;
    case REGION_DIGESTS:
      return digests;
    case REGION_STREAM:
      return stream;
    case REGION_STREAM_STATE:
      return streamState;
    case REGION_SHARDS:
      return shards;
    case REGION_DELTAS:
      return deltas;
    case REGION_ELSEWHERE:
      return elsewhere;
    case REGION_PARENTS:
      return parents;
    case REGION_SHARED_PARENTS:
      return sharedParents;
    case REGION_RECOVERED:
      return recovered;
    case REGION_COMMON:
      return common;
    case REGION_METRICS:
      return metrics;
    case REGION_AGES:
      return ages;
    case REGION_WEIGHTS:
      return weights;
    case REGION_PRIORS:
      return priors;
    case REGION_CHOICES:
      return choices;
  }
  assert(false);
  return 0;
}
