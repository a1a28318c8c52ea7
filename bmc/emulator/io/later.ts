/**
 * Acts that are to happen a little later, all of which can be called off at once.
 */
export class Later {
  readonly #timers = new Set<Timer>();

  add(delayMs: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delayMs);
    this.#timers.add(timer);
  }

  clear(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
