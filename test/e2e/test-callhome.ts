/**
 * Call home as an operator has it: an emulated BMC, agents, managers and a destination, each a process of the executable on
 * addresses of its own. In the clear, as for trying out, or with the identities that `init` and `join` give.
 *
 * Every wait is for a condition with a limit; every process is ended by its pid when the scene is closed.
 */
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Identity, PrincipalRole } from "../../agent/identity/identity.ts";
import { openAuthorityOffice } from "../../agent/identity/io/authority-office.ts";
import { initCluster, makeIdentityHere } from "../../agent/identity/io/init-cluster.ts";
import { openIdentity } from "../../agent/identity/io/open-identity.ts";
import { askAgent } from "../../agent/net/io/http-client.ts";
import { until } from "./test-cluster.ts";
import { BINARY, TestEmulator } from "./test-emulator.ts";

export interface CallTicket {
  readonly id: string;
  readonly state: string;
  readonly severity: string;
  readonly eventCount: number;
  readonly title: string;
}

export interface CallStep {
  readonly step: string;
  readonly atMs: number;
}

export interface CallEvent {
  readonly id: string;
  readonly state: string;
  readonly ticket: string | null;
  readonly event: { readonly text: string; readonly way: string; readonly seenMs: number } | null;
}

export interface SceneOptions {
  /** Mutual TLS, roles, signatures of one cluster. */
  readonly isSecure?: boolean;
  readonly emulatorFlags?: readonly string[];
}

export type ServiceRole = Extract<PrincipalRole, "agent" | "manager" | "destination">;

const START_WITHIN_MS = 20_000;
const STORM_AT_ONCE = 50;

export class Service {
  readonly name: string;
  readonly role: ServiceRole;
  readonly at: string;
  readonly child: Bun.Subprocess;
  readonly #log: string;

  constructor(seat: Pick<Service, "name" | "role" | "at" | "child">, log: string) {
    this.name = seat.name;
    this.role = seat.role;
    this.at = seat.at;
    this.child = seat.child;
    this.#log = log;
  }

  log(): string {
    return readFileSync(this.#log, "utf8");
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.child.kill(signal);
    await this.child.exited;
  }
}

export class CallhomeScene {
  readonly folder: string;
  readonly network: string;
  readonly bmc: TestEmulator;
  readonly scheme: "http" | "https";
  readonly operator: Identity | null;
  readonly #services: Service[] = [];

  private constructor(bmc: TestEmulator, operator: Identity | null, folder: string) {
    const [b, c] = crypto.getRandomValues(new Uint8Array(2));
    this.network = `127.${1 + ((b ?? 0) % 250)}.${c ?? 0}`;
    this.bmc = bmc;
    this.operator = operator;
    this.scheme = operator === null ? "http" : "https";
    this.folder = folder;
  }

  /** `names`: who will have an identity, where the scene is a secure one. */
  static async start(
    options: SceneOptions = {},
    names: readonly (readonly [ServiceRole, string])[] = [],
  ): Promise<CallhomeScene> {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-callhome-"));
    const redfish = ["--redfish", "127.0.0.1:0", "--plain-http"];
    const bmc = await TestEmulator.start([...redfish, ...(options.emulatorFlags ?? [])]);
    const operator = options.isSecure === true ? await makeIdentities(folder, names) : null;
    return new CallhomeScene(bmc, operator, folder);
  }

  destinationUrl(index = 1): string {
    return `${this.scheme}://${this.network}.${100 + index}:7500`;
  }

  managerUrl(index = 1): string {
    return `${this.scheme}://${this.network}.${200 + index}:7443`;
  }

  agentAt(index = 1): string {
    return `${this.network}.${index}:7400`;
  }

  startDestination(flags: readonly string[] = [], index = 1): Promise<Service> {
    const name = `d${index}`;
    const at = `${this.network}.${100 + index}:7500`;
    const trust = this.operator === null ? ["--insecure-any"] : [];
    const argv = ["destination", "--listen", at, "--data", join(this.folder, name), ...trust];
    return this.#start({ role: "destination", name, at, argv: [...argv, ...flags] }, "/healthz");
  }

