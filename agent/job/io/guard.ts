/**
 * A process that outlives its agent by a moment, to end the programs that the agent had started and free their memory.
 *
 * When an agent is killed, its ranks are started on other nodes at once; what still ran here would compute beside them. A
 * program that uses the SDK ends by itself, any other would not notice. The guard holds the reading end of a pipe that the
 * agent holds the other end of, so the kernel tells it of the agent's death, however that came. It acts only on processes
 * that this run of the agent has noted and on its folder of shared memory, so it is harmless to the next run.
 */
import { ProcessNotes } from "../../runtime/io/leftovers.ts";
import { removeFolder } from "../../runtime/io/remove-folder.ts";
import { selfCommand, selfEnvironment } from "../../runtime/io/self-command.ts";

const RESTART_MS = 1_000;

export interface Guard {
  /** The agent ends in good order: there is nothing left to guard. */
  end(): void;
}

export interface Guarded {
  /** Where the agent's children are noted, and as whose. */
  readonly runFolder: string;
  readonly owner: string;
  /** Of this run of the agent only. */
  readonly sharedMemoryFolder: string;
}

/** Kept alive as long as the agent is. */
export function startGuard({ runFolder, owner, sharedMemoryFolder }: Guarded): Guard {
  let isOver = false;
  let child: Bun.Subprocess<"pipe", "ignore", "ignore"> | null = null;
  const start = (): void => {
    if (isOver) return;
    child = Bun.spawn({
      cmd: [...selfCommand(["guard", runFolder, owner, sharedMemoryFolder])],
      cwd: "/",
      env: selfEnvironment(),
      stdio: ["pipe", "ignore", "ignore"],
      // A signal to the agent's group, such as Ctrl-C, is not for the guard.
      detached: true,
      onExit: () => {
        if (!isOver) setTimeout(start, RESTART_MS);
      },
    });
  };
  start();
  return {
    end: () => {
      isOver = true;
      child?.kill("SIGKILL");
    },
  };
}

/** The guard's own side. */
export async function runGuard(guarded: Guarded): Promise<void> {
  for await (const _ of Bun.stdin.stream()) {
    // Nothing is ever sent: only the end matters.
  }
  new ProcessNotes(guarded.runFolder, guarded.owner).endOwn();
  await removeFolder(guarded.sharedMemoryFolder);
}
