/**
 * What of the ledger is on disk at the start: where its chain ends, and what had to be put right for it to go on.
 *
 * Only the newest file is read: a torn end is cut, and one that does not follow from its own lines any further is set aside as
 * `.damaged`, with what was sound in its place. Older files are looked at by whoever verifies them.
 */
import { readdir, readFile, rename, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { syncFolder, writeAtomic } from "../../runtime/io/disk.ts";
import { type ChainEnd, EMPTY_CHAIN, parseLine } from "../ledger-chain.ts";
import { sha256Hex } from "./sha256-hex.ts";

export const LEDGER_SUFFIX = ".ledger";

export interface LedgerFileState {
  readonly name: string;
  bytes: number;
}

export interface FoundLedger {
  readonly files: readonly LedgerFileState[];
  readonly end: ChainEnd;
}

interface SoundLines {
  readonly end: ChainEnd;
  readonly bytes: number;
  readonly lineCount: number;
}

/** As far as its lines follow each other. */
function soundLines(content: Buffer): SoundLines {
  let end: ChainEnd | null = null;
  let at = 0;
  let lineCount = 0;
  for (;;) {
    const stop = content.indexOf(10, at);
    if (stop < 0) break;
    const text = content.toString("utf8", at, stop);
    const line = parseLine(text);
    if (line === null) break;
    const n = line.kind === "step" ? line.entry.n : line.n;
    if (end !== null && (n !== end.n + 1 || line.prev !== end.head)) break;
    end = { n, head: sha256Hex(text) };
    at = stop + 1;
    lineCount++;
  }
  return { end: end ?? EMPTY_CHAIN, bytes: at, lineCount };
}

async function rewriteSound(folder: string, name: string, sound: Buffer): Promise<void> {
  const path = join(folder, name);
  const failure = await writeAtomic(`${path}.sound`, sound.toString("utf8"));
  if (failure !== null) throw new Error(failure.detail);
  await rename(path, `${path}.damaged`);
  await rename(`${path}.sound`, path);
  await syncFolder(folder);
}

/** Of the newest file that has a sound line. Older ones are only looked at by whoever verifies. */
async function findEnd(
  folder: string,
  name: string,
  complaints: string[],
): Promise<SoundLines | null> {
  const path = join(folder, name);
  try {
    const content = await readFile(path);
    const sound = soundLines(content);
    const rest = content.length - sound.bytes;
    if (sound.lineCount === 0) {
      if (content.length === 0) await rm(path, { force: true });
      else await rename(path, `${path}.damaged`);
      if (content.includes(10)) complaints.push(`${name} does not read: it is set aside`);
      return null;
    }
    if (rest > 0 && content.includes(10, sound.bytes)) {
      await rewriteSound(folder, name, content.subarray(0, sound.bytes));
      complaints.push(
        `${name}: ${rest} bytes after line ${sound.end.n} do not follow from it and are left out; the file as it was is ${name}.damaged`,
      );
    } else if (rest > 0) {
      await truncate(path, sound.bytes);
    }
    return sound;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    complaints.push(`${name} cannot be read and is set aside: ${why}`);
    await rename(path, `${path}.damaged`).catch(() => undefined);
    return null;
  }
}

/** Throws only where the folder cannot be listed. */
export async function findLedger(
  folder: string,
): Promise<FoundLedger & { readonly complaints: readonly string[] }> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(LEDGER_SUFFIX)).sort();
  const complaints: string[] = [];
  const files: LedgerFileState[] = [];
  let end: ChainEnd | null = null;
  for (const name of names.reverse()) {
    if (end === null) {
      const sound = await findEnd(folder, name, complaints);
      if (sound === null) continue;
      end = sound.end;
      files.unshift({ name, bytes: sound.bytes });
    } else {
      const { size } = await stat(join(folder, name)).catch(() => ({ size: 0 }));
      files.unshift({ name, bytes: size });
    }
  }
  return { files, end: end ?? EMPTY_CHAIN, complaints };
}
