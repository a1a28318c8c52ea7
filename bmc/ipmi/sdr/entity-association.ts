/**
 * Records that say which entities are part of which (IPMI 2.0 §43.4, §43.5).
 *
 *   byte, from 0   08h                              09h, device-relative
 *        5, 6      container                        container
 *        7         flags                            container's address
 *        8         four pairs of entity, instance   container's b7:4 channel
 *        9                                          flags
 *       10                                          four of address, channel, entity, instance
 *
 * Flags: b7 the four are two ranges (first and last), b6 linked to more records, b5 presence sensor can always be read.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type DecodeError, tooShort } from "../decode.ts";
import { decodeEntity, type Entity } from "./sensor-record.ts";

export interface ContainedEntity extends Entity {
  /** null: where the container is. */
  readonly address: number | null;
  readonly channel: number | null;
}

export interface EntityAssociation {
  readonly kind: "entity-association";
  readonly recordId: number;
  readonly container: ContainedEntity;
  readonly isLinked: boolean;
  readonly isPresenceAlwaysReadable: boolean;
  /** Single ones, or first and last of each range. */
  readonly contained:
    | { readonly kind: "list"; readonly entities: readonly ContainedEntity[] }
    | {
        readonly kind: "ranges";
        readonly ranges: readonly (readonly [first: ContainedEntity, last: ContainedEntity])[];
      };
}

const BYTES_MIN = 16;
const RELATIVE_BYTES_MIN = 26;
const COUNT = 4;

function u8(record: Uint8Array, offset: number): number {
  return record[offset] ?? 0;
}

function containedOf(
  flags: number,
  entities: readonly ContainedEntity[],
): EntityAssociation["contained"] {
  const used = (entity: ContainedEntity): boolean => entity.id !== 0;
  if ((flags & 0x80) === 0) return { kind: "list", entities: entities.filter(used) };
  const ranges = [0, 2].flatMap((index): (readonly [ContainedEntity, ContainedEntity])[] => {
    const first = entities[index];
    const last = entities[index + 1];
    return first !== undefined && last !== undefined && used(first) ? [[first, last]] : [];
  });
  return { kind: "ranges", ranges };
}

function associationOf(
  record: Uint8Array,
  flags: number,
  container: ContainedEntity,
  entities: readonly ContainedEntity[],
): EntityAssociation {
  return {
    kind: "entity-association",
    recordId: u8(record, 0) | (u8(record, 1) << 8),
    container,
    isLinked: (flags & 0x40) !== 0,
    isPresenceAlwaysReadable: (flags & 0x20) !== 0,
    contained: containedOf(flags, entities),
  };
}

export function decodeEntityAssociation(
  record: Uint8Array,
): Result<EntityAssociation, DecodeError> {
  if (record.byteLength < BYTES_MIN) {
    return err(tooShort("entity association record", BYTES_MIN, record.byteLength));
  }
  const here = { address: null, channel: null };
  const entities = Array.from({ length: COUNT }, (_, index) => ({
    ...decodeEntity(u8(record, 8 + 2 * index), u8(record, 9 + 2 * index)),
    ...here,
  }));
  const container = { ...decodeEntity(u8(record, 5), u8(record, 6)), ...here };
  return ok(associationOf(record, u8(record, 7), container, entities));
}

export function decodeRelativeAssociation(
  record: Uint8Array,
): Result<EntityAssociation, DecodeError> {
  if (record.byteLength < RELATIVE_BYTES_MIN) {
    const what = "device-relative entity association record";
    return err(tooShort(what, RELATIVE_BYTES_MIN, record.byteLength));
  }
  const entities = Array.from({ length: COUNT }, (_, index) => {
    const offset = 10 + 4 * index;
    return {
      ...decodeEntity(u8(record, offset + 2), u8(record, offset + 3)),
      address: u8(record, offset) & 0xfe,
      channel: u8(record, offset + 1) >> 4,
    };
  });
  const container = {
    ...decodeEntity(u8(record, 5), u8(record, 6)),
    address: u8(record, 7) & 0xfe,
    channel: u8(record, 8) >> 4,
  };
  return ok(associationOf(record, u8(record, 9), container, entities));
}
