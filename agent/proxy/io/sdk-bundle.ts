/**
 * The text of the SDK as one JavaScript module. A macro: run when holdfast is built (or, from source, when it is first
 * imported), so the executable carries the SDK as a string and needs no source beside it.
 */
import { join } from "node:path";

export function bundleSdk(): string {
  const entry = join(import.meta.dir, "..", "sdk", "holdfast.ts");
  const built = Bun.spawnSync([process.execPath, "build", entry, "--target=bun"], {
    env: { ...process.env, BUN_BE_BUN: "1" },
  });
  if (built.exitCode !== 0) throw new Error(`cannot bundle the SDK: ${built.stderr.toString()}`);
  return built.stdout.toString();
}
