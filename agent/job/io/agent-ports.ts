/**
 * Where an agent listens: its TCP port, its UDP port, and a door in the clear for hooks.
 *
 * With an identity TCP is TLS and UDP is sealed with the cluster key. Scripts have curl and no certificate, so hooks have a door of
 * their own, on loopback where nothing else is said, which serves nothing else. Without an identity everything is in the clear, and
 * on an address that others reach an agent starts so only when it is told to.
 */
import { isIP } from "node:net";
import type { Hono } from "hono";
import { assert } from "../../../core/assert.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Identity } from "../../identity/identity.ts";
import type { Packet } from "../../membership/packet.ts";
import { decodePacket, encodePacket } from "../../membership/packet-codec.ts";
import { DatagramSeal, sealedCodec, tellDrops } from "../../net/io/datagram-seal.ts";
import type { Listener } from "../../net/io/listener.ts";
import { isSecure } from "../../net/io/secure.ts";
import { startServer } from "../../net/io/server.ts";
import type { Datagrams, Endpoint } from "../../runtime/datagrams.ts";
import { type BindError, openDatagrams } from "../../runtime/io/datagrams.ts";
import type { Log } from "../../runtime/log.ts";
import { AGENT_ACCESS, HOOK_ACCESS, HOOKS_PORT_OFFSET, routesWithoutRow } from "./agent-access.ts";
import type { AgentProcess } from "./agent-process.ts";

export interface PortSettings {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  /** null, or one without certificates: it speaks in the clear, and believes everybody. */
  readonly identity: Identity | null;
  /** In the clear although others reach the address. */
  readonly insecure: boolean;
  /** Where hooks are heard besides; null: beside the agent's port on loopback where that is TLS, else nowhere. */
  readonly hooks: Endpoint | null;
  readonly log: Log;
}

export interface AgentPorts {
  readonly datagrams: Datagrams<Packet>;
  stop(): Promise<void>;
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}

/** null: it may start so. One line for the user. */
export function whyNotStarted({ id, address, identity, insecure }: PortSettings): string | null {
  if (!isSecure(identity)) {
    if (insecure || isLoopback(address)) return null;
    return `others reach ${address}, and agent ${id} has no identity: get one with \`holdfast init\` on the first node and \`holdfast join\` on the others, or start it with --insecure`;
  }
  const { role, name, cluster } = identity.principal;
  if (role === "agent" && name === id) return null;
  return `the identity is of ${role} ${name} of ${cluster}, not of agent ${id}: give --id ${name}, or another folder with --identity`;
}

/** null: hooks have no door of their own. */
function hooksAt({ hooks, identity, address, port }: PortSettings): Endpoint | null {
  if (hooks !== null || !isSecure(identity)) return hooks;
  const own = isLoopback(address) ? address : "127.0.0.1";
  return { address: own, port: port + HOOKS_PORT_OFFSET };
}

/** Where BMCs that push reach this agent. */
export function hooksOrigin(settings: PortSettings): string {
  const { address, port } = hooksAt(settings) ?? settings;
  return `http://${isIP(address) === 6 ? `[${address}]` : address}:${port}`;
}

function whyNotBound(error: BindError, { address, port }: Endpoint, what: string): string {
  const at = `${address}:${port} (${what})`;
  switch (error.kind) {
    case "in-use":
      return `${at} is in use by another program: stop that one, or choose another with --port or --address`;
    case "no-address":
      return `${address} is no address of this machine: choose one of \`ip address\` with --address`;
    case "io":
      return `${at} cannot be listened on: ${error.detail}`;
  }
}

function notALink(): never {
  throw new Error("only agents make links, and at the door for hooks nobody is one");
}

function openHooks(
  settings: PortSettings,
  hooks: Hono,
  onDefect: (detail: string) => void,
): Result<Listener | null, string> {
  const at = hooksAt(settings);
  if (at === null) return ok(null);
  const opened = startServer({
    ...{ ...at, identity: null, access: HOOK_ACCESS, routes: hooks, onDefect },
    accept: notALink,
    isLinked: false,
  });
  if (opened.ok) return opened;
  const line = whyNotBound(opened.error, at, "hooks").replace(
    "with --port or --address",
    "with --hooks-listen",
  );
  return err(line);
}

function listenForDatagrams(
  { address, port, log }: PortSettings,
  agent: AgentProcess,
  seal: DatagramSeal | null,
): Promise<Result<Datagrams<Packet>, BindError>> {
  const plain = { encode: encodePacket, decode: decodePacket };
  return openDatagrams({
    ...{ address, port },
    codec: seal === null ? plain : sealedCodec(seal, plain),
    onDatagram: (packet, from) => {
      // A node that was put out may have the key still, until that is changed.
      if (agent.links.whyOut(packet.from.id) === null) agent.hear(packet, from);
    },
    onGarbage: (from, bytes) =>
      log.say("detail", `${bytes} bytes of garbage over UDP from ${from}, dropped`),
  });
}

/** Opens them all or none. `hooks`: the routes of hooks only. */
export async function openPorts(
  settings: PortSettings,
  agent: AgentProcess,
  routes: Hono,
  hooks: Hono,
): Promise<Result<AgentPorts, string>> {
  const { address, port, identity, log } = settings;
  const { onDefect } = agent;
  const forgotten = routesWithoutRow(routes);
  assert(forgotten.length === 0, `routes that nobody may ask: ${forgotten.join(", ")}`);
  const server = startServer({
    ...{ address, port, identity, access: AGENT_ACCESS, routes, onDefect, isLinked: true },
    accept: (connection, from) => agent.links.accept(connection, from),
  });
  if (!server.ok) return err(whyNotBound(server.error, settings, "TCP"));
  const door = openHooks(settings, hooks, onDefect);
  if (!door.ok) {
    await server.value.stop();
    return door;
  }
  const seal = isSecure(identity) ? new DatagramSeal(identity) : null;
  const datagrams = await listenForDatagrams(settings, agent, seal);
  if (!datagrams.ok) {
    seal?.close();
    await Promise.all([server.value.stop(), door.value?.stop()]);
    return err(whyNotBound(datagrams.error, settings, "UDP"));
  }
  const endTelling = seal === null ? null : tellDrops(seal, (line) => log.say("event", line));
  return ok({
    datagrams: datagrams.value,
    stop: async () => {
      endTelling?.();
      seal?.close();
      await Promise.all([server.value.stop(), door.value?.stop()]);
    },
  });
}
