/**
 * The agents of a demo: real `holdfast agent` processes, each with a data folder and a loopback address of its own.
 *
 * Loopback is a whole network (127.0.0.0/8), so five agents can use the same port number on five addresses, as five
 * machines would. The second and third byte are drawn, so that two demos at once do not meet.
 */
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { selfCommand, selfEnvironment } from "../../../runtime/io/self-command.ts";
import { descendantsOf, isGone, readProcess } from "./process-table.ts";

export interface AgentSeat {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly folder: string;
  /** What it printed. */
  readonly logPath: string;
  readonly pid: number;
}

export interface ClusterPlace {
  /** Data folders and logs. */
  readonly folder: string;
  /** On tmpfs. */
  readonly sharedMemory: string;
  /** Second and third byte of the loopback addresses. */
  readonly network: readonly [number, number];
  readonly port: number;
  /** Put into the environment of every agent and all that it starts. */
  readonly mark: readonly [string, string];
}

/** The agent's default, and some above it. */
const PORT_FIRST = 7400;
const PORTS_TRIED = 32;

/** How long an agent may take to end its programs and go when it is asked to. */
const LEAVE_WITHIN_MS = 2_000;

/** Addresses and port of a demo: nobody else's at this moment, not even somebody's who listens on all addresses. */
export function choosePlace(): Pick<ClusterPlace, "network" | "port"> {
  const network = [1 + ((process.pid >> 8) % 254), 1 + ((process.pid & 0xff) % 254)] as const;
  const hostname = `127.${network[0]}.${network[1]}.1`;
  for (let port = PORT_FIRST; port < PORT_FIRST + PORTS_TRIED; port++) {
    try {
      void Bun.listen({ hostname, port, socket: { data: () => undefined } }).stop(true);
      return { network, port };
    } catch {
      // Taken; the next one.
    }
  }
  // The agents will say what is wrong with this one.
  return { network, port: PORT_FIRST };
}

export class Agents {
  readonly seats: readonly AgentSeat[];
  readonly #children: ReadonlyMap<string, Bun.Subprocess>;

  private constructor(seats: readonly AgentSeat[], children: ReadonlyMap<string, Bun.Subprocess>) {
    this.seats = seats;
    this.#children = children;
  }

  static start(count: number, place: ClusterPlace): Agents {
    const children = new Map<string, Bun.Subprocess>();
    const [b, c] = place.network;
    const first = `127.${b}.${c}.1:${place.port}`;
    const seats = Array.from({ length: count }, (_, index): AgentSeat => {
      const id = `n${index + 1}`;
      const address = `127.${b}.${c}.${index + 1}`;
      const folder = join(place.folder, id);
      const logPath = join(place.folder, `${id}.log`);
      const shm = join(place.sharedMemory, id);
      mkdirSync(shm, { recursive: true });
      const log = openSync(logPath, "a");
      const child = Bun.spawn({
        cmd: [
          ...selfCommand(["agent", "--id", id, "--address", address, "--port", String(place.port)]),
          ...["--data", folder, "--shm", shm],
          ...(index === 0 ? ["--found"] : ["--join", first]),
        ],
        cwd: place.folder,
        env: { ...selfEnvironment(), [place.mark[0]]: place.mark[1] },
        stdio: ["ignore", log, log],
        // Ctrl-C is for the demo: it ends its agents in order.
        detached: true,
      });
      closeSync(log);
      children.set(id, child);
      return { id, address, port: place.port, folder, logPath, pid: child.pid };
    });
    return new Agents(seats, children);
  }

  isAlive(id: string): boolean {
    const child = this.#children.get(id);
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  alive(): readonly AgentSeat[] {
    return this.seats.filter((seat) => this.isAlive(seat.id));
  }

  /** `SIGKILL`, or `exit code 70`. */
  endOf(id: string): string {
    const child = this.#children.get(id);
    const signal = child?.signalCode ?? null;
    return signal === null ? `exit code ${child?.exitCode ?? "unknown"}` : String(signal);
  }

  /** The last line an agent printed: why it did not start. */
  lastWords(id: string): string {
    const seat = this.seats.find((one) => one.id === id);
    if (seat === undefined) return "";
    return readFileSync(seat.logPath, "utf8").trim().split("\n").at(-1) ?? "";
  }

  /** Asks every agent to go, waits, and ends by force what is still there, programs and proxies included. */
  async stop(): Promise<void> {
    const trees = this.alive().flatMap(({ pid }) => {
      const root = readProcess(pid);
      return root === null ? [] : [root, ...descendantsOf(pid)];
    });
    for (const { id } of this.alive()) this.#children.get(id)?.kill("SIGTERM");
    const untilMs = performance.now() + LEAVE_WITHIN_MS;
    while (performance.now() < untilMs && !trees.every(isGone)) await Bun.sleep(10);
    for (const entry of trees) {
      if (isGone(entry)) continue;
      try {
        process.kill(entry.pid, "SIGKILL");
      } catch {
        // It went between the look and the kill.
      }
    }
  }
}
