/**
 * Bundles for tests: made whole by the real writer, or forged by hand for what it never writes.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import type { Manifest } from "../bundle.ts";
import { type WrittenBundle, writeBundle } from "../io/write-bundle.ts";
import { encodeTarHeader, paddingOf, TAR_END } from "../ustar.ts";
import { bmcEvent } from "./bmc-event.ts";

export interface TestItem {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export function manifestOf(items: readonly TestItem[], of: Partial<Manifest> = {}): Manifest {
  const { id: event, system } = bmcEvent();
  return {
    v: 1,
    id: `${event.slice(0, 16)}-1800000000000`,
    event,
    cluster: "tokyo",
    node: "n7",
    system,
    begunMs: 1_800_000_000_000,
    tookMs: 12,
    bytesMax: 1_000_000,
    timeMs: 1_000,
    bytes: items.reduce((sum, { bytes }) => sum + bytes.length, 0),
    cutBytes: 0,
    redactedCount: 0,
    rules: [],
    items: items.map(({ name, bytes }) => ({
      name,
      what: "for a test",
      priority: 1,
      bytes: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
      takenAtMs: 1_800_000_000_000,
      tookMs: 1,
      cutBytes: 0,
      redacted: {},
      fault: null,
    })),
    ...of,
  };
}

/** Written by the real writer. */
export async function testBundle(
  path: string,
  items: readonly TestItem[],
  of: Partial<Manifest> = {},
): Promise<WrittenBundle> {
  const parts = items.map(({ name, bytes }, index) => {
    const part = `${path}.part${index}`;
    writeFileSync(part, bytes);
    return { name, path: part, bytes: bytes.length, takenAtMs: 1_800_000_000_000 };
  });
  return await writeBundle(path, manifestOf(items, of), parts);
}

/** Members as they are given, whatever they are called. */
export function forgedBundle(
  folder: string,
  members: readonly { readonly header: Uint8Array; readonly bytes: Uint8Array }[],
): string {
  const parts = members.flatMap(({ header, bytes }) => [
    header,
    bytes,
    new Uint8Array(paddingOf(bytes.length)),
  ]);
  const path = join(folder, "forged.tar.zst");
  writeFileSync(path, zstdCompressSync(Buffer.concat([...parts, TAR_END])));
  return path;
}

export function member(name: string, text: string): { header: Uint8Array; bytes: Uint8Array } {
  const bytes = Buffer.from(text);
  return { header: encodeTarHeader({ name, bytes: bytes.length, mtimeSeconds: 0 }), bytes };
}

/** Bytes that zstd cannot make smaller, the same each time. */
export function noise(bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  let state = 0x9e3779b9;
  for (let index = 0; index < bytes; index++) {
    state = (Math.imul(state ^ (state >>> 15), 0x85ebca6b) + 0x6d2b79f5) | 0;
    out[index] = state >>> 24;
  }
  return out;
}
