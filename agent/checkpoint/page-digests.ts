/**
 * Page digests as the store compares them. Pure: computes none itself, but asks the core for those of zeros.
 */
import { DIGEST_BYTES, PAGE_BYTES } from "../../core/abi.ts";
import type { Core } from "../../core/core.ts";
import type { StateLayout } from "./state-layout.ts";

/** What of the core the store uses; one instance a thread. */
export type DigestCore = Pick<Core, "inputWindow" | "digestWindow" | "digest">;

/** The digests of a state in which every byte is zero: version 0, against which a full shard is a delta. */
export function zeroDigests(core: DigestCore, layout: StateLayout): Uint8Array {
  const digests = new Uint8Array(layout.pageCount * DIGEST_BYTES);
  const whole = core.digest(new Uint8Array(PAGE_BYTES)).slice();
  for (let at = 0; at < digests.length; at += DIGEST_BYTES) digests.set(whole, at);
  for (const region of layout.regions) {
    const rest = region.bytes % PAGE_BYTES;
    if (rest === 0) continue;
    const last = (region.firstPage + region.pageCount - 1) * DIGEST_BYTES;
    digests.set(core.digest(new Uint8Array(rest)), last);
  }
  return digests;
}

export function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Whether `count` digests of `found` (from its start) are those at `page` of `wanted`; else the first page that differs. */
export function firstMismatch(
  wanted: Uint8Array,
  page: number,
  found: Uint8Array,
  count: number,
): number | null {
  const base = page * DIGEST_BYTES;
  for (let i = 0; i < count * DIGEST_BYTES; i++) {
    if (wanted[base + i] !== found[i]) return page + Math.floor(i / DIGEST_BYTES);
  }
  return null;
}
