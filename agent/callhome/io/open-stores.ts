/**
 * What of call home survives a crash, opened in one folder: the outbox, and the ledger that it waits for.
 */
import { join } from "node:path";
import type { Signer } from "../../identity/identity.ts";
import type { Log } from "../../runtime/log.ts";
import type { DeliveryStep } from "../delivery-events.ts";
import type { Ledger, LedgerEntry } from "../ledger.ts";
import type { OutboxHandlers } from "../outbox.ts";
import { openOutbox } from "./outbox-folder.ts";
import type { Stores } from "./outgoing.ts";

export interface StoresOptions {
  readonly handlers: OutboxHandlers;
  /** Signs checkpoints of the ledger. */
  readonly signer: Signer;
  readonly log: Log;
}

class MemoryLedger implements Ledger {
  readonly #entries: LedgerEntry[] = [];
  append(step: DeliveryStep, wallMs: number): void {
    this.#entries.push({ ...step, n: this.#entries.length + 1, atMs: wallMs });
  }
  flush(done: () => void): void {
    done();
  }
  ofEvent(id: string, done: (entries: readonly LedgerEntry[]) => void): void {
    done(this.#entries.filter((entry) => entry.id === id));
  }
  export(done: (lines: readonly string[]) => void): void {
    done(this.#entries.map((entry) => JSON.stringify(entry)));
  }
}

/** Throws what the file system throws. */
export async function openStores(folder: string, options: StoresOptions): Promise<Stores> {
  const ledger = new MemoryLedger();
  const opened = await openOutbox(join(folder, "outbox"), {
    handlers: options.handlers,
    ledger,
    nowWallMs: () => Date.now(),
  });
  return {
    outbox: opened.outbox,
    ledger,
    damages: opened.damages,
    stop: () => opened.outbox.stop(),
  };
}
