/**
 * `holdfast proxy`: the process between a node's programs and the communication library.
 *
 * One thread, one loop of its own (epoll by system call): rings, sockets of other proxies, the agent's control socket and timers
 * each get a bounded turn, so neither data nor control can starve the other. It spins only while that pays (`wait-budget.ts`), else
 * sleeps in epoll until a bell, a socket or a timer. Bun's event loop gets a turn now and then.
 *
 * A process serves one assignment in its life. It ends when told to quit, or when the agent's socket closes.
 */
import { writeSync } from "node:fs";
import { createCore } from "../../../core/core.ts";
import type { Version } from "../../checkpoint/checkpoint.ts";
import type { Epoch, NodeId } from "../../membership/membership.ts";
import { dieWithParent, libc, processorCount } from "../../runtime/io/ffi.ts";
import { oneLine } from "../../runtime/io/log.ts";
import type { Log } from "../../runtime/log.ts";
import type { AgentToProxy } from "../proxy.ts";
import { type SelectionCore, selectCommonState } from "../selection.ts";
import { WaitBudget } from "../wait-budget.ts";
import { Assignment } from "./assignment.ts";
import { LineSocket } from "./line-socket.ts";
import { Poller } from "./poller.ts";
import { connectUnix } from "./socket.ts";
import { TcpMesh } from "./tcp-mesh.ts";

export interface ProxyArguments {
  /** Unix socket of the agent. */
  readonly control: string;
  /** IP literal to listen on for other proxies. */
  readonly host: string;
}

const SLEEP_MS_MAX = 500;
/** A look at the rings costs nanoseconds, one at the sockets a system call. */
const LOOKS_PER_POLL = 32;
const LOOKS_PER_TICK = 64;
const YIELD_EVERY_MS = 1000;

const stderrLog: Log = {
  say: (level, text) => {
    // Written at once: this process rarely gives Bun's event loop a turn.
    writeSync(2, `${new Date().toISOString()} ${level.padEnd(6)} proxy ${oneLine(text)}\n`);
  },
};

class ProxyProcess {
  readonly #poller = new Poller();
  readonly #mesh: TcpMesh;
  readonly #control: LineSocket;
  readonly #budget = new WaitBudget(processorCount());
  readonly #core = createCore();
  readonly #agentPid = libc.getppid();
  #assignment: Assignment | null = null;
  #isOver = false;
  #lookCount = 0;
  #yieldAtMs = 0;

  constructor(args: ProxyArguments) {
    this.#mesh = new TcpMesh(args.host, this.#poller, stderrLog, nowMs);
    const fd = connectUnix(args.control);
    if (fd < 0) throw new Error(`no agent listens on ${args.control}`);
    this.#control = new LineSocket(fd, this.#poller, {
      onMessage: (message) => this.#onMessage(message as AgentToProxy),
      onClose: () => {
        this.#isOver = true;
      },
    });
    this.#control.send({ kind: "listening", pid: process.pid, port: this.#mesh.port });
    // Code that has run once runs again in a quarter of the time; a recovery waits for it, this process does not yet.
    rehearseSelection(this.#core);
  }

  async run(): Promise<void> {
    while (!this.#isOver) {
      this.#work();
      if (this.#isOver) break;
      this.#sleep();
      const now = nowMs();
      if (now < this.#yieldAtMs) continue;
      this.#yieldAtMs = now + YIELD_EVERY_MS;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  #onMessage(message: AgentToProxy): void {
    switch (message.kind) {
      case "assign":
        this.#onAssign(message);
        return;
      case "quit":
        this.#isOver = true;
        return;
      default:
        this.#assignment?.onMessage(message);
    }
  }

  #onAssign(message: Extract<AgentToProxy, { kind: "assign" }>): void {
    if (this.#assignment !== null) return;
    try {
      this.#assignment = new Assignment(message, {
        mesh: this.#mesh,
        poller: this.#poller,
        log: stderrLog,
        core: this.#core,
        agentPid: this.#agentPid,
        say: (answer) => this.#control.send(answer),
        nowMs,
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#control.send({ kind: "failed", epoch: message.epoch, reason });
    }
  }

  /** Until nothing has been found for as long as spinning pays. */
  #work(): void {
    let spins = 0;
    do {
      if (this.#lookAround()) {
        if (spins > 0) this.#budget.onFound();
        spins = 0;
      } else spins += LOOKS_PER_POLL;
    } while (spins <= this.#budget.spins && !this.#isOver);
    this.#budget.onSleep();
  }

  /** Rings several times, sockets and timers once; says whether there was anything. */
  #lookAround(): boolean {
    const assignment = this.#assignment;
    let isBusy = false;
    for (let look = 0; look < LOOKS_PER_POLL; look++) {
      if (assignment?.turn()) isBusy = true;
    }
    if (this.#poller.wait(0) > 0) isBusy = true;
    // Timers are in milliseconds: no need to read the clock every microsecond.
    this.#lookCount++;
    if (this.#lookCount % LOOKS_PER_TICK === 0 && assignment?.tick()) isBusy = true;
    return isBusy;
  }

  #sleep(): void {
    this.#assignment?.tick();
    if (this.#assignment !== null && !this.#assignment.prepareSleep()) return;
    const due = this.#assignment?.dueAtMs ?? this.#mesh.dueAtMs;
    const leftMs = due === null ? SLEEP_MS_MAX : Math.ceil(due - nowMs());
    this.#poller.wait(Math.max(0, Math.min(leftMs, SLEEP_MS_MAX)));
    this.#assignment?.endSleep();
  }
}

function rehearseSelection(core: SelectionCore): void {
  const epoch = 1 as Epoch;
  const shard = { job: "", rank: 0, epoch, parent: null, sealed: true, bytes: 0 };
  const holdings = [1, 2, 3].map((version) => ({ ...shard, version: version as Version }));
  const [first, last] = [
    { node: "n1" as NodeId, holdings },
    { node: "n2" as NodeId, holdings },
  ];
  const lineage = [{ epoch, base: 2 as Version }];
  const facts = { size: 1, holdings: [first, last], lineage, poisoned: [], everSealed: true };
  selectCommonState(facts, core);
}

function nowMs(): number {
  return performance.now();
}

/** Resolves when the agent said quit or went away. */
export async function runProxy(args: ProxyArguments): Promise<void> {
  if (!dieWithParent()) return;
  await new ProxyProcess(args).run();
}
