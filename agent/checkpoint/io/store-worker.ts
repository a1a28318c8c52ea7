/**
 * The Worker of the checkpoint store: `Store` behind messages, in the order they come. An entry of its own in the compiled
 * binary (`*-worker.ts`), found by `core/io/worker-url.ts`.
 */
import { assert, unreachable } from "../../../core/assert.ts";
import { createCore } from "../../../core/core.ts";
import { Store } from "./store.ts";
import type { FromStore, StoreOptions, ToStore } from "./store-messages.ts";
import { FolderError } from "./store-scan.ts";

declare const self: Worker;

function tell(message: FromStore): void {
  self.postMessage(message);
}

async function openStore(options: StoreOptions): Promise<Store | null> {
  try {
    return await Store.open(options, createCore(), (event) => tell({ kind: "event", event }));
  } catch (error) {
    if (!(error instanceof FolderError)) throw error;
    tell({ kind: "refused", detail: error.message });
    return null;
  }
}

let store: Store | null = null;

async function handle(message: ToStore): Promise<void> {
  if (message.kind === "open") {
    store = await openStore(message.options);
    if (store !== null) {
      tell({ kind: "opened", holdings: store.holdings(), damaged: store.damaged });
    }
    return;
  }
  assert(store !== null, "a store is opened first");
  switch (message.kind) {
    case "command":
      store.execute(message.command);
      return;
    case "epoch":
      await store.raiseEpoch(message.job, message.epoch);
      return;
    case "admit":
      tell({ kind: "admitted", id: message.id, admission: await store.admit(message.arrival) });
      return;
    case "pass":
      store.usePass(message.pass);
      return;
    case "close":
      await store.close();
      tell({ kind: "closed" });
      return;
    default:
      unreachable(message, "message to the store");
  }
}

self.onmessage = (event: MessageEvent<ToStore>) => {
  // A rejection here is a bug: it ends the Worker, and the agent with it.
  void handle(event.data);
};
