/**
 * Where things lie in the store's folder. Nothing else builds a path.
 *
 *   checkpoints/format                                  the layout's number; another number is refused
 *   checkpoints/tmp/<uuid>.tmp                          not yet durable; removed at the next start
 *   checkpoints/<job>/seals                             commit marks, appended
 *   checkpoints/<job>/<rank>/<version>-<epoch>.shard    durable and whole, as far as known
 *   checkpoints/<job>/<rank>/….shard.damaged            did not match its digests; kept for a look, never read
 *
 * Temporary files have a folder of their own so that a rename alone makes a shard appear, and cleaning up after a crash is
 * one folder's listing. `tmp` is therefore no name of a job.
 */
import { join } from "node:path";
import type { Epoch } from "../../membership/membership.ts";
import type { Version } from "../checkpoint.ts";

/** Raised when a store of the older layout could not be read by this one. */
export const LAYOUT_FORMAT = 1;

export const TEMPORARY_SUFFIX = ".tmp";
export const DAMAGED_SUFFIX = ".damaged";

const TEMPORARY_FOLDER = "tmp";
const JOB = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const SHARD_FILE = /^([1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})\.shard$/;
const NUMBER = /^(0|[1-9][0-9]{0,15})$/;

export interface ShardName {
  readonly job: string;
  readonly rank: number;
  readonly version: Version;
  readonly epoch: Epoch;
}

export function checkpointFolder(dataFolder: string): string {
  return join(dataFolder, "checkpoints");
}

export function formatPath(folder: string): string {
  return join(folder, "format");
}

export function temporaryFolder(folder: string): string {
  return join(folder, TEMPORARY_FOLDER);
}

/** Without separators, dots or anything else that a path could be climbed with. */
export function isJobName(name: string): boolean {
  return JOB.test(name) && name !== TEMPORARY_FOLDER && name !== "format";
}

export function jobFolder(folder: string, job: string): string {
  return join(folder, job);
}

export function rankFolder(folder: string, job: string, rank: number): string {
  return join(folder, job, String(rank));
}

export function sealsPath(folder: string, job: string): string {
  return join(folder, job, "seals");
}

export function shardFile(version: Version, epoch: Epoch): string {
  return `${version}-${epoch}.shard`;
}

export function shardPath(folder: string, name: ShardName): string {
  return join(rankFolder(folder, name.job, name.rank), shardFile(name.version, name.epoch));
}

/** null: not the name of a shard. */
export function parseShardFile(
  name: string,
): { readonly version: Version; readonly epoch: Epoch } | null {
  const match = SHARD_FILE.exec(name);
  if (match === null) return null;
  const version = parseCount(match[1] as string);
  const epoch = parseCount(match[2] as string);
  return version === null || epoch === null
    ? null
    : { version: version as Version, epoch: epoch as Epoch };
}

/** A decimal number from 0 up without sign, leading zero or loss; null for anything else. */
export function parseCount(text: string): number | null {
  if (!NUMBER.test(text)) return null;
  const count = Number(text);
  return Number.isSafeInteger(count) ? count : null;
}
