/**
 * Whole processes that read the same event log, in turns, so that a machine whose speed drifts is fair to all.
 */
import { join } from "node:path";
import { assert } from "../../core/assert.ts";
import { SIM_PASSWORD, SIM_USER } from "../../test/real/bmc/ipmi-sim.ts";
import { type Measurement, median, medianDeviation } from "../bench.ts";

export const HOLDFAST: string = join(import.meta.dir, "../../dist/holdfast");

export interface Contender {
  readonly name: string;
  readonly argv: readonly string[];
  readonly times: number[];
}

export function contender(name: string, argv: readonly string[]): Contender {
  return { name, argv, times: [] };
}

const ENVIRONMENT = { ...process.env, HOLDFAST_BMC_PASSWORD: SIM_PASSWORD };

export function holdfastSel(url: string): Contender {
  return contender("holdfast bmc sel", [HOLDFAST, "bmc", "sel", "--bmc", url]);
}

export function ipmitoolLan(port: number): Contender {
  const login = ["-U", SIM_USER, "-P", SIM_PASSWORD, "-C", "3"];
  const argv = ["-I", "lanplus", "-H", "127.0.0.1", "-p", String(port), ...login, "sel", "list"];
  return contender("ipmitool sel list", ["ipmitool", ...argv]);
}

/** Its cache of sensor records is in `folder`. */
export function ipmiSel(port: number, folder: string): Contender {
  const login = ["-u", SIM_USER, "-p", SIM_PASSWORD, "-I", "3", "-l", "admin", "-W"];
  const at = ["-D", "LAN_2_0", "-h", `127.0.0.1:${port}`, "--sdr-cache-directory", folder];
  return contender("ipmi-sel", ["ipmi-sel", ...at, ...login, "opensesspriv"]);
}

interface Run {
  readonly ms: number;
  readonly text: string;
}

async function runOnce({ name, argv }: Contender): Promise<Run> {
  const startNs = Bun.nanoseconds();
  const child = Bun.spawn([...argv], { env: ENVIRONMENT, stderr: "pipe", stdin: "ignore" });
  const text = await child.stdout.text();
  const code = await child.exited;
  const ms = (Bun.nanoseconds() - startNs) / 1e6;
  assert(code === 0, `${name} failed: ${await child.stderr.text()}`);
  return { ms, text };
}

export interface Race {
  readonly contenders: readonly Contender[];
  readonly runs: number;
  /** Each must print at least so many lines, or it has not read everything. */
  readonly entries: number;
}

/** A turn for each, `runs` times, after one that does not count (it fills the caches). */
export async function race({ contenders, runs, entries }: Race): Promise<void> {
  for (let turn = -1; turn < runs; turn++) {
    for (const one of contenders) {
      const { ms, text } = await runOnce(one);
      const lines = text.trimEnd().split("\n").length;
      assert(lines >= entries, `${one.name} printed ${lines} lines of ${entries} entries`);
      if (turn >= 0) one.times.push(ms);
    }
  }
}

export interface Comparison {
  readonly bench: string;
  readonly what: string;
  readonly ours: Contender;
  readonly peer: Contender;
  /** How many times as fast as the peer. */
  readonly must: number;
  readonly aim: number;
  readonly note?: string;
}

export function compared(comparison: Comparison): Measurement {
  const { bench, what, ours, peer, must, aim, note = null } = comparison;
  return {
    bench,
    what,
    ours: median(ours.times),
    peer: median(peer.times),
    peerName: peer.name,
    unit: "ms",
    spread: medianDeviation(ours.times),
    runs: ours.times.length,
    goal: { of: "ratio", better: "lower", must: 1 / must, aim: 1 / aim },
    note,
  };
}
