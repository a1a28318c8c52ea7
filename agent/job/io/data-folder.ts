/**
 * The agent's data folder: whose it is, which format, and that only one agent is on it.
 *
 *   format        `holdfast data 1`; written once, checked before anything else is touched
 *   lock          held (flock) while an agent runs, so the kernel lets go of it however the agent ends; holds its pid
 *   state/        documents of decisions: membership, one for each job record, what was told of each watched BMC
 *   checkpoints/  the checkpoint store's
 *   jobs/         output of programs: `<job>/rank-<r>.log`
 *   events/       the journal of events
 *   run/          a note for each child process of the running agent
 *   decisions.log JSON lines
 */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { err, ok, type Result } from "../../../core/result.ts";
import { writeAtomic } from "../../runtime/io/disk.ts";
import { errno, libc } from "../../runtime/io/ffi.ts";
import { closeToOthers } from "../../runtime/io/own-folder.ts";

const FORMAT = "holdfast data 1";

/** No wrapper of flock is among the loaded functions; the number is the architecture's. */
const FLOCK_CALL = process.arch === "arm64" ? 32 : 73;
const LOCK_EXCLUSIVE = 2;
const LOCK_NO_WAIT = 4;

export interface DataFolder {
  readonly path: string;
  readonly state: string;
  readonly jobs: string;
  readonly run: string;
  readonly decisions: string;
  /** What was put right; one line for the user. */
  readonly notice: string | null;
  /** Lets another agent have it. */
  release(): void;
}

export interface DataFolderError {
  readonly kind: "no-access" | "format" | "locked";
  /** One line that names the folder and what to do. */
  readonly detail: string;
}

function noAccess(path: string, cause: unknown): Result<never, DataFolderError> {
  const code = (cause as { code?: string } | null)?.code;
  const isFile = code === "EEXIST" || code === "ENOTDIR";
  const why = isFile ? "a file is in its place" : cause instanceof Error ? cause.message : cause;
  const detail = `data folder ${path} cannot be used (${why}): give this user access, or choose another with --data`;
  return err({ kind: "no-access", detail });
}

/** What a crash may leave before the format is written, and what `join` writes before the first start: still no data folder. */
const NOTHING_YET: readonly string[] = ["lock", "format.tmp", "identity"];

function formatOf(path: string): Result<"fresh" | "known", DataFolderError> {
  const files = readdirSync(path).filter((name) => !NOTHING_YET.includes(name));
  if (files.length === 0) return ok("fresh");
  if (!files.includes("format")) {
    const detail = `${path} is not empty and no data folder of holdfast: choose another with --data`;
    return err({ kind: "format", detail });
  }
  const found = readFileSync(join(path, "format"), "utf8").slice(0, 80).trim();
  if (found === FORMAT) return ok("known");
  const detail = `data folder ${path} has the format "${found}", this agent writes "${FORMAT}": use the holdfast that made it, or choose another folder with --data; nothing was changed`;
  return err({ kind: "format", detail });
}

function lock(path: string): Result<number, DataFolderError> {
  const file = openSync(join(path, "lock"), "a+", 0o600);
  // Not inherited by children: file descriptors are opened close-on-exec.
  if (libc.syscall(FLOCK_CALL, file, LOCK_EXCLUSIVE | LOCK_NO_WAIT, 0, 0, 0, 0) === 0) {
    ftruncateSync(file);
    writeSync(file, `${process.pid}\n`);
    return ok(file);
  }
  const code = errno();
  closeSync(file);
  const pid = readFileSync(join(path, "lock"), "utf8").trim();
  const detail =
    code === 11
      ? `data folder ${path} is in use by the agent with pid ${pid}: stop that one, or choose another folder with --data`
      : `data folder ${path} cannot be locked (error ${code}): choose one on a local disk with --data`;
  return err({ kind: "locked", detail });
}

export async function openDataFolder(path: string): Promise<Result<DataFolder, DataFolderError>> {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const format = formatOf(path);
    if (!format.ok) return format;
    const locked = lock(path);
    if (!locked.ok) return locked;
    const folder: DataFolder = {
      path,
      state: join(path, "state"),
      jobs: join(path, "jobs"),
      run: join(path, "run"),
      decisions: join(path, "decisions.log"),
      notice: closeToOthers(path),
      release: () => closeSync(locked.value),
    };
    if (format.value === "fresh") {
      const failure = await writeAtomic(join(path, "format"), `${FORMAT}\n`);
      if (failure !== null) return noAccess(path, failure.detail);
    }
    for (const part of [folder.state, folder.jobs, folder.run]) {
      mkdirSync(part, { recursive: true, mode: 0o700 });
    }
    return ok(folder);
  } catch (cause) {
    return noAccess(path, cause);
  }
}
