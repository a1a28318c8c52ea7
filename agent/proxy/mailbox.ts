/**
 * The file of messages that were under way across a checkpoint. Part of a shard, so its form is frozen under its magic.
 *
 *   offset  bytes  field
 *        0      8  magic "HFMAIL01"
 *        8      4  count
 *       12         count times: source (4), tag (4), bytes (4), payload
 *
 * All little endian; in the order of arrival. A damaged file is an error, never part of a message.
 */
import { err, ok, type Result } from "../../core/result.ts";
import type { SavedMessage } from "./communication-library.ts";

const MAGIC = "HFMAIL01";
const HEADER_BYTES = 12;
const ENTRY_BYTES = 12;

export function encodeMailbox(messages: readonly SavedMessage[]): Uint8Array {
  const payloadBytes = messages.reduce((sum, { payload }) => sum + payload.byteLength, 0);
  const bytes = new Uint8Array(HEADER_BYTES + messages.length * ENTRY_BYTES + payloadBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC), 0);
  view.setUint32(8, messages.length, true);
  let at = HEADER_BYTES;
  for (const { source, tag, payload } of messages) {
    view.setInt32(at, source, true);
    view.setInt32(at + 4, tag, true);
    view.setUint32(at + 8, payload.byteLength, true);
    bytes.set(payload, at + ENTRY_BYTES);
    at += ENTRY_BYTES + payload.byteLength;
  }
  return bytes;
}

export function decodeMailbox(bytes: Uint8Array): Result<readonly SavedMessage[], string> {
  if (bytes.byteLength < HEADER_BYTES) return err("is too short for a mailbox");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = new TextDecoder().decode(bytes.subarray(0, MAGIC.length));
  if (magic !== MAGIC) return err("is no mailbox (magic missing)");
  const count = view.getUint32(8, true);
  const messages: SavedMessage[] = [];
  let at = HEADER_BYTES;
  while (messages.length < count) {
    if (at + ENTRY_BYTES > bytes.byteLength) return err("ends within a message's head");
    const payloadBytes = view.getUint32(at + 8, true);
    const from = at + ENTRY_BYTES;
    if (from + payloadBytes > bytes.byteLength) return err("ends within a message");
    messages.push({
      source: view.getInt32(at, true),
      tag: view.getInt32(at + 4, true),
      payload: bytes.slice(from, from + payloadBytes),
    });
    at = from + payloadBytes;
  }
  return at === bytes.byteLength ? ok(messages) : err("holds more than its messages");
}
