/** What a thrown error means to the store: which kind of failure it is, and the one line that is told. */

const NO_SPACE = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

function codeOf(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}

/** null: not a failure of a local file. Errors of sockets have a code, but no path or descriptor's system call. */
export function failureOf(error: unknown): "no-space" | "io" | null {
  const code = codeOf(error);
  if (code === null || !code.startsWith("E")) return null;
  if (NO_SPACE.has(code)) return "no-space";
  const isSocket = /^E(CONN|HOST|NET|PIPE|TIMEDOUT|ADDR|SOCK)/.test(code);
  return isSocket ? null : "io";
}

export function isMissing(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

export function detailOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0] as string;
}
