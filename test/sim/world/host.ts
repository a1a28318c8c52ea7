/**
 * The processes of a node beside its agent: proxies, programs, and the shared memory between them.
 *
 * Does the effects that start, end and talk to processes, and tells the agent what they say, over a control socket that
 * takes a moment. When the agent dies its control sockets close and every process ends soon after; when the host is
 * stopped nothing of it happens until it goes on.
 */
import type { NodeEffect } from "../../../agent/job/node-events.ts";
import type { Prng } from "../../../agent/runtime/prng.ts";
import type { Command } from "../../../agent/runtime/processes.ts";
import {
  type Behaviour,
  type SimProcess,
  SimProcesses,
} from "../../../agent/runtime/sim/sim-processes.ts";
import type { SimNode } from "./node.ts";
import { type ProgramPlan, SimProgram } from "./program.ts";
import { SimProxy } from "./proxy.ts";
import { initialState, type RankState } from "./workload.ts";

/** A proxy that is asked for more than this often has a machine behind it that leaks them. */
const PROXY_PORT_FIRST = 40_000;

type HostEffect = Exclude<
  NodeEffect,
  {
    kind:
      | "membership"
      | "send-job-message"
      | "persist-record"
      | "store"
      | "decision"
      | "warn"
      | "reply";
  }
>;

interface ProxyEntry {
  readonly handle: number;
  readonly proxy: SimProxy;
  kill: () => void;
}

interface ProgramEntry {
  readonly program: SimProgram;
  pid: number;
  kill: () => void;
}

export class SimHost {
  /** The protected regions, by folder. On tmpfs: gone with the power. */
  readonly memory: Map<string, RankState> = new Map();
  readonly #node: SimNode;
  readonly #prng: Prng;
  readonly #processes: SimProcesses;
  readonly #proxies = new Map<number, ProxyEntry>();
  readonly #programs = new Map<string, ProgramEntry>();
  /** What the process that is being started is. */
  #behaviour: Behaviour | null = null;
  #portNext = PROXY_PORT_FIRST;
  #stopped = false;
  #dead = false;
  #waiting: (() => void)[] = [];

  constructor(node: SimNode, prng: Prng) {
    this.#node = node;
    this.#prng = prng;
    this.#portNext += node.life * 500;
    this.#processes = new SimProcesses(
      node.cluster.time,
      prng.fork("processes"),
      { startMsMin: 5, startMsMax: 40, reapMsMax: 4, pidFirst: 1_000 + node.life * 10_000 },
      (command) => (command.argv[0] === "no-such-program" ? null : this.#behaviour),
    );
  }

