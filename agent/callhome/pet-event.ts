/**
 * A trap's datagram as an event, and the acknowledgement that ends its repetitions.
 *
 * A trap carries what its log record does, but neither the generation of the log nor which of identical records it is; the
 * book finds the event that it belongs to. Its own id holds the sequence number, which a BMC keeps while it repeats a trap
 * and changes for the next event; the name of its sensor is no part of it.
 */
import type { BmcEvent } from "../../bmc/bmc.ts";
import type { DecodeError } from "../../bmc/ipmi/decode.ts";
import { badValue } from "../../bmc/ipmi/decode.ts";
import { eventOf, keyedEventId, type Sha256 } from "../../bmc/ipmi/event/event-identity.ts";
import { type NameOf, noNames } from "../../bmc/ipmi/event/event-text.ts";
import { requestOf } from "../../bmc/ipmi/ipmi.ts";
import { encodeRequestToBmc } from "../../bmc/ipmi/message.ts";
import {
  acknowledgeOf,
  decodePet,
  PET_BYTES_MIN,
  PET_ENTERPRISE,
  type Pet,
  petSeverity,
  petTexts,
  petTimeMs,
  recordBytesOfPet,
  recordOfPet,
} from "../../bmc/ipmi/pef/pet.ts";
import { petAcknowledge } from "../../bmc/ipmi/pef/pet-acknowledge.ts";
import { decodeSnmpTrap, SNMP_TAG } from "../../bmc/ipmi/pef/snmp-trap.ts";
import { encodePlainPacket } from "../../bmc/ipmi/rmcp/session-packet.ts";
import { err, ok, type Result } from "../../core/result.ts";

const ENTERPRISE = PET_ENTERPRISE.join(".");
const ENTERPRISE_SPECIFIC = 6;
const NO_GUID = "0".repeat(32);

export interface PetSighting {
  readonly event: BmcEvent;
  /** To be sent to the BMC's RMCP port, as a whole datagram. */
  readonly acknowledgement: Uint8Array;
}

/** Of some trap of somebody else: not an error of ours, and nothing to be said loudly. */
export type PetRefusal = DecodeError | { readonly kind: "other-trap"; readonly enterprise: string };

function petOf(datagram: Uint8Array): Result<Pet, PetRefusal> {
  const trap = decodeSnmpTrap(datagram);
  if (!trap.ok) return trap;
  const { enterprise, genericTrap, specificTrap, variables } = trap.value;
  if (enterprise !== ENTERPRISE || genericTrap !== ENTERPRISE_SPECIFIC) {
    return err({ kind: "other-trap", enterprise });
  }
  const variable = variables.find(
    ({ tag, value }) => tag === SNMP_TAG.octetString && value.length >= PET_BYTES_MIN,
  );
  if (variable === undefined)
    return err(badValue("platform event trap: variables", variables.length));
  return decodePet(specificTrap, variable.value);
}

export interface PetHearing {
  /** Address of the sender, which names the system where the trap has no GUID. */
  readonly from: string;
  readonly nowMs: number;
  readonly nameOf?: NameOf;
}

export function readPet(
  datagram: Uint8Array,
  { from, nowMs, nameOf = noNames }: PetHearing,
  sha256: Sha256,
): Result<PetSighting, PetRefusal> {
  const read = petOf(datagram);
  if (!read.ok) return read;
  const pet = read.value;
  const system = pet.guid === NO_GUID ? from : pet.guid;
  const bytes = recordBytesOfPet(pet);
  const sighting = { system, epoch: 0, nth: 0, way: "pet", seenMs: nowMs } as const;
  const plain = eventOf({ ...sighting, bytes, record: recordOfPet(pet) }, sha256, nameOf);
  const key = `pet ${pet.sequence} ${pet.timestamp} ${plain.record}`;
  const texts = petTexts(pet);
  const event: BmcEvent = {
    ...plain,
    id: keyedEventId(system, 0, key, sha256),
    severity: petSeverity(pet) ?? plain.severity,
    whenMs: petTimeMs(pet),
    extra: {
      ...plain.extra,
      from,
      sequence: pet.sequence,
      ...(texts.length === 0 ? {} : { alertText: texts.join(" ") }),
    },
  };
  const request = requestOf(petAcknowledge, acknowledgeOf(pet));
  const message = encodeRequestToBmc(request, pet.sequence & 0x3f);
  return ok({ event, acknowledgement: encodePlainPacket(message) });
}

export function describePetRefusal(refusal: PetRefusal): string {
  switch (refusal.kind) {
    case "other-trap":
      return `a trap of enterprise ${refusal.enterprise}, not a platform event`;
    case "too-short":
      return `${refusal.what}: ${refusal.wantBytes} bytes are needed, ${refusal.gotBytes} came`;
    case "bad-checksum":
      return `${refusal.what}: the checksum is wrong`;
    case "bad-value":
      return `${refusal.what}: 0x${refusal.value.toString(16)} is not allowed`;
  }
}
