/**
 * What a demo leaves nothing of: its temporary folders and every process that was started below it.
 *
 * All of these carry a mark in their environment. A *janitor*, a process of its own session, holds one end of a pipe to the
 * demo: when the demo ends, in whatever way, SIGKILL and a closed terminal included, the pipe closes, and the janitor kills what
 * still carries the mark and removes the folders. In an orderly end there is nothing left for it to do.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeFolder } from "../../../runtime/io/remove-folder.ts";
import { selfCommand, selfEnvironment } from "../../../runtime/io/self-command.ts";
import { processesMarked } from "./process-table.ts";

export const MARK_NAME = "HOLDFAST_DEMO";

export interface Workshop {
  readonly folder: string;
  readonly sharedMemory: string;
  readonly mark: readonly [string, string];
  /** Kills what is left and removes the folders, unless they are to be kept. */
  close(): Promise<void>;
}

/** The executable's hidden sub-command that is the janitor. */
export const JANITOR_COMMAND = "demo-janitor";

/** A process may start another between the look and the kill; five looks have always been four too many. */
const SWEEPS_MAX = 50;
const SWEEP_MS = 10;

export async function killMarked(mark: readonly [string, string]): Promise<void> {
  for (let sweep = 0; sweep < SWEEPS_MAX; sweep++) {
    const pids = processesMarked(`${mark[0]}=${mark[1]}`).filter((pid) => pid !== process.pid);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Gone by itself.
      }
    }
    await Bun.sleep(SWEEP_MS);
  }
}

/** Runs in the janitor's process: waits for the end of the demo, then sweeps. */
export async function runJanitor(mark: string, folders: readonly string[]): Promise<void> {
  for await (const _ of Bun.stdin.stream()) {
    // The demo never writes; only the end of the stream matters.
  }
  await killMarked([MARK_NAME, mark]);
  await removeAll(folders);
}

/** Each for itself: one that cannot be removed must not keep the others. */
async function removeAll(folders: readonly string[]): Promise<void> {
  const results = await Promise.allSettled(folders.map(removeFolder));
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

export function openWorkshop(isKept: boolean): Workshop {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-demo-"));
  const id = folder.slice(folder.lastIndexOf("-") + 1);
  const sharedMemory = `/dev/shm/holdfast-${id}`;
  mkdirSync(sharedMemory);
  const mark = [MARK_NAME, id] as const;
  const doomed = isKept ? [sharedMemory] : [folder, sharedMemory];
  const janitor = Bun.spawn({
    cmd: [...selfCommand([JANITOR_COMMAND, id, ...doomed])],
    env: selfEnvironment(),
    // What it cannot clean up it says where the demo would have.
    stdio: ["pipe", "ignore", "inherit"],
    detached: true,
  });
  janitor.unref();
  return {
    folder,
    sharedMemory,
    mark,
    close: async () => {
      await killMarked(mark);
      // It does the same once more, and finds nothing to do.
      janitor.ref();
      void janitor.stdin.end();
      await janitor.exited;
      await removeAll(doomed);
    },
  };
}

/** Copies an embedded file out, so that other processes can read it. */
export async function layOut(embedded: string, path: string): Promise<void> {
  writeFileSync(path, new Uint8Array(await Bun.file(embedded).arrayBuffer()));
}
