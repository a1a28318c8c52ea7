/**
 * One node of a cluster for tests: what an agent does towards proxy and program, without an agent. Real processes, real
 * sockets. Decides nothing: the cluster (`fake-cluster.ts`) says when.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { NodeId } from "../../membership/membership.ts";
import type { AgentToProxy, ProxyToAgent } from "../proxy.ts";

export interface FakeProxy {
  readonly pid: number;
  readonly port: number;
  readonly messages: ProxyToAgent[];
  tell(message: AgentToProxy): void;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>;
  readonly exited: Promise<number>;
}

/** Waits for something to become true; fails loudly after `limitMs`. */
export async function waitFor(
  what: string,
  isTrue: () => boolean,
  limitMs = 10_000,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!isTrue()) {
    if (performance.now() > endMs) throw new Error(`waited ${limitMs} ms in vain for ${what}`);
    await Bun.sleep(2);
  }
}

export class FakeAgent {
  readonly node: NodeId;
  readonly #folder: string;
  readonly #onMessage: (node: NodeId, proxy: FakeProxy, message: ProxyToAgent) => void;
  #count = 0;

  constructor(
    node: NodeId,
    folder: string,
    onMessage: (node: NodeId, proxy: FakeProxy, message: ProxyToAgent) => void,
  ) {
    this.node = node;
    this.#folder = folder;
    this.#onMessage = onMessage;
  }

  async startProxy(prefix: readonly string[] = []): Promise<FakeProxy> {
    const path = join(this.#folder, `${this.node}-${this.#count++}.sock`);
    const messages: ProxyToAgent[] = [];
    let socket: Bun.Socket<unknown> | null = null;
    let text = "";
    let proxy: FakeProxy | null = null;
    const decoder = new TextDecoder();
    const onMessage = (message: ProxyToAgent): void => {
      messages.push(message);
      if (proxy !== null) this.#onMessage(this.node, proxy, message);
    };
    const server = Bun.listen<unknown>({
      unix: path,
      socket: {
        open: (opened) => {
          socket = opened;
        },
        data: (_, bytes) => {
          text += decoder.decode(bytes, { stream: true });
          const lines = text.split("\n");
          text = lines.pop() ?? "";
          for (const line of lines) onMessage(JSON.parse(line) as ProxyToAgent);
        },
      },
    });
    const main = join(import.meta.dir, "proxy-main.ts");
    const child = Bun.spawn([...prefix, process.execPath, main, path, "127.0.0.1"], {
      env: { ...process.env, BUN_BE_BUN: "1" },
      stdio: ["ignore", "inherit", "inherit"],
    });
    await waitFor("a proxy to listen", () => messages.length > 0);
    const first = messages[0];
    if (first?.kind !== "listening") throw new Error(`a proxy said ${JSON.stringify(first)} first`);
    const end = (): void => {
      server.stop(true);
      rmSync(path, { force: true });
    };
    void child.exited.then(end);
    proxy = {
      pid: first.pid,
      port: first.port,
      messages,
      tell: (message) => socket?.write(`${JSON.stringify(message)}\n`),
      kill: async () => {
        child.kill("SIGKILL");
        await child.exited;
      },
      exited: child.exited,
    };
    return proxy;
  }
}
