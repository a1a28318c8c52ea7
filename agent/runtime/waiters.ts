/**
 * Readers that sleep until something changes, or until they are told to stop.
 *
 * Whoever holds the thing calls `wake` after each change; a reader looks again at what it waits for. Nobody is woken twice
 * by one call, and a reader that has stopped is let go of at the next change.
 */
export class Waiters {
  #waiting: (() => void)[] = [];

  /** Resolves at the next `wake`, or when `signal` is raised. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) {
        resolve();
        return;
      }
      const wake = (): void => {
        signal.removeEventListener("abort", wake);
        resolve();
      };
      signal.addEventListener("abort", wake, { once: true });
      this.#waiting.push(wake);
    });
  }

  wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
