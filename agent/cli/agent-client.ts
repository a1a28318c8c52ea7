/**
 * How the commands ask a cluster: one agent at a time, another one when it does not answer.
 *
 * The first address is the user's (`--agent`, `HOLDFAST_AGENT`, or this machine's default). Once an agent has answered, the
 * other members are known too, so a command survives the death of the agent it began with.
 *
 * As whom it asks: the identity that is named (`--identity`, `HOLDFAST_IDENTITY`), else the operator's own if there is one and the
 * agent speaks TLS.
 */
import { Option } from "commander";
import type { Identity } from "../identity/identity.ts";
import type { NodeStatus } from "../job/io/status.ts";
import { askAgent, whyUnreachable } from "../net/io/http-client.ts";
import { schemeOf, secureFetch } from "../net/io/secure.ts";
import { PROBLEMS, type Problem, readProblem } from "../net/problem.ts";
import { CliError, EXIT_USAGE } from "./cli-error.ts";
import { clientIdentity, IDENTITY_ENV, IDENTITY_FOLDER_SHOWN } from "./client-identity.ts";

export const AGENT_DEFAULT = "127.0.0.1:7400";
export const AGENT_ENV = "HOLDFAST_AGENT";

const ANSWER_WITHIN_MS = 20_000;
const MEMBERS_WITHIN_MS = 2_000;

function remedyOf(problem: Problem): string | undefined {
  if (problem.kind !== "unreachable") return undefined;
  return `start one with \`holdfast agent\`, or name another with --agent ADDRESS:PORT or ${AGENT_ENV}`;
}

export function cliError(problem: Problem): CliError {
  return new CliError(problem.detail, PROBLEMS[problem.kind].exitCode, remedyOf(problem));
}

const ADDRESS = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/[\]@]+):(\d{1,5})$/;

/** `given` by the flag, else by the environment, else this machine's agent. */
function addressesOf(given: string | undefined): string[] {
  const fromEnv = process.env[AGENT_ENV];
  const isFlag = given !== undefined;
  const text = given ?? (fromEnv === undefined || fromEnv === "" ? AGENT_DEFAULT : fromEnv);
  const addresses = text
    .split(",")
    .map((address) => address.trim())
    .filter((address) => address !== "");
  const wrong = addresses.find((address) => {
    const port = Number(ADDRESS.exec(address)?.[1] ?? 0);
    return port < 1 || port > 65_535;
  });
  if (wrong === undefined && addresses.length > 0) return addresses;
  const source = isFlag ? "--agent" : AGENT_ENV;
  const what = `${source} '${wrong ?? text}' is no ADDRESS:PORT, such as ${AGENT_DEFAULT}`;
  throw new CliError(what, EXIT_USAGE, "several may be given with commas between");
}

/** Flags of every command that asks an agent. */
export interface AgentFlags {
  readonly agent?: string;
  readonly identity?: string;
}

export function agentOption(): Option {
  const what = "agent to ask; several with commas, the first that answers";
  return new Option("--agent <address:port>", what);
}

export function identityOption(): Option {
  const what = `as whom to ask, where agents speak TLS (default: ${IDENTITY_ENV}, then ${IDENTITY_FOLDER_SHOWN})`;
  return new Option("--identity <folder>", what);
}

export class AgentClient {
  /** The one that is asked, then the others. */
  #addresses: string[];
  readonly #identityFolder: string | undefined;
  #identity: Promise<Identity | null> | null = null;

  /** Several addresses with commas between: the first that answers is taken. */
  constructor(flags: AgentFlags = {}) {
    this.#addresses = addressesOf(flags.agent);
    this.#identityFolder = flags.identity;
  }

  /** Looked for once. Throws a `CliError` when the one that is named cannot be used. */
  identity(): Promise<Identity | null> {
    this.#identity ??= clientIdentity(this.#identityFolder, this.#addresses);
    return this.#identity;
  }

  get address(): string {
    return this.#addresses[0] ?? AGENT_DEFAULT;
  }

  /** Throws a `CliError` when the agent refuses or nobody answers. */
  get<Answer>(path: string): Promise<Answer> {
    return this.#ask<Answer>({ path });
  }

  post<Answer>(path: string, body: unknown): Promise<Answer> {
    return this.#ask<Answer>({ path, body });
  }

  /** Another agent is asked only when nothing was heard by the one before: nothing is ever asked for twice. */
  async #ask<Answer>(ask: { readonly path: string; readonly body?: unknown }): Promise<Answer> {
    const identity = await this.identity();
    let problem: Problem | null = null;
    for (let attempt = 0; attempt < this.memberCount; attempt++) {
      const at = this.address;
      const answer = await askAgent<Answer>({ ...ask, at, identity, timeoutMs: ANSWER_WITHIN_MS });
      if (answer.ok) return answer.value;
      problem ??= answer.error;
      if (answer.error.kind !== "unreachable") throw cliError(answer.error);
      this.turn();
    }
    throw cliError(problem ?? { kind: "bad-request", detail: "--agent names no agent" });
  }

  /** Asks who the other members are. Silence changes nothing. */
  async learnMembers(): Promise<void> {
    const answer = await askAgent<NodeStatus>({
      at: this.address,
      path: "/v1/node",
      timeoutMs: MEMBERS_WITHIN_MS,
      identity: await this.identity(),
    });
    if (!answer.ok) return;
    const { members } = answer.value;
    const others = members
      .filter((member) => member.inView)
      .map(({ address, port }) =>
        address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`,
      );
    this.#addresses = [...new Set([this.address, ...others, ...this.#addresses])];
  }

  /** The next member becomes the one that is asked. */
  turn(): void {
    const [first, ...others] = this.#addresses;
    if (first !== undefined) this.#addresses = [...others, first];
  }

  get memberCount(): number {
    return this.#addresses.length;
  }

  /** Throws a `CliError` when there is no stream to read. */
  async stream(
    path: string,
    signal: AbortSignal,
    method: "GET" | "POST" = "GET",
  ): Promise<Response> {
    const identity = await this.identity();
    const url = `${schemeOf(identity)}://${this.address}${path}`;
    let response: Response;
    try {
      response = await secureFetch(identity, "agent")(url, { signal, method });
    } catch (cause) {
      throw cliError(await whyUnreachable(this.address, cause, identity));
    }
    if (response.ok) return response;
    throw cliError(readProblem(response.status, await response.text()));
  }
}
