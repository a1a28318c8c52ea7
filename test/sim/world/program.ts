/**
 * A rank's program as the simulator sees it: computes, meets the other ranks in an all-reduce each step, takes a checkpoint
 * every few steps, and can be rolled back in place while it waits in a call.
 *
 * It knows nothing of epochs or nodes: like a real program it only sees its proxy of the moment, and its memory, which
 * outlives proxies. What it computes is in `workload.ts`.
 */
import type { Prng } from "../../../agent/runtime/prng.ts";
import type { SimTime } from "../../../agent/runtime/sim/sim-clock.ts";
import type { Behaviour, SimProcess } from "../../../agent/runtime/sim/sim-processes.ts";
import { nextState, type RankState } from "./workload.ts";

/** What a program does for a living; read from its command line. */
export interface ProgramPlan {
  readonly steps: number;
  readonly stepMs: number;
  readonly checkpointEverySteps: number;
  /** Ends itself with this code at this step; null: never. */
  readonly failAtStep: number | null;
}

/** The proxy of the moment, as a program sees it. */
export interface ProgramProxy {
  /** In the all-reduce of this step; answered by `onReduced`. */
  reduce(rank: number, state: RankState): void;
  /** In checkpoint(); answered by `onCheckpointed`. */
  checkpoint(rank: number, state: RankState): void;
  /** Waits in a call and will not touch its memory. */
  onIdle(rank: number): void;
}

export interface ProgramWorld {
  readonly time: SimTime;
  readonly prng: Prng;
  memory(): RankState;
  setMemory(state: RankState): void;
  /** The program has started and looks for a proxy to attach to. */
  onAttach(program: SimProgram): void;
  onEnded(program: SimProgram): void;
  onStep(program: SimProgram, state: RankState): void;
  /** The host may be stopped: then this runs once it goes on. */
  whenHostRuns(run: () => void): void;
}

type Stage = "starting" | "waiting" | "computing" | "reducing" | "saving" | "stuck" | "ended";

export class SimProgram implements Behaviour {
  readonly job: string;
  readonly rank: number;
  readonly plan: ProgramPlan;
  readonly #world: ProgramWorld;
  #process: SimProcess | null = null;
  #proxy: ProgramProxy | null = null;
  #stage: Stage = "starting";
  /** A proxy that wants to know when it waits. */
  #wantsIdle: ProgramProxy | null = null;
  #isStopped = false;
  #whenContinued: (() => void)[] = [];
  #slowness = 1;
  #stuckNext = false;
  /** Told apart from an older compute step that a rollback made void. */
  #turn = 0;

  constructor(job: string, rank: number, plan: ProgramPlan, world: ProgramWorld) {
    this.job = job;
    this.rank = rank;
    this.plan = plan;
    this.#world = world;
  }

  get stage(): Stage {
    return this.#stage;
  }

  get isStuck(): boolean {
    return this.#stage === "stuck" || (this.#stuckNext && this.#stage !== "ended");
  }

  get proxy(): ProgramProxy | null {
    return this.#proxy;
  }

  begin(process: SimProcess): void {
    this.#process = process;
    this.#stage = "waiting";
    if (this.#wantsIdle === null) this.#world.onAttach(this);
    else this.#becomeIdle();
  }

  ended(): void {
    this.#stage = "ended";
    this.#turn++;
    this.#world.onEnded(this);
  }

  kill(): void {
    this.#process?.kill();
  }

  /** SIGSTOP. */
  stop(): void {
    this.#isStopped = true;
  }

  /** SIGCONT. */
  cont(): void {
    this.#isStopped = false;
    const waiting = this.#whenContinued;
    this.#whenContinued = [];
    for (const run of waiting) this.#guarded(run);
  }

  /** The next steps take so many times as long. */
  setSlowness(factor: number): void {
    this.#slowness = factor;
  }

  /** It will not come back from its next computation. */
  makeStuck(): void {
    this.#stuckNext = true;
  }

  /** A new proxy: tell it when this program waits in a call. What the old proxy was asked is void. */
  takeOver(proxy: ProgramProxy): void {
    this.#wantsIdle = proxy;
    if (this.#stage === "waiting" || this.#stage === "reducing" || this.#stage === "saving") {
      this.#becomeIdle();
    }
  }

  /** The memory holds the state to go on from. */
  resume(proxy: ProgramProxy): void {
    if (this.#stage !== "waiting") return;
    this.#proxy = proxy;
    this.#compute();
  }

  onReduced(sum: number): void {
    if (this.#stage !== "reducing") return;
    const turn = this.#turn;
    this.#guarded(() => {
      if (turn !== this.#turn || this.#stage !== "reducing") return;
      const state = nextState(this.#world.memory(), sum);
      this.#world.setMemory(state);
      this.#world.onStep(this, state);
      this.#afterStep(state);
    });
  }

  onCheckpointed(): void {
    if (this.#stage !== "saving") return;
    const turn = this.#turn;
    this.#guarded(() => {
      if (turn === this.#turn && this.#stage === "saving") this.#compute();
    });
  }

  #afterStep(state: RankState): void {
    if (state.step === this.plan.failAtStep) {
      this.#process?.exit(3);
      return;
    }
    if (state.step >= this.plan.steps) {
      this.#process?.exit(0);
      return;
    }
    if (state.step % this.plan.checkpointEverySteps === 0) {
      this.#stage = "saving";
      this.#proxy?.checkpoint(this.rank, state);
      return;
    }
    this.#compute();
  }

  #compute(): void {
    this.#stage = "computing";
    const turn = ++this.#turn;
    const takesMs = this.plan.stepMs * (0.8 + 0.4 * this.#world.prng.unit()) * this.#slowness;
    this.#world.time.after(takesMs, () => {
      if (turn === this.#turn) this.#guarded(() => this.#computed(turn));
    });
  }

  #computed(turn: number): void {
    if (turn !== this.#turn || this.#stage !== "computing") return;
    if (this.#stuckNext) {
      this.#stage = "stuck";
      return;
    }
    if (this.#wantsIdle !== null) {
      this.#becomeIdle();
      return;
    }
    this.#stage = "reducing";
    this.#proxy?.reduce(this.rank, this.#world.memory());
  }

  #becomeIdle(): void {
    const proxy = this.#wantsIdle;
    this.#wantsIdle = null;
    this.#stage = "waiting";
    this.#turn++;
    this.#proxy = null;
    proxy?.onIdle(this.rank);
  }

  /** Nothing of a stopped or ended process happens. */
  #guarded(run: () => void): void {
    if (this.#stage === "ended") return;
    if (this.#isStopped) this.#whenContinued.push(run);
    else this.#world.whenHostRuns(run);
  }
}
