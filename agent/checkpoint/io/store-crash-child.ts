/**
 * For `store-crash.test.ts`: a process that does nothing but checkpoint, until it is killed. Says `sealed <version>` on its
 * standard output once that is durable, so that the test knows what must still be there.
 *
 *   bun store-crash-child.ts DATA_FOLDER REGIONS_FOLDER FIRST_VERSION
 */
import { createCore } from "../../../core/core.ts";
import { Store } from "./store.ts";
import { contentsAt, epoch, Regions, StoreAsker, version } from "./store-harness.ts";

const [dataFolder, regionsFolder, first] = Bun.argv.slice(2) as [string, string, string];
const identity = { job: "j-0000000a", rank: 0, epoch: epoch(1) };

let asker: StoreAsker | null = null;
const store = await Store.open({ dataFolder }, createCore(), (event) => asker?.hear(event));
asker = new StoreAsker(store);
const regions = new Regions(regionsFolder);

if (Number(first) > 1) {
  const from = {
    version: version(Number(first) - 1),
    regionsFolder,
    mailboxPath: `${regionsFolder}.m`,
  };
  await asker.must({ kind: "restore", ...identity, ...from });
}
for (let at = Number(first); ; at++) {
  const files = regions.write({ weights: contentsAt(at) });
  const what = { ...identity, version: version(at) };
  await asker.must({ kind: "capture", ...what, regions: files, mailbox: null, partner: null });
  await asker.must({ kind: "seal", ...what });
  process.stdout.write(`sealed ${at}\n`);
  await asker.must({ kind: "collect", job: identity.job, keepFrom: version(at), lineage: [] });
}
