/**
 * What the `bmc` commands need of the world: a way to a BMC, a place to print, time, and to be told to stop.
 *
 * Tests give a BMC made of a script and keep what was printed; the executable gives the real ones (`real-world.ts`).
 */

import type { Bmc } from "../../../bmc/bmc.ts";
import type { BmcError } from "../../../bmc/bmc-error.ts";
import type { Result } from "../../../core/result.ts";

export interface OpenSettings {
  readonly passwordFile: string | null;
  /** What it says while it opens, such as that a cipher suite is weak. */
  readonly onNotice: (text: string) => void;
}

export interface BmcWorld {
  open(url: string, settings: OpenSettings): Promise<Result<Bmc, BmcError>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** One line, or several with line ends between, on standard output. */
  print(text: string): void;
  /** The same on standard error. */
  say(text: string): void;
  /** null: standard error is no terminal. A text without line end that replaces the one before. */
  readonly showProgress: ((text: string) => void) | null;
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Resolves early when `interrupted` is raised. */
  sleep(ms: number): Promise<void>;
  /** Raised by Ctrl-C or SIGTERM; its reason is the exit code. */
  readonly interrupted: AbortSignal;
  setExitCode(code: number): void;
}
