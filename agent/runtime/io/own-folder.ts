/**
 * Folders that hold secrets are their user's alone, also those that somebody has made beforehand with the mode that is usual.
 *
 * Only a folder that is holdfast's is changed: one that is empty, or that has a file of ours in it. Any other stays as it is, so that
 * a wrong `--data /etc` shuts nobody out.
 */
import { chmodSync, closeSync, mkdirSync, openSync, readdirSync, statSync } from "node:fs";

const OF_OTHERS = 0o077;

/** Of a folder that is known to be ours. null: it was nobody else's before. Otherwise one line for the user. */
export function closeToOthers(path: string): string | null {
  const { mode } = statSync(path);
  if ((mode & OF_OTHERS) === 0) return null;
  const was = `${path} was open to other users (mode ${(mode & 0o7777).toString(8)})`;
  try {
    chmodSync(path, mode & 0o7700);
    return `${was}: now it is not`;
  } catch (cause) {
    const code = (cause as { code?: string }).code ?? String(cause);
    return `${was}, and this user cannot change that (${code}): chmod 700 ${path}`;
  }
}

/**
 * Makes the folder, or closes it to others where it is empty or holds one of `marks`, names of files that only holdfast makes.
 * Gives what `closeToOthers` does; throws what making a folder throws.
 */
export function ownFolder(path: string, marks: readonly string[]): string | null {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const names = readdirSync(path);
  const isOurs = names.length === 0 || names.some((name) => marks.includes(name));
  return isOurs ? closeToOthers(path) : null;
}

/** Before somebody opens it who would make it with the mode that is usual. Throws what opening throws. */
export function ownFile(path: string): void {
  closeSync(openSync(path, "a", 0o600));
  chmodSync(path, 0o600);
}
