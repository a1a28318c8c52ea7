/**
 * Time, as the shell of an agent is given it. Decision code gets no clock: it takes `nowMs` as an argument.
 *
 * Real twin: `io/` beside this file. Simulated twin: `sim/sim-clock.ts`, where a node's clock may be skewed and drift.
 */
export interface Clock {
  /** Monotonic, from an arbitrary start; fractions allowed. Never goes back while the process lives. */
  nowMs(): number;
  /** Milliseconds since 1970; for people only, nothing is decided by it. */
  wallMs(): number;
  /** Runs once, not before `delayMs` have passed. Ending the returned timer twice does no harm. */
  after(delayMs: number, run: () => void): Timer;
}

export interface Timer {
  end(): void;
}
