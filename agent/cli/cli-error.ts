/**
 * A command that ends with one line for the user: what is wrong, and what to do about it.
 */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: number;
  readonly remedy?: string;

  constructor(message: string, exitCode: number, remedy?: string) {
    super(message);
    this.exitCode = exitCode;
    if (remedy !== undefined) this.remedy = remedy;
  }
}

/** What the user typed is wrong. */
export const EXIT_USAGE = 2;
/** The configuration of an agent is wrong (sysexits.h EX_CONFIG). */
export const EXIT_CONFIG = 78;
/** As a shell tells of a command that SIGPIPE ended. */
export const EXIT_BROKEN_PIPE = 141;

export function isBrokenPipe(error: unknown): boolean {
  return error instanceof Error && (error as { readonly code?: unknown }).code === "EPIPE";
}
