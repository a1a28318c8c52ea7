/**
 * Tests that need a part this machine may not have: another project's program, a kernel feature, a right.
 *
 * A probe says whether the part is here. Where it is missing the test is skipped under the part's name, so that the summary
 * tells what was not looked at; with `CI=true` it fails instead, since there everything is installed (`.ci/run`) and a
 * silent skip would hide a hole.
 *
 *   const serf = realPart("serf", () => hasCommand("serf"), "apt-get install serf");
 *   serf("a cut host is noticed", async () => { … }, 60_000);
 */
import { test } from "bun:test";

/** Registers a test that runs only where the part is. */
export type RealTest = (name: string, body: () => void | Promise<void>, limitMs?: number) => void;

/** What the machine looks like to `realPart`; a test of it gives its own. */
export interface Registrar {
  readonly isCi: boolean;
  readonly run: (name: string, body: () => void | Promise<void>, limitMs: number) => void;
  readonly skip: (name: string) => void;
}

const LIMIT_MS = 60_000;

const bunRegistrar: Registrar = {
  isCi: process.env["CI"] === "true",
  run: (name, body, limitMs) => {
    test(name, body, limitMs);
  },
  skip: (name) => {
    test.skip(name, () => undefined);
  },
};

/** `remedy` is what brings the part, said in the failure. A probe that throws counts as a missing part. */
export function realPart(
  part: string,
  probe: () => boolean,
  remedy: string,
  registrar: Registrar = bunRegistrar,
): RealTest {
  let isPresent = false;
  try {
    isPresent = probe();
  } catch {}
  return (name, body, limitMs = LIMIT_MS) => {
    if (isPresent) registrar.run(name, body, limitMs);
    else if (registrar.isCi) {
      const missing = (): never => {
        throw new Error(`${part} is missing on this machine: ${remedy}`);
      };
      registrar.run(`${name} [needs ${part}]`, missing, limitMs);
    } else registrar.skip(`${name} [no ${part}: ${remedy}]`);
  };
}

export function hasCommand(name: string): boolean {
  return Bun.which(name, { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` }) !== null;
}

/** Network namespaces ask for root, or for a kernel that lets users have namespaces of their own. */
export function canMakeNamespaces(): boolean {
  return Bun.spawnSync(["unshare", "-n", "true"]).exitCode === 0;
}
