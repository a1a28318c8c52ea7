/**
 * A PostgreSQL of its own for a test: Debian's binaries, data in a temporary folder, loopback, any free port.
 *
 * It refuses to run as root, so there it runs as the user that Debian's package made. Its processes are known by their group,
 * to be killed or stopped as a whole.
 */
import { chmodSync, existsSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SQL } from "bun";
import { removeFolder } from "../../../runtime/io/remove-folder.ts";

const DEBIAN = "/usr/lib/postgresql";
const START_MS = 30_000;

function binaries(): string | null {
  if (!existsSync(DEBIAN)) return null;
  const versions = readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a));
  const found = versions.find((version) => existsSync(join(DEBIAN, version, "bin", "initdb")));
  return found === undefined ? null : join(DEBIAN, found, "bin");
}

function asUser(): readonly string[] {
  if (process.getuid?.() !== 0) return [];
  return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"];
}

export function hasPostgres(): boolean {
  if (binaries() === null) return false;
  return process.getuid?.() !== 0 || Bun.spawnSync(["id", "postgres"]).exitCode === 0;
}

function freePort(): number {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  const { port } = server;
  server.stop(true);
  return port;
}

function run(command: readonly string[]): void {
  const done = Bun.spawnSync([...command], { cwd: "/", stdout: "pipe", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${command.join(" ")}: ${done.stderr.toString()}`);
}

export class TestPostgres {
  readonly #folder: string;
  readonly #bin: string;
  readonly #port = freePort();
  #process: Bun.Subprocess | null = null;
  #count = 0;

  constructor() {
    this.#bin = binaries() ?? "";
    this.#folder = mkdtempSync(join(tmpdir(), "holdfast-pg-"));
    if (asUser().length > 0) run(["chown", "postgres", this.#folder]);
    else chmodSync(this.#folder, 0o700);
    const flags = ["-D", this.#data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"];
    run([...asUser(), join(this.#bin, "initdb"), ...flags]);
  }

  get #data(): string {
    return join(this.#folder, "data");
  }

  /** Started, or started again on the same data. */
  async start(): Promise<void> {
    const settings = [
      `listen_addresses=127.0.0.1`,
      `unix_socket_directories=${this.#folder}`,
      `max_connections=60`,
      `shared_buffers=16MB`,
      // Processes are killed here, machines are not: what was written survives without waiting for a disk.
      `fsync=off`,
    ];
    // `setsid`: a group of its own, so that a test ends it and nothing else.
    this.#process = Bun.spawn(
      [
        "setsid",
        ...asUser(),
        join(this.#bin, "postgres"),
        ...["-D", this.#data, "-p", String(this.#port)],
        ...settings.flatMap((setting) => ["-c", setting]),
      ],
      { cwd: "/", stdout: "ignore", stderr: "ignore" },
    );
    const untilMs = Date.now() + START_MS;
    for (;;) {
      const sql = new SQL({ url: this.url("postgres"), max: 1, connectionTimeout: 1 });
      try {
        await sql.unsafe("select 1");
        return;
      } catch (cause) {
        if (Date.now() > untilMs) throw cause;
        await Bun.sleep(50);
      } finally {
        await sql.close({ timeout: 0 }).catch(() => undefined);
      }
    }
  }

  url(database: string): string {
    return `postgres://postgres@127.0.0.1:${this.#port}/${database}`;
  }

  /** Of a fresh, empty database. */
  async database(): Promise<string> {
    this.#count++;
    const name = `t${this.#count}`;
    const sql = new SQL({ url: this.url("postgres"), max: 1 });
    await sql.unsafe(`create database ${name}`);
    await sql.close();
    return this.url(name);
  }

  /** Every row of the manager's tables goes; quicker than a database for each test. */
  async empty(url: string): Promise<void> {
    const sql = new SQL({ url, max: 1 });
    const tables = "events, notices, tickets, tallies, nodes, jobs, epochs";
    await sql.unsafe(`truncate ${tables}; update clock set value = 0`);
    await sql.close();
  }

  /** To the server and every process of it. */
  signal(signal: NodeJS.Signals): void {
    const pid = this.#process?.pid;
    if (pid === undefined) return;
    // Children lead sessions of their own (`setsid` in each), so they are found as children.
    const children = Bun.spawnSync(["pgrep", "-P", String(pid)])
      .stdout.toString()
      .trim();
    for (const target of [pid, ...children.split("\n").filter(Boolean).map(Number)]) {
      try {
        process.kill(target, signal);
      } catch {
        // It has ended.
      }
    }
  }

  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.#process?.exited;
  }

  async remove(): Promise<void> {
    this.signal("SIGCONT");
    await this.kill();
    await removeFolder(this.#folder);
  }
}
