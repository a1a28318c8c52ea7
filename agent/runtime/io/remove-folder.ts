/**
 * Removing a folder that processes just killed may still have a last word in.
 *
 * A process that got SIGKILL in the middle of a system call finishes that call: a file may appear in a folder that was
 * just emptied, and the removal fails. So it is tried again until nothing is left, for a bounded time.
 */
import { existsSync, rmSync } from "node:fs";

const RETRY_MS = 50;
const GIVE_UP_MS = 5_000;

/** Throws what the last try said when the folder is still there after five seconds. */
export async function removeFolder(folder: string): Promise<void> {
  const giveUpMs = performance.now() + GIVE_UP_MS;
  for (;;) {
    let failure: unknown = null;
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch (error) {
      failure = error;
    }
    if (!existsSync(folder)) return;
    if (performance.now() > giveUpMs) throw failure ?? new Error(`${folder} does not go away`);
    await Bun.sleep(RETRY_MS);
  }
}
