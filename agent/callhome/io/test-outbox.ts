/**
 * For tests and benchmarks of the outbox: items that look like signed events, a folder that goes away, handlers that remember.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DiskFailure } from "../../runtime/disk.ts";
import type { Urgency } from "../delivery-events.ts";
import type {
  Enqueued,
  OutboxDamage,
  OutboxHandlers,
  OutboxItem,
  OutboxLimits,
} from "../outbox.ts";
import { type OpenOutbox, openOutbox } from "./outbox-folder.ts";

export class TestFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), "holdfast-outbox-"));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The same for the same number; its bytes can be computed again from its id alone. */
export function idOf(number: number): string {
  return number.toString(16).padStart(64, "0");
}

/** About as large as a signed event: base64 of a kilobyte, a signature, a certificate. */
export function envelopeOf(id: string, bytes = 1_500): Uint8Array {
  const text = `{"payloadType":"application/vnd.holdfast.event+json","payload":"${id}","x":"`;
  return new TextEncoder().encode(`${text.padEnd(bytes - 2, id)}"}`);
}

export function itemOf(number: number, more: Partial<OutboxItem> = {}): OutboxItem {
  const id = idOf(number);
  return {
    id,
    urgency: (number % 3) as Urgency,
    queuedWallMs: 1_700_000_000_000 + number,
    isByEveryPath: false,
    component: "4c4c4544 memory DIMM A1",
    envelope: envelopeOf(id),
    ...more,
  };
}

/** What an outbox said by itself. */
export class Heard implements OutboxHandlers {
  readonly folded: string[] = [];
  readonly full: boolean[] = [];
  readonly damages: OutboxDamage[] = [];
  readonly failures: (DiskFailure | null)[] = [];

  onFolded(id: string): void {
    this.folded.push(id);
  }
  onFull(isFull: boolean): void {
    this.full.push(isFull);
  }
  onDamage(damage: OutboxDamage): void {
    this.damages.push(damage);
  }
  onFailure(failure: DiskFailure | null): void {
    this.failures.push(failure);
  }
}

export interface TestOutbox extends OpenOutbox {
  readonly heard: Heard;
  put(item: OutboxItem): Promise<Enqueued>;
  closed(id: string, as?: "delivered" | "refused"): Promise<void>;
  bytesOf(id: string): Promise<Uint8Array | undefined>;
}

export async function openTestOutbox(
  folder: string,
  limits: Partial<OutboxLimits> = {},
  onDurable: (segment: string, bytes: number) => void = () => undefined,
): Promise<TestOutbox> {
  const heard = new Heard();
  const nowWallMs = (): number => 1_700_000_000_000;
  const opened = await openOutbox(folder, {
    limits,
    handlers: heard,
    ledger: null,
    nowWallMs,
    onDurable,
  });
  const { outbox } = opened;
  return {
    ...opened,
    heard,
    put: (item) => new Promise((resolve) => outbox.enqueue(item, resolve)),
    closed: (id, as = "delivered") => new Promise((resolve) => outbox.close(id, as, resolve)),
    bytesOf: (id) => new Promise((resolve) => outbox.read([id], (found) => resolve(found.get(id)))),
  };
}
