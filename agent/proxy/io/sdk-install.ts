/**
 * Makes `import { run } from "holdfast"` work for programs: a `node_modules` folder with that one package, for `NODE_PATH`.
 *
 * Written anew whenever its content differs, by rename, so programs that start meanwhile find either the old or the new.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundleSdk } from "./sdk-bundle.ts" with { type: "macro" };

const SDK: string = bundleSdk();

const PACKAGE = JSON.stringify({ name: "holdfast", type: "module", main: "index.js" });

function replace(path: string, text: string): void {
  try {
    if (readFileSync(path, "utf8") === text) return;
  } catch {
    // Not there yet.
  }
  const partial = `${path}.${process.pid}.tmp`;
  writeFileSync(partial, text);
  renameSync(partial, path);
}

/** Installs below `folder`; the path to be put in `NODE_PATH`. */
export function installSdk(folder: string): string {
  const modules = join(folder, "node_modules");
  const target = join(modules, "holdfast");
  mkdirSync(target, { recursive: true });
  replace(join(target, "index.js"), SDK);
  replace(join(target, "package.json"), PACKAGE);
  return modules;
}
