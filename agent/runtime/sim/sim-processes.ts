/**
 * Child processes as the simulator sees them: a process is a behaviour that is begun, may end itself, and can be killed.
 *
 * What a command does is given by `behave`; a command that nobody knows ends with code 127, as an unknown program does.
 * Killing is asynchronous, as SIGKILL is: the process does nothing more at once, its end is heard a little later.
 */
import type { Prng } from "../prng.ts";
import type { Child, ChildHandler, Command, Processes } from "../processes.ts";
import type { SimTime } from "./sim-clock.ts";

export interface Behaviour {
  begin(process: SimProcess): void;
  /** The process is gone: nothing of it may happen after this. */
  ended(): void;
}

export interface SimProcessesOptions {
  readonly startMsMin: number;
  readonly startMsMax: number;
  readonly reapMsMax: number;
}

/** A program that runs, as its own behaviour sees it. */
export class SimProcess implements Child {
  readonly pid: number;
  readonly command: Command;
  #end: ((code: number | null, detail: string) => void) | null;

  constructor(pid: number, command: Command, end: (code: number | null, detail: string) => void) {
    this.pid = pid;
    this.command = command;
    this.#end = end;
  }

  isAlive(): boolean {
    return this.#end !== null;
  }

  exit(code: number): void {
    this.#finish(code, `exit code ${code}`);
  }

  kill(): void {
    this.#finish(null, "killed by SIGKILL");
  }

  #finish(code: number | null, detail: string): void {
    const end = this.#end;
    this.#end = null;
    end?.(code, detail);
  }
}

export class SimProcesses implements Processes {
  readonly #time: SimTime;
  readonly #prng: Prng;
  readonly #options: SimProcessesOptions;
  readonly #behave: (command: Command) => Behaviour | null;
  readonly #living = new Map<number, { process: SimProcess; handler: ChildHandler }>();
  #pidNext: number;

  constructor(
    time: SimTime,
    prng: Prng,
    options: SimProcessesOptions & { readonly pidFirst: number },
    behave: (command: Command) => Behaviour | null,
  ) {
    this.#time = time;
    this.#prng = prng;
    this.#options = options;
    this.#behave = behave;
    this.#pidNext = options.pidFirst;
  }

  start(command: Command, handler: ChildHandler): Child {
    const pid = this.#pidNext++;
    const behaviour = this.#behave(command);
    if (behaviour === null) {
      const name = command.argv[0] ?? "";
      const dead = new SimProcess(pid, command, () => {});
      dead.kill();
      this.#later(1, () => handler.onExit(127, `${name}: no such program`));
      return dead;
    }
    let silenced = false;
    const process = new SimProcess(pid, command, (code, detail) => {
      behaviour.ended();
      this.#later(this.#options.reapMsMax, () => {
        silenced = !this.#living.delete(pid);
        if (!silenced) handler.onExit(code, detail);
      });
    });
    this.#living.set(pid, { process, handler });
    const { startMsMin, startMsMax } = this.#options;
    const startMs = startMsMin + this.#prng.unit() * (startMsMax - startMsMin);
    this.#time.after(startMs, () => {
      if (!process.isAlive()) return;
      handler.onStart(pid);
      behaviour.begin(process);
    });
    return process;
  }

  livingCount(): number {
    return this.#living.size;
  }

  /** Everything ends and nobody is told: the agent itself is gone. */
  endAllSilently(): void {
    const all = [...this.#living.values()];
    this.#living.clear();
    for (const { process } of all) process.kill();
  }

  #later(withinMs: number, run: () => void): void {
    this.#time.after(this.#prng.unit() * withinMs, run);
  }
}
