/**
 * Hosts to cut off: network namespaces joined by a bridge in a namespace of its own, for measuring failure detectors.
 *
 * Nothing of it is seen outside: the addresses are of the documentation range, every cable is laid between these namespaces, and
 * there is no way out of them. They have no names, only processes that hold them; those, and whatever runs in the hosts, end
 * with this process however it ends (`setpriv --pdeathsig`), and with the last of them a namespace is gone.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LineSplitter } from "../../agent/runtime/io/lines.ts";
import { Unavailable } from "../bench.ts";

const HOLDER_WITHIN_MS = 5_000;
/** Signals that end a benchmark by hand; the folders go then too. */
const ENDING = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** What a cable that is pulled does: nothing comes in, nothing goes out, nobody is told. The host still reaches itself. */
const CUT = `table inet cut {
  chain in { type filter hook input priority -300; iifname != "lo" drop; }
  chain out { type filter hook output priority -300; oifname != "lo" drop; }
}`;
const HEAL = "delete table inet cut";

const PARTS = [
  { command: "unshare", remedy: "apt-get install util-linux" },
  { command: "nsenter", remedy: "apt-get install util-linux" },
  { command: "setpriv", remedy: "apt-get install util-linux" },
  { command: "ip", remedy: "apt-get install iproute2" },
  { command: "nft", remedy: "apt-get install nftables" },
] as const;

const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

/** Without root the namespaces belong to a user namespace, in which this user is root. */
const AS_ROOT: readonly string[] = process.getuid?.() === 0 ? [] : ["--map-root-user"];

/** What keeps this machine from having such hosts, in words with the remedy; null for nothing. */
export function whyNoHosts(): string | null {
  for (const { command, remedy } of PARTS) {
    if (Bun.which(command, { PATH }) === null) return `${command} is missing: ${remedy}`;
  }
  const script = `ip link add name br0 type bridge && ip link add name a type veth peer name b &&
    nft 'table inet t { chain c { type filter hook input priority 0; drop; }; }'`;
  const child = Bun.spawnSync(["unshare", ...AS_ROOT, "-n", "sh", "-c", script], {
    env: { ...process.env, PATH },
  });
  if (child.exitCode === 0) return null;
  const detail = child.stderr.toString().trim().split("\n")[0];
  return `no network namespaces with a bridge and nftables (run as root?): ${detail}`;
}

function tied(argv: readonly string[]): string[] {
  return ["setpriv", "--pdeathsig", "KILL", ...argv];
}

/** `first` made the user namespace, if there is one. */
async function hold(first: Bun.Subprocess | null): Promise<Bun.Subprocess> {
  const sleep = tied(["sleep", "infinity"]);
  const own = first === null ? AS_ROOT : [];
  const holder = Bun.spawn([...userOf(first), "unshare", ...own, "-n", ...sleep], {
    stdio: ["ignore", "ignore", "ignore"],
    env: { ...process.env, PATH },
  });
  const giveUpMs = performance.now() + HOLDER_WITHIN_MS;
  while (!isHeld(holder.pid)) {
    if (holder.exitCode !== null || performance.now() > giveUpMs) {
      holder.kill("SIGKILL");
      throw new Unavailable("no network namespace can be made");
    }
    await Bun.sleep(2);
  }
  return holder;
}

/** Once it sleeps, its namespaces are made and what it maps is written. */
function isHeld(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8") === "sleep\n";
  } catch {
    return false;
  }
}

function userOf(holder: Bun.Subprocess | null): readonly string[] {
  if (holder === null || AS_ROOT.length === 0) return [];
  return ["nsenter", `--user=/proc/${holder.pid}/ns/user`, "--preserve-credentials"];
}

function inside(holder: Bun.Subprocess, argv: readonly string[]): string[] {
  return [...userOf(holder), "nsenter", `--net=/proc/${holder.pid}/ns/net`, ...argv];
}

function runIn(holder: Bun.Subprocess, argv: readonly string[]): string {
  const child = Bun.spawnSync(inside(holder, argv), { env: { ...process.env, PATH } });
  if (child.exitCode === 0) return child.stdout.toString();
  throw new Error(`${argv.join(" ")}: ${child.stderr.toString().trim()}`);
}

export type LineListener = (line: string, atMs: number) => void;

