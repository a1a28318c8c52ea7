/**
 * Child processes of an agent: proxies and programs.
 *
 * A child that cannot be started at all ends with code 127 and the reason, so that there is one way to hear of an end.
 * Real twin in `io/`; simulated twin `sim/sim-processes.ts`, where a process is a script of behaviour.
 */
export interface Command {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface Child {
  readonly pid: number;
  /** SIGKILL to the child and its process group. Harmless when it has ended. */
  kill(): void;
}

export interface ChildHandler {
  onStart(pid: number): void;
  /** `code` null: ended by a signal, named in `detail`. Called exactly once. */
  onExit(code: number | null, detail: string): void;
}

export interface Processes {
  start(command: Command, handler: ChildHandler): Child;
}
