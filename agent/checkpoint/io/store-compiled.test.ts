/**
 * Goal: the store's Worker and its core are found inside a compiled binary, from any working directory. Method: a program of
 * a few lines is compiled the way `build.ts` compiles holdfast, and takes a checkpoint.
 */
import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TemporaryFolder } from "./store-harness.ts";

const ROOT = join(import.meta.dir, "../../..");

const PROGRAM = `
import { openStore } from "${ROOT}/agent/checkpoint/io/store-client.ts";
const [dataFolder, region] = process.argv.slice(2);
await Bun.write(region, new Uint8Array(100_000).fill(7));
const store = await openStore({ dataFolder });
const job = "j-0000000a";
store.onEvent((event) => {
  if (event.kind === "failed") console.log("failed", event.detail);
  if (event.kind === "done" && event.token === 1) {
    store.execute({ kind: "seal", token: 2, job, version: 1, epoch: 1 });
  }
  if (event.kind === "done" && event.token === 2) {
    console.log(JSON.stringify(store.holdings(job)));
    void store.close();
  }
});
const regions = [{ name: "weights", path: region, bytes: 100_000 }];
const rest = { regions, mailbox: null, partner: null };
store.execute({ kind: "capture", token: 1, job, rank: 0, version: 1, epoch: 1, ...rest });
`;

test("a store works in a compiled binary", async () => {
  using folder = new TemporaryFolder();
  const [entry, binary] = [join(folder.path, "main.ts"), join(folder.path, "program")];
  writeFileSync(entry, PROGRAM);
  const build = await Bun.build({
    entrypoints: [entry, join(ROOT, "agent/checkpoint/io/store-worker.ts")],
    root: ROOT,
    target: "bun",
    compile: { outfile: binary },
  });
  expect(build.success).toBe(true);
  const elsewhere = join(folder.path, "elsewhere");
  mkdirSync(elsewhere);
  const run = Bun.spawn([binary, join(folder.path, "data"), join(folder.path, "region")], {
    cwd: elsewhere,
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await new Response(run.stdout).text();
  expect(JSON.parse(text)).toMatchObject([{ rank: 0, version: 1, sealed: true, parent: null }]);
  expect(await run.exited).toBe(0);
}, 30_000);
