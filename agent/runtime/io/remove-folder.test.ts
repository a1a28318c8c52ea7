/**
 * Goal: a folder is gone even if somebody still writes into it for a while, and what cannot be removed is said.
 * Method: a real process that keeps making files in the folder until it is killed.
 */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeFolder } from "./remove-folder.ts";

test("a folder that is still being written into is removed once the writer is gone", async () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-remove-"));
  mkdirSync(join(folder, "in"));
  const script = `i=0; while :; do i=$((i+1)); mkdir -p ${folder}/in; : > ${folder}/in/$i; done`;
  const writer = Bun.spawn({ cmd: ["sh", "-c", script], stdio: ["ignore", "ignore", "ignore"] });
  while (!existsSync(join(folder, "in/5"))) await Bun.sleep(1);
  const removed = removeFolder(folder);
  writer.kill("SIGKILL");
  await removed;
  await writer.exited;
  expect(existsSync(folder)).toBe(false);
});

test("a folder that was never there is no error", async () => {
  await removeFolder(join(tmpdir(), "holdfast-never-made"));
});
