/**
 * Packets over a UDP socket, and what can go wrong when an agent claims its address.
 *
 * Sending never throws and never waits: a packet that the kernel refuses (no route, a firewall, a full buffer) is lost,
 * exactly as one lost on the way, and the protocol above lives with that. What does not decode is counted and dropped.
 */

import { err, ok, type Result } from "../../../core/result.ts";
import type { Datagrams, OnDatagram } from "../datagrams.ts";

export interface PacketCodec<Packet> {
  /** Empty: it cannot be said now, and is not sent. */
  encode(packet: Packet): Uint8Array;
  /** null: not one of ours, or damaged. */
  decode(bytes: Uint8Array): Packet | null;
}

export interface BindError {
  readonly kind: "in-use" | "no-address" | "io";
  readonly detail: string;
}

export function bindError(cause: unknown): BindError {
  const code = (cause as { code?: string } | null)?.code ?? "";
  const detail = cause instanceof Error ? cause.message : String(cause);
  if (code === "EADDRINUSE" || detail.includes("EADDRINUSE")) return { kind: "in-use", detail };
  if (code === "EADDRNOTAVAIL" || detail.includes("EADDRNOTAVAIL")) {
    return { kind: "no-address", detail };
  }
  return { kind: "io", detail };
}

export interface DatagramOptions<Packet> {
  readonly address: string;
  readonly port: number;
  readonly codec: PacketCodec<Packet>;
  readonly onDatagram: OnDatagram<Packet>;
  /** A packet that did not decode. */
  readonly onGarbage: (address: string, bytes: number) => void;
}

export async function openDatagrams<Packet>(
  options: DatagramOptions<Packet>,
): Promise<Result<Datagrams<Packet>, BindError>> {
  const { codec } = options;
  try {
    const socket = await Bun.udpSocket({
      hostname: options.address,
      port: options.port,
      socket: {
        data: (_socket, bytes, port, address) => {
          const packet = codec.decode(bytes);
          if (packet === null) options.onGarbage(address, bytes.byteLength);
          else options.onDatagram(packet, { address, port });
        },
        // An ICMP error about an earlier packet: the same as losing it.
        error: () => undefined,
      },
    });
    return ok({
      send: (to, packet) => {
        try {
          const bytes = codec.encode(packet);
          if (bytes.byteLength > 0) socket.send(bytes, to.port, to.address);
        } catch {
          // Lost, see above.
        }
      },
      close: () => socket.close(),
    });
  } catch (cause) {
    return err(bindError(cause));
  }
}
