/**
 * Real agents for end-to-end tests: processes of this checkout on loopback addresses of their own, with folders that go away.
 *
 * Every wait is for a condition with a limit, and every process is ended by its pid when the cluster is closed.
 */
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterStatus, NodeStatus } from "../../agent/job/io/status.ts";

export const MAIN: string = join(import.meta.dir, "../../agent/main.ts");

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, at most `withinMs`. */
export async function holdfast(
  args: readonly string[],
  options: { readonly env?: Record<string, string>; readonly withinMs?: number } = {},
): Promise<Finished> {
  const child = Bun.spawn({
    cmd: [process.execPath, MAIN, ...args],
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), options.withinMs ?? 15_000);
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  clearTimeout(timer);
  return { code: child.exitCode, stdout, stderr };
}

export async function until<T>(
  what: string,
  withinMs: number,
  look: () => Promise<T | null> | T | null,
): Promise<T> {
  const giveUpMs = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > giveUpMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await Bun.sleep(10);
  }
}

export async function ask<T>(at: string, path: string): Promise<T | null> {
  try {
    const response = await fetch(`http://${at}${path}`, { signal: AbortSignal.timeout(1_000) });
    return response.ok ? ((await response.json()) as T) : null;
  } catch {
    return null;
  }
}

/** A part of 127.0.0.0/8 of this process's own, so that test files may run side by side. */
function loopback(): string {
  const [b, c] = crypto.getRandomValues(new Uint8Array(2));
  return `127.${1 + ((b ?? 0) % 250)}.${c ?? 0}`;
}

export class TestAgent {
  readonly id: string;
  readonly at: string;
  readonly data: string;
  readonly child: Bun.Subprocess;
  readonly #log: string;

  constructor(seat: Pick<TestAgent, "id" | "at" | "data" | "child">, logPath: string) {
    this.id = seat.id;
    this.at = seat.at;
    this.data = seat.data;
    this.child = seat.child;
    this.#log = logPath;
  }

  log(): string {
    return readFileSync(this.#log, "utf8");
  }

  node(): Promise<NodeStatus | null> {
    return ask<NodeStatus>(this.at, "/v1/node");
  }

  status(): Promise<ClusterStatus | null> {
    return ask<ClusterStatus>(this.at, "/v1/status");
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.child.kill(signal);
    await this.child.exited;
  }
}

export class TestCluster {
  readonly folder: string = mkdtempSync(join(tmpdir(), "holdfast-e2e-"));
  readonly network: string = loopback();
  readonly port: number = 7400;
  /** Where programs and proxies share memory, a folder a node. */
  readonly sharedMemory: string = mkdtempSync("/dev/shm/hf-e2e-");
  readonly #agents: TestAgent[] = [];
  readonly #env: Readonly<Record<string, string>>;

  /** `env`: for every agent and all that it starts. */
  constructor(env: Readonly<Record<string, string>> = {}) {
    this.#env = env;
  }

  addressOf(index: number): string {
    return `${this.network}.${index}`;
  }

  at(index: number): string {
    return `${this.addressOf(index)}:${this.port}`;
  }

  /** Node `n<index>`; the first one founds. The same index again is a restart. */
  start(index: number, extra: readonly string[] = []): TestAgent {
    const id = `n${index}`;
    const data = join(this.folder, id);
    const shm = join(this.sharedMemory, id);
    mkdirSync(shm, { recursive: true });
    const joining = index === 1 ? ["--found"] : ["--join", this.at(1)];
    return this.startWith(index, [
      ...["--id", id, "--address", this.addressOf(index), "--port", String(this.port)],
      ...["--data", data, "--shm", shm, ...joining, ...extra],
    ]);
  }

  /** As `start`, but with exactly these flags. */
  startWith(index: number, flags: readonly string[]): TestAgent {
    const id = `n${index}`;
    const logPath = join(this.folder, `${id}.log`);
    const log = openSync(logPath, "a");
    const child = Bun.spawn({
      cmd: [process.execPath, MAIN, "agent", ...flags],
      env: { ...process.env, ...this.#env },
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    const data = join(this.folder, id);
    const agent = new TestAgent({ id, at: this.at(index), data, child }, logPath);
    this.#agents.push(agent);
    return agent;
  }

  /** Every one of `agents` is in one view of exactly them. Gives its epoch. */
  async settle(agents: readonly TestAgent[], withinMs = 25_000): Promise<number> {
    const wanted = agents.map(({ id }) => id).sort();
    return until(`one view of ${wanted.join(", ")}`, withinMs, async () => {
      const nodes = await Promise.all(agents.map((agent) => agent.node()));
      const epochs = new Set(nodes.map((node) => node?.epoch ?? 0));
      const isWhole = nodes.every(
        (node) =>
          node?.state === "alive" &&
          node.members
            .filter((member) => member.inView)
            .map(({ id }) => id)
            .sort()
            .join() === wanted.join(),
      );
      const [epoch] = epochs;
      return isWhole && epochs.size === 1 && epoch !== undefined && epoch > 0 ? epoch : null;
    });
  }

  async close(options: { readonly keepFolder?: boolean } = {}): Promise<void> {
    for (const { child } of this.#agents) if (child.exitCode === null) child.kill("SIGKILL");
    await Promise.all(this.#agents.map(({ child }) => child.exited));
    if (options.keepFolder !== true) rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.sharedMemory, { recursive: true, force: true });
  }
}
