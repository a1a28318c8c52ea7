/**
 * Where the code of a Worker is found: beside this checkout under `bun`, inside the executable once compiled.
 *
 * `new Worker(new URL("./x.ts", import.meta.url))` does not work in a compiled binary: there every module has the URL of
 * the entry. `build.ts` makes each file of `agent/` and `bmc/` named `*-worker.ts` an entry of its own and keeps the paths
 * below the repository's root, so one rule finds them all. A bare relative path is no way out: it is looked up in the working
 * directory first.
 */
const EMBEDDED = "file:///$bunfs/root/";

/** `fromRoot` is the path in the repository, such as `agent/checkpoint/io/store-worker.ts`. */
export function workerUrl(fromRoot: string): string {
  return import.meta.url.startsWith(EMBEDDED)
    ? `${EMBEDDED.slice("file://".length)}${fromRoot.replace(/\.ts$/, ".js")}`
    : new URL(`../../${fromRoot}`, import.meta.url).href;
}
