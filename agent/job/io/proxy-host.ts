/**
 * The proxy processes of a node, and the socket they talk to the agent over.
 *
 * Starts what the decision code numbers, tells its words on, and says when one ended. A connection belongs to the proxy whose
 * pid its first line names; a stranger on the socket, or a line of a wrong shape, is cut off.
 */
import { rmSync } from "node:fs";
import type { AgentToProxy, ProxyToAgent } from "../../proxy/proxy.ts";
import type { ProcessNotes } from "../../runtime/io/leftovers.ts";
import { LineSplitter } from "../../runtime/io/lines.ts";
import type { RealProcesses } from "../../runtime/io/processes.ts";
import { selfCommand, selfEnvironment } from "../../runtime/io/self-command.ts";
import type { Log, LogLevel } from "../../runtime/log.ts";
import type { Child } from "../../runtime/processes.ts";
import { readProxySays } from "./wire.ts";

/** An assignment with the holdings of a large job fits. */
const LINE_CHARACTERS_MAX = 64 * 1024 * 1024;

export interface ProxyHostOptions {
  readonly socketPath: string;
  readonly address: string;
  readonly processes: RealProcesses;
  readonly notes: ProcessNotes;
  readonly log: Log;
  readonly onSays: (proxy: number, message: ProxyToAgent) => void;
  readonly onExited: (proxy: number, detail: string) => void;
}

/** Writes whole lines to a socket that takes what it can. */
class LineWriter {
  readonly #socket: Bun.Socket<Session>;
  #pending: Uint8Array = new Uint8Array(0);

  constructor(socket: Bun.Socket<Session>) {
    this.#socket = socket;
  }

  write(line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    this.#pending = this.#pending.byteLength === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    this.drain();
  }

  drain(): void {
    if (this.#pending.byteLength === 0) return;
    const written = this.#socket.write(this.#pending);
    this.#pending = this.#pending.subarray(Math.max(written, 0));
  }
}

interface Session {
  proxy: number | null;
  writer: LineWriter | null;
  splitter: LineSplitter | null;
}

interface Proxy {
  readonly child: Child;
  writer: LineWriter | null;
  /** Told before it had connected. */
  waiting: string[];
}

export class ProxyHost {
  readonly #options: ProxyHostOptions;
  readonly #proxies = new Map<number, Proxy>();
  readonly #server: Bun.UnixSocketListener<Session>;

  constructor(options: ProxyHostOptions) {
    this.#options = options;
    rmSync(options.socketPath, { force: true });
    this.#server = Bun.listen<Session>({
      unix: options.socketPath,
      data: { proxy: null, writer: null, splitter: null },
      socket: {
        open: (socket) => {
          const session: Session = { proxy: null, writer: new LineWriter(socket), splitter: null };
          session.splitter = new LineSplitter(
            (line) => this.#hear(socket, session, line),
            LINE_CHARACTERS_MAX,
          );
          socket.data = session;
        },
        data: (socket, bytes) => socket.data.splitter?.push(bytes),
        drain: (socket) => socket.data.writer?.drain(),
        error: () => undefined,
      },
    });
  }

  spawn(proxy: number): void {
    const options = this.#options;
    const argv = selfCommand(["proxy", "--control", options.socketPath, "--host", options.address]);
    const child = options.processes.start(
      { argv, cwd: "/", env: selfEnvironment() },
      {
        onStart: (pid) => options.notes.add(pid, "proxy"),
        onLine: (_stream, line) => sayFor(options.log, `proxy ${proxy}`, line),
        onExit: (_code, detail) => {
          options.notes.remove(child.pid);
          this.#proxies.delete(proxy);
          options.onExited(proxy, detail);
        },
      },
    );
    this.#proxies.set(proxy, { child, writer: null, waiting: [] });
  }

  tell(proxy: number, message: AgentToProxy): void {
    const known = this.#proxies.get(proxy);
    if (known === undefined) return;
    const line = JSON.stringify(message);
    if (known.writer === null) known.waiting.push(line);
    else known.writer.write(line);
  }

  kill(proxy: number): void {
    this.#proxies.get(proxy)?.child.kill();
  }

  close(): void {
    for (const { child } of this.#proxies.values()) child.kill();
    this.#server.stop(true);
    rmSync(this.#options.socketPath, { force: true });
  }

  #hear(socket: Bun.Socket<Session>, session: Session, line: string): void {
    const message = parse(line);
    if (message === null || typeof message === "string") {
      this.#options.log.say("fault", `control socket: ${message ?? "not JSON"}; connection closed`);
      socket.terminate();
      return;
    }
    if (message.kind === "listening") this.#identify(session, message.pid);
    if (session.proxy === null) {
      this.#options.log.say("fault", "control socket: a stranger; connection closed");
      socket.terminate();
      return;
    }
    this.#options.onSays(session.proxy, message);
  }

  #identify(session: Session, pid: number): void {
    for (const [proxy, known] of this.#proxies) {
      if (known.child.pid !== pid || known.writer !== null) continue;
      session.proxy = proxy;
      known.writer = session.writer;
      for (const line of known.waiting.splice(0)) known.writer?.write(line);
    }
  }
}

/** A proxy's own log line keeps its level and loses its date; anything else it prints is not expected. */
function sayFor(log: Log, who: string, line: string): void {
  const match = /^\S+Z (fault|event|detail)\s+(.*)$/.exec(line);
  if (match === null) log.say("event", `${who}: ${line}`);
  else log.say(match[1] as LogLevel, `${who}: ${match[2]}`);
}

/** The message, or what is wrong with it. */
function parse(line: string): ProxyToAgent | string | null {
  try {
    const read = readProxySays(JSON.parse(line));
    return read.ok ? read.value : read.error;
  } catch {
    return null;
  }
}
