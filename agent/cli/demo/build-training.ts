/** Bundles the training program with the SDK into one file of JavaScript, to be embedded in the executable. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** `root` is the repository's. */
export async function buildTraining(root: string, output: string): Promise<void> {
  const result = await Bun.build({
    entrypoints: [join(root, "agent/cli/demo/train.ts")],
    target: "bun",
    // Nothing in it may depend on where it was built.
    root,
    sourcemap: "none",
    throw: false,
  });
  const [bundle, ...others] = result.outputs;
  if (!result.success || bundle === undefined || others.length > 0) {
    throw new Error(`cannot bundle the training program: ${result.logs.map(String).join("\n")}`);
  }
  writeFileSync(output, await bundle.text());
}