  startManager(flags: readonly string[] = [], index = 1): Promise<Service> {
    const name = `m${index}`;
    const at = `${this.network}.${200 + index}:7443`;
    const argv = ["manager", "--listen", at, "--page-listen", "none"];
    const where = ["--data", join(this.folder, name), "--name", name];
    const relay = flags.includes("--destination") ? [] : ["--destination", this.destinationUrl()];
    const named = this.operator === null ? where : where.slice(0, 2);
    const service = { role: "manager", name, at, argv: [...argv, ...named, ...relay, ...flags] };
    return this.#start(service as Start, "/v1/summary");
  }

  /** Begins a cluster if it is the first; calls home by the manager and the destination unless told otherwise by `ways`. */
  startAgent(
    flags: readonly string[] = [],
    index = 1,
    ways: readonly string[] = [
      ...["--manager", this.managerUrl()],
      ...["--destination", this.destinationUrl()],
    ],
  ): Promise<Service> {
    const name = `n${index}`;
    const at = this.agentAt(index);
    const [address = "", port = ""] = at.split(":");
    const joining = index === 1 ? ["--found"] : ["--join", this.agentAt(1)];
    const shm = join(this.folder, `${name}-shm`);
    mkdirSync(shm, { recursive: true });
    const argv = ["agent", "--id", name, "--address", address, "--port", port];
    const where = ["--data", join(this.folder, name), "--shm", shm, ...joining];
    const service = { role: "agent", name, at, argv: [...argv, ...where, ...ways, ...flags] };
    return this.#start(service as Start, "/v1/callhome");
  }

  /** Watches the scene's BMC and knows its manager, so that an error may be raised. */
  async ready(
    agent: Service,
    wants: readonly ("manager" | "destination" | "bmc")[],
  ): Promise<void> {
    interface Summary {
      readonly bmcs: readonly { readonly state: string }[];
      readonly delivery: {
        readonly paths: readonly {
          readonly path: { readonly kind: string };
          readonly state: string;
        }[];
      };
    }
    await until(`${agent.name} is ready: ${wants.join(", ")}`, START_WITHIN_MS, async () => {
      const summary = await this.ask<Summary>(agent, "/v1/callhome");
      if (summary === null) return null;
      const isThere = wants.every((want) => {
        if (want === "bmc") return summary.bmcs.some(({ state }) => state === "watched");
        const kind = want === "destination" ? "direct" : want;
        return summary.delivery.paths.some(
          ({ path, state }) => path.kind === kind && state === "up",
        );
      });
      return isThere ? true : null;
    });
  }

  async ask<Answer>(service: Service, path: string): Promise<Answer | null> {
    const { at, role } = service;
    const answer = await askAgent<Answer>({
      ...{ at, path, role, timeoutMs: 2_000, identity: this.operator },
    });
    return answer.ok ? answer.value : null;
  }

  /** Of every state. */
  async tickets(destination: Service): Promise<readonly CallTicket[]> {
    const list = await this.ask<{ readonly tickets: readonly CallTicket[] }>(
      destination,
      "/v1/tickets?state=any&limit=1000",
    );
    return list?.tickets ?? [];
  }

  /** Events that this agent has to tell or has told, without those about holdfast itself. */
  async events(agent: Service): Promise<readonly CallEvent[]> {
    const list = await this.ask<{ readonly events: readonly CallEvent[] }>(
      agent,
      "/v1/callhome/events?limit=1000",
    );
    return (list?.events ?? []).filter(({ event }) => event !== null && event.way !== "host");
  }

