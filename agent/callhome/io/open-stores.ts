/**
 * What of call home survives a crash, opened in one folder: the outbox, and the ledger that it waits for.
 */
import { join } from "node:path";
import type { Signer } from "../../identity/identity.ts";
import { realClock } from "../../runtime/io/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { Ledger } from "../ledger.ts";
import type { Outbox, OutboxDamage, OutboxHandlers } from "../outbox.ts";
import { openLedger } from "./ledger-file.ts";
import { openOutbox } from "./outbox-folder.ts";

export interface Stores {
  readonly outbox: Outbox;
  readonly ledger: Ledger;
  /** Found and mended when they were opened. */
  readonly damages: readonly OutboxDamage[];
  stop(): Promise<void>;
}

export interface StoresOptions {
  readonly handlers: OutboxHandlers;
  /** Signs checkpoints of the ledger. */
  readonly signer: Signer;
  readonly log: Log;
}

/** Throws what the file system throws where the folder cannot be made or listed. */
export async function openStores(folder: string, options: StoresOptions): Promise<Stores> {
  const { handlers, signer, log } = options;
  const nowWallMs = (): number => realClock().wallMs();
  const { ledger, complaints } = await openLedger(join(folder, "ledger"), {
    signer,
    nowWallMs,
    onFailure: (failure) => {
      if (failure === null) log.say("event", "the ledger of deliveries is written again");
      else log.say("fault", `the ledger of deliveries cannot be written: ${failure.detail}`);
    },
  });
  for (const complaint of complaints) log.say("fault", `ledger: ${complaint}`);
  const { outbox, damages } = await openOutbox(join(folder, "outbox"), {
    handlers,
    ledger,
    nowWallMs,
  });
  return {
    outbox,
    ledger,
    damages,
    stop: async () => {
      await outbox.stop();
      await ledger.stop();
    },
  };
}
