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

export interface RealWorld extends BmcWorld {
  /** Resolves when what was printed has been taken by whoever reads it: the process may end then. */
  settled(): Promise<void>;
}

/** A pipe takes 64 KiB at once; a process that ends before the rest was read loses it. */
class Printer {
  readonly #stream: NodeJS.WriteStream;
  #last: Promise<void> = Promise.resolve();

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  print(text: string): void {
    const done = Promise.withResolvers<void>();
    this.#stream.write(`${text}\n`, () => done.resolve());
    this.#last = done.promise;
  }

  settled(): Promise<void> {
    return this.#last;
  }
}

export function realWorld(): RealWorld {
  const interrupted = interruption();
  const printer = new Printer(process.stdout);
  return {
    settled: () => printer.settled(),
    open: (url, { passwordFile, onNotice }) => openBmc(url, { passwordFile, onNotice }),
    env: process.env,
    print: (text) => printer.print(text),
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