  /** Ticket of each event, once all `count` of them are delivered. */
  async delivered(agent: Service, count: number, withinMs: number): Promise<readonly CallEvent[]> {
    return this.#explaining(
      agent,
      until(`${count} events of ${agent.name} are delivered`, withinMs, async () => {
        const events = await this.events(agent);
        const done = events.filter(({ state }) => state === "delivered");
        return events.length >= count && done.length === events.length ? events : null;
      }),
    );
  }

  /** What the agent said stands in the failure of a test. */
  async #explaining<T>(agent: Service, wait: Promise<T>): Promise<T> {
    try {
      return await wait;
    } catch (cause) {
      const events = JSON.stringify(await this.events(agent));
      throw new Error(`${String(cause)}\n${events}\n${agent.log()}`);
    }
  }

  /** Errors of one component by the agent's hooks, each another event; all are on disk when it is over. In the clear only. */
  async storm(agent: Service, count: number): Promise<void> {
    const hook = async (n: number): Promise<void> => {
      const answer = await fetch(`http://${agent.at}/v1/hooks/event`, {
        method: "POST",
        body: JSON.stringify({
          ...{ severity: "critical", category: "memory", subject: "DIMM A1", key: `e${n}` },
          text: `corrected error ${n}`,
        }),
      });
      if (answer.status !== 202) throw new Error(`hook ${n}: ${answer.status}`);
    };
    for (let from = 0; from < count; from += STORM_AT_ONCE) {
      const length = Math.min(STORM_AT_ONCE, count - from);
      await Promise.all(Array.from({ length }, (_, n) => hook(from + n)));
    }
  }

  /** Events that the destination has filed, over all tickets. */
  async eventCount(destination: Service): Promise<number> {
    const tickets = await this.tickets(destination);
    return tickets.reduce((sum, { eventCount }) => sum + eventCount, 0);
  }

  steps(agent: Service, id: string): Promise<{ readonly steps: readonly CallStep[] } | null> {
    return this.ask(agent, `/v1/callhome/events/${id}`);
  }

  async close(): Promise<void> {
    for (const { child } of this.#services) if (child.exitCode === null) child.kill("SIGKILL");
    await Promise.all(this.#services.map(({ child }) => child.exited));
    this.operator?.close();
    await this.bmc.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #start(start: Start, alivePath: string): Promise<Service> {
    const path = join(this.folder, `${start.name}.log`);
    const log = openSync(path, "a");
    const child = Bun.spawn({
      cmd: [...(start.through ?? []), BINARY, ...start.argv],
      env: { ...process.env, HOLDFAST_BMC_PASSWORD: "emulated", XDG_CONFIG_HOME: this.folder },
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    const service = new Service({ ...start, child }, path);
    this.#services.push(service);
    await until(`${start.name} answers`, START_WITHIN_MS, async () => {
      if (child.exitCode !== null) throw new Error(`${start.name} ended: ${service.log()}`);
      return this.ask<object>(service, alivePath);
    });
    return service;
  }
}

interface Start {
  readonly role: ServiceRole;
  readonly name: string;
  readonly at: string;
  readonly argv: readonly string[];
  readonly through?: readonly string[];
}

/** As `init` and `join` make them. */
async function makeIdentities(
  folder: string,
  names: readonly (readonly [ServiceRole, string])[],
): Promise<Identity> {
  const identityOf = (name: string): string => join(folder, name, "identity");
  const made = await initCluster({
    cluster: "test",
    identityFolder: identityOf("n1"),
    nodeName: "n1",
    operatorFolder: identityOf("operator"),
    operatorName: "test",
  });
  if (!made.ok) throw new Error(made.error.detail);
  const { cluster, authorityFolder } = made.value;
  const office = openAuthorityOffice(authorityFolder, Date.now);
  try {
    for (const [role, name] of names) {
      const identity = await makeIdentityHere(office, identityOf(name), { cluster, role, name });
      if (!identity.ok) throw new Error(identity.error.detail);
    }
  } finally {
    office.close();
  }
  const operator = openIdentity(identityOf("operator"));
  if (!operator.ok) throw new Error(operator.error);
  return operator.value;
}
