/**
 * The event log of a history: sentences with a time and a name, hashed as they come.
 *
 * Two runs of one seed must give the same hash; that is how a stray clock or random source is noticed. The lines themselves
 * are kept only when asked for, since a passing history is never read.
 */
import type { Log, LogLevel } from "../log.ts";

export class SimLog {
  readonly #lines: string[] | null;
  readonly #nowMs: () => number;
  #hashHigh = 0x811c9dc5;
  #hashLow = 0x01000193;
  #count = 0;

  constructor(nowMs: () => number, keepLines: boolean) {
    this.#nowMs = nowMs;
    this.#lines = keepLines ? [] : null;
  }

  say(who: string, text: string): void {
    this.#count++;
    const atUs = Math.round(this.#nowMs() * 1000);
    this.#mix(atUs >>> 0);
    this.#mixText(who);
    this.#mixText(text);
    this.#lines?.push(`${(atUs / 1e6).toFixed(6).padStart(10)} s  ${who.padEnd(8)} ${text}`);
  }

  /** For what is too frequent for a sentence: it still counts in the hash. */
  mark(number: number): void {
    this.#mix(number >>> 0);
  }

  lines(): readonly string[] {
    return this.#lines ?? [];
  }

  count(): number {
    return this.#count;
  }

  hash(): string {
    const hex = (word: number) => (word >>> 0).toString(16).padStart(8, "0");
    return hex(this.#hashHigh) + hex(this.#hashLow);
  }

  /** The log of one node, as its shell sees it. */
  of(who: string): Log {
    return {
      say: (level: LogLevel, text: string) =>
        this.say(who, level === "fault" ? `FAULT ${text}` : text),
    };
  }

  // Two FNV-1a words with different starts: a check of determinism, not a digest of data.
  #mix(word: number): void {
    this.#hashHigh = Math.imul(this.#hashHigh ^ word, 0x01000193);
    this.#hashLow = Math.imul(this.#hashLow ^ word ^ (this.#hashHigh >>> 15), 0x85ebca6b);
  }

  #mixText(text: string): void {
    let hash = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    this.#mix(hash);
  }
}
