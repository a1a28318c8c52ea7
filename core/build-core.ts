/**
 * How the core is compiled: the compiler's arguments, for `build.ts` and for the test that the build is reproducible.
 * Does not run anything.
 *
 * `--use abort=` makes a failed assert a bare trap, so asserts stay on and the module imports nothing. Initial memory
 * = maximum memory: growth would detach the host's views.
 */
import { MEMORY_PAGES } from "./abi.ts";

/** Of `node_modules/.bin/asc`, from the root of the project. */
export function ascArguments(output: string): readonly string[] {
  return [
    "core/assembly/index.ts",
    "-O3",
    "--converge",
    "--runtime",
    "stub",
    "--use",
    "abort=",
    "--enable",
    "simd",
    "--initialMemory",
    String(MEMORY_PAGES),
    "--maximumMemory",
    String(MEMORY_PAGES),
    "--outFile",
    output,
  ];
}
