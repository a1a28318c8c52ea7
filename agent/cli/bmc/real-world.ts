/**
 * The world of the `bmc` commands in the executable: real BMCs, this process's streams and signals.
 */

import { openBmc } from "../../../bmc/link/io/open-bmc.ts";
import { EXIT_BROKEN_PIPE, isBrokenPipe } from "../cli-error.ts";
import type { BmcWorld } from "./world.ts";

const CLEAR_LINE = "\r\u001b[K";
const EXIT_BY_SIGNAL = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Raised by a signal, or when nobody reads any more. A second signal ends the process at once. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const [signal, code] of Object.entries(EXIT_BY_SIGNAL)) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(code);
      controller.abort(code);
    });
  }
  process.stdout.on("error", (error) => {
    if (!isBrokenPipe(error)) throw error;
    controller.abort(EXIT_BROKEN_PIPE);
  });
  return controller.signal;
}

export function realWorld(): BmcWorld {
  const interrupted = interruption();
  return {
    open: (url, { passwordFile, onNotice }) => openBmc(url, { passwordFile, onNotice }),
    env: process.env,
    print: (text) => {
      process.stdout.write(`${text}\n`);
    },
    say: (text) => {
      process.stderr.write(`${text}\n`);
    },
    showProgress: process.stderr.isTTY
      ? (text) => {
          process.stderr.write(`${CLEAR_LINE}${text}`);
        }
      : null,
    nowMs: () => Date.now(),
    sleep: async (ms) => {
      if (interrupted.aborted) return;
      const woken = Promise.withResolvers<void>();
      const timer = setTimeout(woken.resolve, ms);
      const wake = (): void => woken.resolve();
      interrupted.addEventListener("abort", wake, { once: true });
      await woken.promise;
      clearTimeout(timer);
      interrupted.removeEventListener("abort", wake);
    },
    interrupted,
    setExitCode: (code) => {
      process.exitCode = code;
    },
  };
}
