/**
 * What a store finds when it starts: makes or checks the folder's format, removes what a crash left unfinished, reads every
 * shard to its last byte and sets aside what does not match its digests. Only what passes is ever told to anybody.
 *
 * Reading everything costs as long as the disk takes, and is paid at a start so that a recovery never pays it.
 */
import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AssertionError } from "../../../core/assert.ts";
import type { Epoch } from "../../membership/membership.ts";
import type { Version } from "../checkpoint.ts";
import type { DigestCore } from "../page-digests.ts";
import { describeShardError } from "../shard.ts";
import { makeFolder, syncFile, syncFolder } from "./durable.ts";
import { detailOf, isMissing } from "./io-failure.ts";
import { JobShards, storedShard } from "./job-shards.ts";
import {
  DAMAGED_SUFFIX,
  formatPath,
  isJobName,
  jobFolder,
  LAYOUT_FORMAT,
  parseCount,
  parseShardFile,
  rankFolder,
  sealsPath,
  shardFile,
  TEMPORARY_SUFFIX,
  temporaryFolder,
} from "./layout.ts";
import { SealJournal } from "./seal-journal.ts";
import { giveWay, ShardReader } from "./shard-reader.ts";

/** The folder cannot be used; `message` is one line that says what to do. */
export class FolderError extends Error {
  override readonly name = "FolderError";
}

/** For a look; more of them would only fill the disk. */
const DAMAGED_KEPT_MAX = 2;

export interface Scan {
  readonly jobs: Map<string, JobShards>;
  /** One line for each shard set aside. */
  readonly damaged: readonly string[];
}

async function readFormat(folder: string): Promise<string | null> {
  try {
    return (await readFile(formatPath(folder), "utf8")).trim();
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

async function checkFormat(folder: string): Promise<void> {
  const found = await readFormat(folder);
  if (found === String(LAYOUT_FORMAT)) return;
  const entries = (await readdir(folder)).filter((name) => !name.endsWith(TEMPORARY_SUFFIX));
  if (found !== null || entries.length > 0) {
    const what = found === null ? "no format number" : `format ${found.slice(0, 20)}`;
    throw new FolderError(
      `checkpoints in ${folder} have ${what}, this holdfast reads format ${LAYOUT_FORMAT}: ` +
        "use the holdfast that wrote them, or give the agent an empty data folder",
    );
  }
  const next = `${formatPath(folder)}${TEMPORARY_SUFFIX}`;
  await writeFile(next, `${LAYOUT_FORMAT}\n`, { mode: 0o600 });
  await syncFile(next);
  await rename(next, formatPath(folder));
  await syncFolder(folder);
}

/** Moves a shard out of sight. The newest few stay for a look. */
export async function setAside(path: string): Promise<void> {
  const folder = join(path, "..");
  await rename(path, `${path}${DAMAGED_SUFFIX}`);
  const damaged = (await readdir(folder)).filter((name) => name.endsWith(DAMAGED_SUFFIX));
  damaged.sort((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10));
  for (const name of damaged.slice(DAMAGED_KEPT_MAX)) await rm(join(folder, name), { force: true });
}

/** null: sound and in the index. Else what is wrong with it; one bad file never keeps a store from starting. */
async function scanShard(job: JobShards, path: string, core: DigestCore): Promise<string | null> {
  try {
    const opened = ShardReader.open(path, core);
    if (!opened.ok) return describeShardError(opened.error);
    try {
      return await verifyNamed(job, opened.value, core);
    } finally {
      opened.value.close();
    }
  } catch (error) {
    if (error instanceof AssertionError) throw error;
    return detailOf(error);
  }
}

async function verifyNamed(
  job: JobShards,
  shard: ShardReader,
  core: DigestCore,
): Promise<string | null> {
  const { head } = shard;
  const name = `/${head.job}/${head.rank}/${shardFile(head.version, head.epoch)}`;
  if (!shard.path.endsWith(name)) return "is another shard than its name says";
  const verified = await shard.verifyPayload(core, giveWay);
  if (!verified.ok) return describeShardError(verified.error);
  job.add(storedShard(shard));
  return null;
}

/** Newest first, so that of a chain the part most likely needed is in the page cache. */
function shardFiles(names: readonly string[]): readonly { version: Version; epoch: Epoch }[] {
  return names
    .map(parseShardFile)
    .filter((id) => id !== null)
    .sort((a, b) => b.version - a.version || b.epoch - a.epoch);
}

async function scanJob(
  folder: string,
  name: string,
  core: DigestCore,
): Promise<[JobShards, string[]]> {
  await rm(`${sealsPath(folder, name)}${TEMPORARY_SUFFIX}`, { force: true });
  const job = new JobShards(name, await SealJournal.open(sealsPath(folder, name)));
  const damaged: string[] = [];
  for (const entry of await readdir(jobFolder(folder, name), { withFileTypes: true })) {
    const rank = parseCount(entry.name);
    if (!entry.isDirectory() || rank === null) continue;
    const ofRank = rankFolder(folder, name, rank);
    for (const { version, epoch } of shardFiles(await readdir(ofRank))) {
      const path = join(ofRank, shardFile(version, epoch));
      const fault = await scanShard(job, path, core);
      if (fault === null) continue;
      await setAside(path);
      damaged.push(`${path} ${fault}: set aside as ${DAMAGED_SUFFIX}`);
    }
  }
  return [job, damaged];
}

/** Rejects with `FolderError`. */
export async function scanFolder(folder: string, core: DigestCore): Promise<Scan> {
  const jobs = new Map<string, JobShards>();
  const damaged: string[] = [];
  try {
    await makeFolder(folder);
    await checkFormat(folder);
    await rm(temporaryFolder(folder), { recursive: true, force: true });
    await makeFolder(temporaryFolder(folder));
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (!entry.isDirectory() || !isJobName(entry.name)) continue;
      const [job, bad] = await scanJob(folder, entry.name, core);
      jobs.set(entry.name, job);
      damaged.push(...bad);
    }
  } catch (error) {
    if (error instanceof FolderError) throw error;
    const advice = "make it readable and writable for the agent, or give another data folder";
    throw new FolderError(
      `checkpoints in ${folder} cannot be used (${detailOf(error)}): ${advice}`,
    );
  }
  return { jobs, damaged };
}
