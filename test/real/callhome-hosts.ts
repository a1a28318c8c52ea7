/**
 * Four hosts that call home, for tests that cut the network between them: a node with its BMC, a peer, a manager, a destination, each
 * in a network namespace, with identities of one authority, so all of it goes over mutual TLS.
 *
 * Cuts are nftables rules in the node's or the manager's host, by direction: `drop` is a cable that is pulled, `reject` a host that
 * says no. Each error is of another component, hence another ticket; what the destination has is the truth that is looked at.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openAuthorityOffice } from "../../agent/identity/io/authority-office.ts";
import { initCluster, makeIdentityHere } from "../../agent/identity/io/init-cluster.ts";
import type { ClusterStatus } from "../../agent/job/io/status.ts";
import { Hosts } from "../../bench/detection/hosts.ts";
import { ROOT } from "../steps.ts";

export type HostName = "node" | "peer" | "manager" | "destination";
const INDEX: Readonly<Record<HostName, number>> = { node: 0, peer: 1, manager: 2, destination: 3 };

export interface Cut {
  /** Whose rules they are. */
  readonly in: HostName;
  readonly other: HostName;
  /** Seen from `in`; both by default. */
  readonly way?: "to" | "from" | "both";
  readonly how?: "drop" | "reject";
}

export interface TicketSeen {
  readonly id: string;
  readonly title: string;
  readonly system: string;
  readonly eventCount: number;
  readonly openedMs: number;
}

export interface StepSeen {
  readonly step: string;
  readonly path: { readonly kind: string; readonly name: string } | null;
  readonly atMs: number;
  readonly reason: string;
  readonly ticket: string | null;
}

export interface EventSeen {
  readonly id: string;
  readonly state: string;
  readonly ticket: string | null;
  readonly event: { readonly text: string; readonly seenMs: number; readonly way: string } | null;
  readonly steps: readonly StepSeen[];
}

const CLUSTER = "cuts";
const POLL_MS = 25;
const START_WITHIN_MS = 30_000;
const PORTS = { agent: 7_400, manager: 7_440, destination: 7_500, bmc: 9_623 } as const;
const HOLDFAST = [process.execPath, join(ROOT, "agent/main.ts")];
/** Runs in a host: a namespace cannot be asked from outside. */
const ASKER = join(ROOT, "test/real/callhome-asker.ts");

const SLOW_RELAY = join(ROOT, "test/real/callhome-slow-relay.ts");
const RELAY_PORT = 7_441;

export async function until<Answer>(
  what: string,
  withinMs: number,
  ask: () => Answer | null | Promise<Answer | null>,
): Promise<Answer> {
  const limitMs = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (performance.now() > limitMs) throw new Error(`not within ${withinMs / 1_000} s: ${what}`);
    await Bun.sleep(POLL_MS);
  }
}

/** One process in a host that asks whatever it is told over HTTPS: a line in, a line out. */
class Asker {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #waiting: ((line: string) => void)[] = [];

  constructor(argv: readonly string[]) {
    this.#child = Bun.spawn([...argv], { stdio: ["pipe", "pipe", "inherit"] });
    void this.#read();
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const chunk of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#waiting.shift()?.(line);
    }
    for (const give of this.#waiting.splice(0)) give("null");
  }

