/**
 * How a program is started so that it finds its proxy: command and environment. The agent starts what this says.
 *
 * A rank needs nothing of holdfast to run: a program that knows no SDK simply never attaches. A TypeScript or JavaScript file is
 * run by the holdfast binary itself (`BUN_BE_BUN`), and finds `import { run } from "holdfast"` through `NODE_PATH`.
 */
import { PROGRAM_ENV } from "./proxy.ts";

export interface ProgramPlace {
  readonly job: string;
  readonly rank: number;
  readonly size: number;
  /** Shared-memory file of the rank. */
  readonly segment: string;
  readonly regionsFolder: string;
  /** A `node_modules` folder that holds the package `holdfast`; see `io/sdk-install.ts`. */
  readonly modulesFolder: string;
}

/** The proxy of the moment listens here for its program. Stable over relaunches of the proxy. */
export function controlPathOf(segment: string): string {
  return `${segment}.sock`;
}

/** A named pipe: a byte written here wakes the proxy. Stable over relaunches of the proxy. */
export function bellPathOf(segment: string): string {
  return `${segment}.bell`;
}

/** Where the messages under way of one checkpoint are saved until the agent has copied them. */
export function mailboxPathOf(segment: string, version: number): string {
  return `${segment}.mailbox-${version}`;
}

/** To be laid over the environment that the user's program would have anyway. */
export function programEnvironment(
  place: ProgramPlace,
  inherited: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const outer = inherited["NODE_PATH"];
  return {
    [PROGRAM_ENV.job]: place.job,
    [PROGRAM_ENV.rank]: String(place.rank),
    [PROGRAM_ENV.size]: String(place.size),
    [PROGRAM_ENV.segment]: place.segment,
    [PROGRAM_ENV.regionsFolder]: place.regionsFolder,
    [PROGRAM_ENV.control]: controlPathOf(place.segment),
    NODE_PATH: outer ? `${place.modulesFolder}:${outer}` : place.modulesFolder,
    BUN_BE_BUN: "1",
  };
}

/** A script is run by the binary itself; anything else as it is. */
export function programCommand(argv: readonly string[], binary: string): readonly string[] {
  const [program] = argv;
  return program !== undefined && /\.[cm]?[jt]sx?$/.test(program) ? [binary, ...argv] : argv;
}
