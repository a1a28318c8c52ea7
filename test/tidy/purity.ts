/**
 * What decides reads no clock, randomness, network, file or process: told from the text of the rooms' roots.
 *
 * The linters guard the same globs; they cannot see `Math.random` as a property, `async`, or a suppression comment. So this
 * check reads the words, and it counts a linter's suppression of these rules as a breach.
 */
import { codeOf, importsOf, isTest, type Source } from "./sources.ts";

const ROOMS =
  "membership|job|checkpoint|callhome|identity|destination|manager|discovery|scale|proxy";
const BMC_ROOMS = "ipmi|serial|redfish|link|emulator";
const IN_ROOM = new RegExp(`^(?:agent/(?:${ROOMS})|bmc/(?:${BMC_ROOMS}))/|^core/[^/]+$`);
const IMPURE = /\/(?:io|sdk)\/|^agent\/manager\/page\/|\.d\.ts$/;

/**
 * Rooms that decide, but for their `io/`, the programs' SDK, the manager's page (it runs in a browser) and what only tests
 * use. `agent/runtime` and `agent/net` are the seam itself.
 */
export function isPure(path: string): boolean {
  return IN_ROOM.test(path) && !IMPURE.test(path) && !isTest(path);
}

export interface Exception {
  readonly mayImport: string;
  readonly reason: string;
}

/** What a file at a pure place may import all the same, with the reason. */
export const EXCEPTIONS: Readonly<Record<string, Exception>> = {
  "core/core.ts": {
    mayImport: "node:fs",
    reason: "reads its own WASM module, once, when it is loaded; works inside the executable alike",
  },
};

const BANNED: readonly (readonly [RegExp, string])[] = [
  [/(?<![.\w$])Date\b/, "Date: take now as an argument"],
  [/\bMath\s*\.\s*random\b/, "Math.random: take a Prng"],
  [/(?<![.\w$])performance\b(?!\s*:)/, "performance: take now as an argument"],
  [/(?<![.\w$])(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b/, "timers: emit an effect"],
  [/(?<![.\w$])(?:fetch|WebSocket|XMLHttpRequest)\s*[(.]/, "network: emit an effect"],
  // An `IpmiCrypto` that a session was given goes by this name too: what is asked of it tells it from the global.
  [
    /(?<![.\w$])crypto\s*\.\s*(?:subtle|randomUUID|getRandomValues)\b/,
    "crypto: take a Prng or a digest",
  ],
  [/(?<![.\w$])Bun\s*\./, "Bun: belongs in io/"],
  // The linter knows scopes; here a variable of that name is told from the global by what is asked of it.
  [
    /(?<![.\w$])process\s*\.\s*(?:argv|cwd|env|exit|hrtime|memoryUsage|nextTick|std\w+|uptime)\b/,
    "process: belongs in io/",
  ],
  [/(?<![.\w$])console\s*\./, "console: emit a log effect"],
  [/(?<![.\w$])(?:async|await)\b(?!\s*[:?,})])/, "async: decisions are synchronous"],
  [/(?<![.\w$])Promise\b/, "Promise: decisions are synchronous"],
  [/(?<![.\w$])(?:globalThis|eval)\b/, "globalThis: what is used is said by name"],
];

const SUPPRESSION =
  /(?:biome-ignore|oxlint-disable|eslint-disable)\S*.*(?:noRestricted|no-restricted)/;

/** One line per word that does not belong. O(text × words). */
export function impurities(sources: readonly Source[]): readonly string[] {
  const found: string[] = [];
  for (const { path, text } of sources) {
    if (!isPure(path)) continue;
    const exception = EXCEPTIONS[path];
    codeOf(text)
      .split("\n")
      .forEach((line, index) => {
        for (const [word, why] of BANNED) {
          if (word.test(line)) found.push(`${path}:${index + 1}: ${why}`);
        }
      });
    for (const { specifier, line } of importsOf(text)) {
      if (specifier === exception?.mayImport) continue;
      if (/^(?:node:|bun(?::|$))/.test(specifier)) found.push(`${path}:${line}: ${specifier}`);
    }
    if (SUPPRESSION.test(text) && exception === undefined)
      found.push(`${path}: suppresses the purity rule of a linter`);
  }
  return found;
}