  async ask<Answer>(role: string, url: string): Promise<Answer | null> {
    const answered = new Promise<string>((resolve) => this.#waiting.push(resolve));
    void this.#child.stdin.write(`${JSON.stringify({ role, url })}\n`);
    await this.#child.stdin.flush();
    return JSON.parse(await answered) as Answer | null;
  }

  async close(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

export class CallhomeHosts {
  readonly hosts: Hosts;
  readonly #askers = new Map<HostName, Asker>();
  readonly #logs = new Map<string, string[]>();
  #manager: Bun.Subprocess | null = null;
  #relay: Bun.Subprocess | null = null;

  private constructor(hosts: Hosts) {
    this.hosts = hosts;
  }

  static async open(): Promise<CallhomeHosts> {
    const hosts = await Hosts.open(4);
    const opened = new CallhomeHosts(hosts);
    try {
      await opened.#begin();
      return opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  #data(name: string): string {
    return join(this.hosts.folder, name);
  }

  address(name: HostName): string {
    return this.hosts.address(INDEX[name]);
  }

  async #identities(): Promise<void> {
    const made = await initCluster({
      cluster: CLUSTER,
      identityFolder: join(this.#data("node"), "identity"),
      nodeName: "n1",
      operatorFolder: join(this.#data("operator"), "identity"),
      operatorName: "tester",
    });
    if (!made.ok) throw new Error(made.error.detail);
    const office = openAuthorityOffice(made.value.authorityFolder, Date.now);
    try {
      for (const [folder, role, name] of [
        ["peer", "agent", "n2"],
        ["manager", "manager", "m1"],
        ["destination", "destination", "support"],
      ] as const) {
        const identity = join(this.#data(folder), "identity");
        const given = await makeIdentityHere(office, identity, { cluster: CLUSTER, role, name });
        if (!given.ok) throw new Error(given.error.detail);
      }
    } finally {
      office.close();
    }
  }

  #start(host: HostName, name: string, argv: readonly string[]): Bun.Subprocess {
    const log: string[] = [];
    this.#logs.set(name, log);
    return this.hosts.start(INDEX[host], [...HOLDFAST, ...argv], (line) => {
      log.push(line);
    });
  }

  /** What it said lately, for a failure's text. */
  lastLines(name: string, count = 12): string {
    return (this.#logs.get(name) ?? []).slice(-count).join("\n");
  }

  #startManager(): Bun.Subprocess {
    return this.#start("manager", "manager", [
      ...["manager", "--listen", `${this.address("manager")}:${PORTS.manager}`],
      ...["--page-listen", "none", "--data", this.#data("manager")],
      ...["--destination", `https://${this.address("destination")}:${PORTS.destination}`],
    ]);
  }

  #startAgent(host: "node" | "peer", more: readonly string[]): Bun.Subprocess {
    const shm = join(this.hosts.sharedMemory, host);
    mkdirSync(shm, { recursive: true });
    return this.#start(host, host, [
      ...["agent", "--id", host === "node" ? "n1" : "n2", "--address", this.address(host)],
      ...["--data", this.#data(host), "--shm", shm, "--heartbeat-hours", "0", "--witness"],
      ...["--manager", `https://${this.address("manager")}:${PORTS.manager}`],
      ...["--destination", `https://${this.address("destination")}:${PORTS.destination}`],
      ...more,
    ]);
  }

  async #begin(): Promise<void> {
    await this.#identities();
    const password = join(this.hosts.folder, "bmc-password");
    writeFileSync(password, "emulated\n", { mode: 0o600 });
    this.#start("node", "bmc", [
      ...["bmc", "emulate", "--lan", `127.0.0.1:${PORTS.bmc}`],
      ...["--control", this.#control],
    ]);
    const destination = `${this.address("destination")}:${PORTS.destination}`;
    const data = this.#data("destination");
    this.#start("destination", "destination", [
      "destination",
      "--listen",
      destination,
      "--data",
      data,
    ]);
    this.#manager = this.#startManager();
    const bmc = `lan://admin@127.0.0.1:${PORTS.bmc}`;
    this.#startAgent("node", [
      ...["--found", "--bmc", bmc, "--bmc-password-file", password, "--bmc-poll-seconds", "0.2"],
    ]);
    this.#startAgent("peer", ["--join", `${this.address("node")}:${PORTS.agent}`]);
    const operator = join(this.#data("operator"), "identity");
    for (const name of ["node", "destination", "manager"] as const) {
      const argv = ["setpriv", "--pdeathsig", "KILL", process.execPath, ASKER, operator];
      this.#askers.set(name, new Asker(this.hosts.command(INDEX[name], argv)));
    }
    await this.untilWell(START_WITHIN_MS);
  }

  get #control(): string {
    return join(this.hosts.folder, "bmc.sock");
  }

  #ask<Answer>(host: HostName, role: string, path: string): Promise<Answer | null> {
    const port =
      role === "agent" ? PORTS.agent : role === "manager" ? PORTS.manager : PORTS.destination;
    const asker = this.#askers.get(host);
    if (asker === undefined) throw new Error(`nobody asks in the host ${host}`);
    return asker.ask<Answer>(role, `https://${this.address(host)}:${port}${path}`);
  }

  /** The node watches its BMC, reaches its manager, is in a view with its peer, and nothing waits. */
  async untilWell(withinMs: number): Promise<void> {
    interface Summary {
      readonly bmcs: readonly { readonly state: string }[];
      readonly delivery: {
        readonly waitingCount: number;
        readonly underWayCount: number;
        readonly keptCount: number;
        readonly paths: readonly {
          readonly path: { readonly kind: string };
          readonly state: string;
        }[];
      };
    }
    let last: Summary | null = null;
    const isWell = async (): Promise<true | null> => {
      last = await this.#ask<Summary>("node", "agent", "/v1/callhome");
      if (last === null) return null;
      const { waitingCount, underWayCount, keptCount, paths } = last.delivery;
      const isUp = (kind: string): boolean =>
        paths.some(({ path, state }) => path.kind === kind && state === "up");
      const status = await this.#ask<ClusterStatus>("node", "agent", "/v1/status");
      const hasPeer = status?.nodes.filter(({ state }) => state === "alive").length === 2;
      const isIdle = waitingCount + underWayCount + keptCount === 0;
      const isWatched = last.bmcs.some(({ state }) => state === "watched");
      return isIdle && isWatched && isUp("manager") && hasPeer ? true : null;
    };
    try {
      await until("the node watches its BMC and reaches its manager", withinMs, isWell);
    } catch (error) {
      const logs = ["bmc", "node", "peer", "manager", "destination"].map(
        (name) => `${name}:\n${this.lastLines(name)}`,
      );
      throw new Error(`${String(error)}\n${JSON.stringify(last)}\n${logs.join("\n")}`);
    }
  }

  /** A line of the emulator's control: raises an error. Gives when. */
  raise(line: string): number {
    const script = `printf '%s\\n' "$1" | socat -t2 - "UNIX-CONNECT:$2"`;
    const atMs = Date.now();
    const answer = this.hosts.run(INDEX.node, ["sh", "-c", script, "sh", line, this.#control]);
    if (!answer.startsWith("ok")) throw new Error(`the BMC says: ${answer.trim()}`);
    return atMs;
  }

  async events(): Promise<readonly EventSeen[]> {
    const list = await this.#ask<{ readonly events: readonly EventSeen[] }>(
      "node",
      "agent",
      "/v1/callhome/events?limit=200",
    );
    return (list?.events ?? []).filter(({ event }) => event !== null && event.way !== "host");
  }

  event(id: string): Promise<EventSeen | null> {
    return this.#ask<EventSeen>("node", "agent", `/v1/callhome/events/${id}`);
  }

  async tickets(): Promise<readonly TicketSeen[]> {
    const list = await this.#ask<{ readonly tickets: readonly TicketSeen[] }>(
      "destination",
      "destination",
      "/v1/tickets?state=any&limit=1000",
    );
    return list?.tickets ?? [];
  }

  /** How often the destination got each event: its own count of copies. */
  async copies(ticket: string): Promise<readonly number[]> {
    const answer = await this.#ask<{ readonly events: readonly { readonly copies: number }[] }>(
      "destination",
      "destination",
      `/v1/tickets/${ticket}`,
    );
    return (answer?.events ?? []).map(({ copies }) => copies);
  }

  /** What the manager has of an event; null: nothing. */
  async managerRow(
    id: string,
  ): Promise<{ readonly state: string; readonly ticket: string | null } | null> {
    const told = await this.#ask<{
      readonly row: { readonly state: string; readonly ticket: string | null };
    }>("manager", "manager", `/v1/events/${id}`);
    return told?.row ?? null;
  }

  cut(cuts: readonly Cut[]): void {
    for (const { in: host, other, way = "both", how = "drop" } of cuts) {
      const address = this.address(other);
      const verdict = how === "drop" ? "drop" : "reject with tcp reset";
      const tcp = how === "drop" ? "" : "meta l4proto tcp";
      // A reset that our own rule sends comes in through lo, in the name of the other.
      const from = `iifname != "lo" ${tcp} ip saddr ${address} ${verdict}`;
      const to = `${tcp} ip daddr ${address} ${verdict}`;
      const rules = [
        `table inet cut_${other} {`,
        way === "to" ? "" : `chain in { type filter hook input priority 0; ${from}; }`,
        way === "from" ? "" : `chain out { type filter hook output priority 0; ${to}; }`,
        "}",
      ].join("\n");
      this.hosts.run(INDEX[host], ["nft", rules]);
    }
  }

  /** From now on each piece of a connection to the manager is so late, both ways; the manager is started anew, so that all are new. */
  async slowDown(delayMs: number): Promise<void> {
    const at = `${this.address("manager")}:${PORTS.manager}`;
    const argv = [process.execPath, SLOW_RELAY, String(RELAY_PORT), at, String(delayMs)];
    let isReady = false;
    this.#relay = this.hosts.start(INDEX.manager, argv, (line) => {
      isReady ||= line === "ready";
    });
    await until("the relay listens", START_WITHIN_MS, () => (isReady ? true : null));
    const chain = "chain p { type nat hook prerouting priority -100";
    const rule = `tcp dport ${PORTS.manager} redirect to :${RELAY_PORT}`;
    this.hosts.run(INDEX.manager, ["nft", `table ip slow { ${chain}; ${rule}; }; }`]);
    await this.restartManager();
  }

  async restartManager(): Promise<void> {
    this.#manager?.kill("SIGKILL");
    await this.#manager?.exited;
    this.#manager = this.#startManager();
    await until("the manager answers", START_WITHIN_MS, () =>
      this.#ask<object>("manager", "manager", "/v1/summary"),
    );
  }

  heal(): void {
    for (const host of ["node", "peer", "manager", "destination"] as const) {
      this.hosts.run(INDEX[host], ["nft", "flush ruleset"]);
    }
    this.#relay?.kill("SIGKILL");
    this.#relay = null;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#askers.values()].map((asker) => asker.close()));
    await this.hosts.close();
  }
}