export class Hosts {
  readonly count: number;
  /** For data of whatever runs here; gone with the hosts. */
  readonly folder: string = mkdtempSync(join(tmpdir(), "holdfast-hosts-"));
  /** The same on tmpfs. */
  readonly sharedMemory: string = join("/dev/shm", `hf-hosts-${process.pid}`);
  readonly #bridge: Bun.Subprocess;
  readonly #holders: readonly Bun.Subprocess[];
  readonly #children: Bun.Subprocess[] = [];
  readonly #onExit = (): void => this.#letGo();
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    process.exit(ENDING[signal as keyof typeof ENDING]);
  };

  private constructor(bridge: Bun.Subprocess, holders: readonly Bun.Subprocess[]) {
    this.#bridge = bridge;
    this.#holders = holders;
    this.count = holders.length;
    mkdirSync(this.sharedMemory, { recursive: true });
    process.on("exit", this.#onExit);
    for (const signal of Object.keys(ENDING)) process.on(signal, this.#onSignal);
  }

  static async open(count: number): Promise<Hosts> {
    const missing = whyNoHosts();
    if (missing !== null) throw new Unavailable(missing);
    const bridge = await hold(null);
    const holders = await Promise.all(Array.from({ length: count }, () => hold(bridge)));
    const hosts = new Hosts(bridge, holders);
    try {
      hosts.#wire();
    } catch (error) {
      await hosts.close();
      throw error;
    }
    return hosts;
  }

  #wire(): void {
    runIn(this.#bridge, ["ip", "link", "add", "name", "br0", "type", "bridge"]);
    runIn(this.#bridge, ["ip", "link", "set", "br0", "up"]);
    for (const [index, holder] of this.#holders.entries()) {
      const port = `host${index}`;
      const peer = ["peer", "name", "eth0", "netns", String(holder.pid)];
      runIn(this.#bridge, ["ip", "link", "add", "name", port, "type", "veth", ...peer]);
      runIn(this.#bridge, ["ip", "link", "set", port, "master", "br0", "up"]);
      runIn(holder, ["ip", "address", "add", `${this.address(index)}/24`, "dev", "eth0"]);
      runIn(holder, ["ip", "link", "set", "lo", "up"]);
      runIn(holder, ["ip", "link", "set", "eth0", "up"]);
    }
  }

  address(index: number): string {
    return `192.0.2.${index + 1}`;
  }

  /** Runs a short command in a host to its end; throws with what it said when it fails. */
  run(index: number, argv: readonly string[]): string {
    return runIn(this.#holder(index), argv);
  }

  /** What runs `argv` in a host, for whoever starts it and ends it himself. */
  command(index: number, argv: readonly string[]): readonly string[] {
    return inside(this.#holder(index), argv);
  }

  /** Starts what stays. Each line it says is stamped when it is read, on the one clock of this process. */
  start(index: number, argv: readonly string[], onLine: LineListener): Bun.Subprocess {
    const child = Bun.spawn(inside(this.#holder(index), tied(argv)), {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PATH },
    });
    this.#children.push(child);
    for (const stream of [child.stdout, child.stderr]) void readLines(stream, onLine);
    return child;
  }

  /** Gives the time before which no packet was lost: the rule is in force some milliseconds later. */
  cut(index: number): number {
    const beforeMs = performance.now();
    runIn(this.#holder(index), ["nft", CUT]);
    return beforeMs;
  }

  heal(index: number): void {
    runIn(this.#holder(index), ["nft", HEAL]);
  }

  #holder(index: number): Bun.Subprocess {
    const holder = this.#holders[index];
    if (holder === undefined) throw new Error(`there is no host ${index}`);
    return holder;
  }

  #processes(): readonly Bun.Subprocess[] {
    return [...this.#children, ...this.#holders, this.#bridge];
  }

  /** What can be done at once, as at the exit of the process. */
  #letGo(): void {
    for (const child of this.#processes()) if (child.exitCode === null) child.kill("SIGKILL");
    for (const folder of [this.folder, this.sharedMemory]) {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async close(): Promise<void> {
    process.off("exit", this.#onExit);
    for (const signal of Object.keys(ENDING)) process.off(signal, this.#onSignal);
    for (const child of this.#processes()) if (child.exitCode === null) child.kill("SIGKILL");
    await Promise.all(this.#processes().map((child) => child.exited));
    this.#letGo();
  }
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine: LineListener): Promise<void> {
  const splitter = new LineSplitter((line) => onLine(line, performance.now()));
  try {
    for await (const chunk of stream) splitter.push(chunk);
  } catch {
    // A pipe that breaks ends the output as closing it does.
  }
  splitter.end();
}
