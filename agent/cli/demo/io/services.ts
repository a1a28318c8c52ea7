/**
 * The processes of the demo's call home: an emulated BMC, an agent that watches it, a manager, a destination. All real, each on
 * a loopback address of its own, none of them part of the cluster that trains.
 *
 * They have the identities that `holdfast init` and `holdfast join` would give them, of an authority made for this demo: what they
 * say goes over mutual TLS, and the event is signed.
 *
 * They carry the demo's mark, so that nothing of them outlives it, however it ends.
 */
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { Identity } from "../../../identity/identity.ts";
import { openAuthorityOffice } from "../../../identity/io/authority-office.ts";
import { initCluster, makeIdentityHere } from "../../../identity/io/init-cluster.ts";
import { openIdentity } from "../../../identity/io/open-identity.ts";
import { selfCommand, selfEnvironment } from "../../../runtime/io/self-command.ts";
import type { ClusterPlace } from "./agents.ts";
import { DemoError } from "./conductor.ts";

export type ServiceName = "BMC" | "agent" | "manager" | "destination";

export interface Service {
  readonly name: ServiceName;
  readonly child: Bun.Subprocess;
  readonly logPath: string;
}

/** Last bytes of the loopback addresses; the agents of the training have the low ones. */
const HOSTS: Readonly<Record<ServiceName, number>> = {
  BMC: 201,
  agent: 202,
  manager: 203,
  destination: 204,
};

const PORTS: Readonly<Record<ServiceName, number>> = {
  BMC: 9_623,
  agent: 7_400,
  manager: 7_440,
  destination: 7_500,
};
const NODE = "c1";
const PRINCIPALS = { manager: "m1", destination: "support" } as const;
/** Where the agent hears the BMC's traps. */
const TRAP_PORT = 9_162;
const CONTROL_WITHIN_MS = 2_000;
const END_WITHIN_MS = 1_500;

export class Services {
  readonly #place: ClusterPlace;
  readonly #folder: string;
  readonly #running = new Map<ServiceName, Service>();
  /** Who asks them. */
  readonly operator: Identity;

  private constructor(place: ClusterPlace, folder: string, operator: Identity) {
    this.#place = place;
    this.#folder = folder;
    this.operator = operator;
  }

  static async open(place: ClusterPlace): Promise<Services> {
    const folder = join(place.folder, "call-home");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "bmc-password"), "emulated\n", { mode: 0o600 });
    const identityOf = (name: string): string => join(folder, name, "identity");
    const made = await initCluster({
      cluster: "demo",
      identityFolder: identityOf("agent"),
      nodeName: NODE,
      operatorFolder: identityOf("operator"),
      operatorName: "demo",
    });
    if (!made.ok) throw new DemoError(made.error.detail);
    const { cluster, authorityFolder } = made.value;
    const office = openAuthorityOffice(authorityFolder, Date.now);
    try {
      for (const role of ["manager", "destination"] as const) {
        const principal = { cluster, role, name: PRINCIPALS[role] };
        const identity = await makeIdentityHere(office, identityOf(role), principal);
        if (!identity.ok) throw new DemoError(identity.error.detail);
      }
    } finally {
      office.close();
    }
    const operator = openIdentity(identityOf("operator"));
    if (!operator.ok) throw new DemoError(operator.error);
    return new Services(place, folder, operator.value);
  }

  /** `ADDRESS:PORT`. */
  at(name: ServiceName): string {
    return `${this.#address(name)}:${PORTS[name]}`;
  }

  get(name: ServiceName): Service {
    const service = this.#running.get(name);
    if (service === undefined) throw new DemoError(`the ${name} was not started`);
    return service;
  }

  #address(name: ServiceName): string {
    const [b, c] = this.#place.network;
    return `127.${b}.${c}.${HOSTS[name]}`;
  }

  #argumentsOf(name: ServiceName): readonly string[] {
    const data = join(this.#folder, name.toLowerCase());
    switch (name) {
      case "BMC":
        return [
          ...["bmc", "emulate", "--lan", this.at("BMC"), "--control", this.#control],
          ...["--trap", `${this.#address("agent")}:${TRAP_PORT}`],
        ];
      case "destination":
        return ["destination", "--listen", this.at(name), "--data", data];
      case "manager":
        return [
          ...["manager", "--listen", this.at(name), "--data", data, "--page-listen", "none"],
          ...["--destination", `https://${this.at("destination")}`],
        ];
      case "agent":
        return [
          ...["agent", "--id", NODE, "--address", this.#address(name), "--found"],
          ...["--port", String(PORTS.agent), "--data", data, "--witness"],
          ...["--shm", this.#place.sharedMemory],
          ...["--bmc", `lan://admin@${this.at("BMC")}`, "--bmc-poll-seconds", "1"],
          ...["--bmc-password-file", join(this.#folder, "bmc-password")],
          ...["--pet", `${this.#address(name)}:${TRAP_PORT}`],
          ...["--manager", `https://${this.at("manager")}`],
          ...["--destination", `https://${this.at("destination")}`],
          ...["--heartbeat-hours", "0"],
        ];
    }
  }

  get #control(): string {
    return join(this.#folder, "bmc.sock");
  }

  start(name: ServiceName): Service {
    const logPath = join(this.#place.folder, `${name.toLowerCase()}.log`);
    const log = openSync(logPath, "a");
    const child = Bun.spawn({
      cmd: [...selfCommand(this.#argumentsOf(name))],
      cwd: this.#place.folder,
      env: { ...selfEnvironment(), [this.#place.mark[0]]: this.#place.mark[1] },
      stdio: ["ignore", log, log],
      // Ctrl-C is for the demo: it ends them in order.
      detached: true,
    });
    closeSync(log);
    const service = { name, child, logPath };
    this.#running.set(name, service);
    return service;
  }

  /** Throws where one has ended that should run: its last line says why. */
  checkAlive(names: readonly ServiceName[]): void {
    for (const name of names) {
      const { child, logPath } = this.get(name);
      if (child.exitCode === null && child.signalCode === null) continue;
      const last = readFileSync(logPath, "utf8").trim().split("\n").at(-1) ?? "";
      throw new DemoError(`the ${name} ended; its last line: ${last}`);
    }
  }

  /** Null while the BMC is not there. */
  control(line: string): Promise<string | null> {
    return new Promise((resolve) => {
      const socket = connect(this.#control);
      let answer = "";
      const end = (text: string | null): void => {
        socket.destroy();
        resolve(text);
      };
      socket.setTimeout(CONTROL_WITHIN_MS, () => end(null));
      socket.on("error", () => end(null));
      socket.on("connect", () => socket.write(`${line}\n`));
      socket.on("data", (chunk) => {
        answer += String(chunk);
        if (answer.includes("\n")) end(answer.trim());
      });
      socket.on("close", () => end(null));
    });
  }

  async stop(): Promise<void> {
    this.operator.close();
    const children = [...this.#running.values()].map(({ child }) => child);
    for (const child of children) child.kill("SIGTERM");
    const forced = setTimeout(() => {
      for (const child of children) child.kill("SIGKILL");
    }, END_WITHIN_MS);
    await Promise.all(children.map((child) => child.exited));
    clearTimeout(forced);
  }
}
