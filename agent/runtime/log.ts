/**
 * Where an agent's sentences go. One call is one line that a person can read: it names the node, the job, the number.
 *
 * Levels: `fault` something is wrong and somebody should know; `event` what happened; `detail` for whoever searches a bug.
 * Real twin in `io/` (standard error, or a file); simulated twin `sim/sim-log.ts`, which also hashes the lines.
 */
export type LogLevel = "fault" | "event" | "detail";

export interface Log {
  say(level: LogLevel, text: string): void;
}
