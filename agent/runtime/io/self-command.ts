/**
 * How this very program is started again: as the executable itself once compiled, through `bun agent/main.ts` in a checkout.
 */
import { fileURLToPath } from "node:url";

/** Not told from `import.meta.url`: compiled to bytecode, a module has the URL of its source. */
export const IS_COMPILED: boolean = Bun.main.startsWith("/$bunfs/");

export function selfCommand(args: readonly string[]): readonly string[] {
  if (IS_COMPILED) return [process.execPath, ...args];
  return [process.execPath, fileURLToPath(new URL("../../main.ts", import.meta.url)), ...args];
}

/** The environment of a copy of ourselves: as ours, but never asked to be Bun. */
export function selfEnvironment(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && name !== "BUN_BE_BUN") env[name] = value;
  }
  return env;
}