  programs(): readonly SimProgram[] {
    return [...this.#programs.values()].map((entry) => entry.program);
  }

  proxies(): readonly SimProxy[] {
    return [...this.#proxies.values()].map((entry) => entry.proxy);
  }

  processCount(): number {
    return this.#proxies.size + this.#programs.size;
  }

  killProxy(proxy: SimProxy): void {
    for (const entry of this.#proxies.values()) if (entry.proxy === proxy) entry.kill();
  }

  killProgram(program: SimProgram): void {
    this.#programs.get(`${program.job}/${program.rank}`)?.kill();
  }

  stop(): void {
    this.#stopped = true;
  }

  cont(): void {
    this.#stopped = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const run of waiting) if (!this.#dead) run();
  }

  /** Their control sockets close; until each notices it goes on for a moment. */
  agentDied(): void {
    const { time } = this.#node.cluster;
    for (const entry of this.#proxies.values()) {
      time.after(this.#prng.unit() * 20, () => entry.proxy.ended());
    }
    for (const entry of this.#programs.values()) {
      time.after(this.#prng.unit() * 20, () => entry.program.kill());
    }
    time.after(21, () => {
      this.#dead = true;
      this.#processes.endAllSilently();
    });
  }

  powerLost(): void {
    this.#dead = true;
    for (const entry of this.#proxies.values()) entry.proxy.vanish();
    this.#proxies.clear();
    this.#processes.endAllSilently();
    this.#programs.clear();
    this.memory.clear();
  }

  perform(effect: HostEffect): void {
    switch (effect.kind) {
      case "spawn-proxy":
        this.#spawnProxy(effect.proxy);
        break;
      case "tell-proxy": {
        const entry = this.#proxies.get(effect.proxy);
        this.#soon(() => entry?.proxy.hear(effect.message));
        break;
      }
      case "kill-proxy":
        this.#proxies.get(effect.proxy)?.kill();
        break;
      case "start-program":
        this.#startProgram(effect);
        break;
      case "kill-program":
        this.#programs.get(`${effect.job}/${effect.rank}`)?.kill();
        break;
      case "pause-program":
        this.#programs.get(`${effect.job}/${effect.rank}`)?.program.stop();
        break;
      case "continue-program":
        this.#programs.get(`${effect.job}/${effect.rank}`)?.program.cont();
        break;
      case "remove-segments":
        for (const folder of [...this.memory.keys()]) {
          if (folder.includes(`/${effect.job}/rank-${effect.rank}/`)) this.memory.delete(folder);
        }
        break;
    }
  }

  whenRuns(run: () => void): void {
    if (this.#dead) return;
    if (this.#stopped) this.#waiting.push(run);
    else run();
  }

  /** The control socket: ordered enough, since it takes the same time always. */
  #soon(run: () => void): void {
    this.#node.cluster.time.after(0.1, () => this.whenRuns(run));
  }

  #spawnProxy(handle: number): void {
    const { cluster, life } = this.#node;
    const port = this.#portNext++;
    const proxy = new SimProxy(port, {
      time: cluster.time,
      prng: this.#prng,
      links: cluster.links,
      core: cluster.core,
      address: this.#node.place.address,
      node: this.#node.id,
      tell: (message) =>
        this.#soon(() => {
          if (life === this.#node.life) {
            this.#node.deliver({ kind: "proxy-says", proxy: handle, message });
          }
        }),
      program: (job, rank) => this.#programs.get(`${job}/${rank}`)?.program,
      onEnded: () => this.#proxies.delete(handle),
      whenHostRuns: (run) => this.whenRuns(run),
      onSelected: (assignment, version) =>
        cluster.referee.onSelected(this.#node, assignment, version),
      onResumed: (assignment, version) =>
        cluster.referee.onResumed(this.#node, assignment, version),
    });
    const entry: ProxyEntry = { handle, proxy, kill: () => {} };
    this.#proxies.set(handle, entry);
    const child = this.#start({ argv: ["holdfast", "proxy"], cwd: "/", env: {} }, proxy, {
      onStart: () => {},
      onExit: (_code, detail) =>
        this.#node.deliver({ kind: "proxy-exited", proxy: handle, detail }),
    });
    entry.kill = () => child.kill();
  }

  #startProgram(effect: Extract<HostEffect, { kind: "start-program" }>): void {
    const { record, rank, regionsFolder } = effect;
    const { cluster } = this.#node;
    const job = record.spec.id;
    const key = `${job}/${rank}`;
    const program = new SimProgram(job, rank, planOf(record.spec.argv), {
      time: cluster.time,
      prng: this.#prng,
      memory: () => this.memory.get(regionsFolder) ?? initialState(rank),
      setMemory: (state) => this.memory.set(regionsFolder, state),
      onAttach: (started) => {
        const proxy = this.#proxyOf(job);
        proxy?.attach(started);
      },
      onEnded: () => {},
      onStep: (stepped, state) =>
        cluster.referee.onStep(this.#node, {
          program: stepped,
          proxy: this.#proxyOf(job),
          state,
          size: record.spec.ranks,
        }),
      whenHostRuns: (run) => this.whenRuns(run),
    });
    const entry: ProgramEntry = { program, pid: 0, kill: () => {} };
    this.#programs.set(key, entry);
    const child = this.#start({ argv: record.spec.argv, cwd: "/", env: {} }, program, {
      onStart: (pid) => this.#node.deliver({ kind: "program-started", job, rank, pid }),
      onExit: (code, detail) => {
        if (this.#programs.get(key) === entry) this.#programs.delete(key);
        const { pid } = entry;
        this.#node.deliver({ kind: "program-exited", job, rank, pid, code, detail });
      },
    });
    entry.pid = child.pid;
    entry.kill = () => child.kill();
  }

  /** The proxy that serves a job here: the one assigned last. */
  #proxyOf(job: string): SimProxy | undefined {
    let found: SimProxy | undefined;
    for (const { proxy } of this.#proxies.values()) {
      if (proxy.job !== job) continue;
      if (found === undefined || (proxy.assignment?.epoch ?? 0) > (found.assignment?.epoch ?? 0)) {
        found = proxy;
      }
    }
    return found;
  }

  #start(
    command: Command,
    behaviour: Behaviour,
    handler: {
      onStart: (pid: number) => void;
      onExit: (code: number | null, detail: string) => void;
    },
  ): SimChild {
    this.#behaviour = behaviour;
    const { life } = this.#node;
    const isOurs = () => life === this.#node.life;
    const child = this.#processes.start(command, {
      onStart: (pid) => {
        if (isOurs()) handler.onStart(pid);
      },
      onExit: (code, detail) => {
        if (isOurs()) handler.onExit(code, detail);
      },
    });
    this.#behaviour = null;
    return child;
  }
}

type SimChild = Pick<SimProcess, "pid" | "kill">;

/** `train STEPS STEP_MS EVERY [FAIL_AT]`: the only program there is. */
export function planOf(argv: readonly string[]): ProgramPlan {
  const [, steps = "100", stepMs = "200", every = "5", failAt = ""] = argv;
  return {
    steps: Number(steps),
    stepMs: Number(stepMs),
    checkpointEverySteps: Number(every),
    failAtStep: failAt === "" ? null : Number(failAt),
  };
}
