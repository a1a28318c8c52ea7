/**
 * Hears Platform Event Traps over UDP, and acknowledges each once it is kept.
 *
 * Anybody can send a datagram under any address: a trap is a hint like any other, nothing is done by it, and what the answer
 * costs is one small datagram to the sender's RMCP port. What is no trap of a BMC is counted, and told once in a while.
 */
import type { BmcEvent } from "../../../bmc/bmc.ts";
import { realCrypto } from "../../../bmc/ipmi/io/crypto.ts";
import { RMCP_PORT } from "../../../bmc/ipmi/rmcp/rmcp.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Endpoint } from "../../runtime/datagrams.ts";
import { type BindError, openDatagrams } from "../../runtime/io/datagrams.ts";
import type { Log } from "../../runtime/log.ts";
import { describePetRefusal, readPet } from "../pet-event.ts";
import type { EventKeeper } from "./event-keeper.ts";
import type { PetNames } from "./pet-names.ts";

/** The largest trap of the standard is below 300 bytes; SNMP asks for 484. */
const DATAGRAM_BYTES_MAX = 4_096;
const COMPLAIN_EVERY_MS = 60_000;

export interface PetSettings {
  readonly listen: Endpoint;
  readonly acknowledges: boolean;
  /** RMCP port of the BMC at that address, where it is not 623. */
  readonly portOf: (address: string) => number | null;
  readonly names: PetNames;
  readonly keeper: EventKeeper;
  readonly log: Log;
  readonly nowMs: () => number;
}

export interface PetReceiver {
  close(): void;
}

/** Tells of garbage at most once a minute, with how much there was. */
class Complaints {
  readonly #settings: PetSettings;
  #count = 0;
  #saidMs: number = Number.NEGATIVE_INFINITY;

  constructor(settings: PetSettings) {
    this.#settings = settings;
  }

  add(from: string, what: string): void {
    this.#count++;
    const nowMs = this.#settings.nowMs();
    if (nowMs - this.#saidMs < COMPLAIN_EVERY_MS) return;
    this.#settings.log.say(
      "event",
      `dropped what is no event trap, ${this.#count} so far; the last from ${from}: ${what}`,
    );
    this.#saidMs = nowMs;
  }
}

export async function openPetReceiver(
  settings: PetSettings,
): Promise<Result<PetReceiver, BindError>> {
  const complaints = new Complaints(settings);
  const { listen, keeper, nowMs } = settings;
  const named = async (
    plain: BmcEvent,
    datagram: Uint8Array,
    address: string,
  ): Promise<BmcEvent> => {
    const names = await settings.names.of(plain.system);
    if (names === null) return plain;
    const hearing = { from: address, nowMs: plain.seenMs, nameOf: names };
    const read = readPet(datagram, hearing, realCrypto.sha256);
    return read.ok ? read.value.event : plain;
  };
  const hear = async (datagram: Uint8Array, { address }: Endpoint): Promise<void> => {
    const read = readPet(datagram, { from: address, nowMs: nowMs() }, realCrypto.sha256);
    if (!read.ok) {
      complaints.add(address, describePetRefusal(read.error));
      return;
    }
    const { acknowledgement } = read.value;
    const taken = await keeper.take(await named(read.value.event, datagram, address));
    // Not acknowledged when it is not kept: the BMC sends it again.
    if (!taken.ok || !settings.acknowledges) return;
    const port = settings.portOf(address) ?? RMCP_PORT;
    socket?.send({ address, port }, acknowledgement);
  };
  const opened = await openDatagrams<Uint8Array>({
    address: listen.address,
    port: listen.port,
    codec: {
      encode: (bytes) => bytes,
      // A copy, and no Buffer: its `slice`, by which decoders copy, would be a view.
      decode: (bytes) => (bytes.byteLength > DATAGRAM_BYTES_MAX ? null : new Uint8Array(bytes)),
    },
    onDatagram: (datagram, from) => void hear(datagram, from),
    onGarbage: (address, bytes) => complaints.add(address, `${bytes} bytes`),
  });
  if (!opened.ok) return err(opened.error);
  const socket = opened.value;
  return ok({ close: () => socket.close() });
}
