/**
 * What an agent costs while nothing happens: memory above that of an empty program of the same runtime, and share of a core, with a
 * BMC watched, a manager and a destination known.
 *
 * Two figures of memory: what the process has for itself (anonymous pages), and all that is resident, which counts pages of the
 * executable that it has touched, and which the kernel may drop. The empty program is an executable that the same Bun compiled.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CallhomeScene } from "../test/e2e/test-callhome.ts";
import type { Measurement } from "./bench.ts";

const SETTLE_MS = 20_000;
const WATCH_MS = 60_000;
/** Of `/proc/PID/stat`: USER_HZ is 100 on every Linux. */
const TICK_MS = 10;

interface Memory {
  readonly ownMib: number;
  readonly residentMib: number;
}

function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const mib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) / 1024;
  return { ownMib: mib("RssAnon"), residentMib: mib("VmRSS") };
}

function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

async function emptyProgram(): Promise<Memory> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-empty-"));
  const source = join(folder, "empty.ts");
  writeFileSync(source, "setInterval(() => undefined, 60_000);\n");
  const outfile = join(folder, "empty");
  const built = await Bun.build({ entrypoints: [source], compile: { outfile }, bytecode: true });
  if (!built.success) throw new Error("the empty program cannot be built");
  const child = Bun.spawn([outfile], { stdio: ["ignore", "ignore", "ignore"] });
  await Bun.sleep(SETTLE_MS);
  const memory = memoryOf(child.pid);
  child.kill("SIGKILL");
  await child.exited;
  rmSync(folder, { recursive: true, force: true });
  return memory;
}

export async function run(): Promise<readonly Measurement[]> {
  const empty = await emptyProgram();
  const scene = await CallhomeScene.start({ isSecure: true }, [
    ["destination", "d1"],
    ["manager", "m1"],
  ]);
  try {
    await scene.startDestination();
    await scene.startManager();
    const agent = await scene.startAgent(["--bmc", scene.bmc.lan, "--bmc-poll-seconds", "5"]);
    await scene.ready(agent, ["bmc", "manager"]);
    await Bun.sleep(SETTLE_MS);
    const beforeMs = cpuMs(agent.child.pid);
    await Bun.sleep(WATCH_MS);
    const share = ((cpuMs(agent.child.pid) - beforeMs) / WATCH_MS) * 100;
    const memory = memoryOf(agent.child.pid);
    const what = "an agent at rest that watches its BMC over LAN, by mutual TLS";
    const once = { spread: null, runs: 1 } as const;
    return [
      {
        ...{
          bench: "callhome-rest-memory",
          what: `${what}, its own memory above an empty program`,
        },
        ...{ ours: memory.ownMib - empty.ownMib, peer: empty.ownMib },
        ...{ peerName: "the empty program", unit: "MiB", ...once },
        goal: { of: "ours", better: "lower", must: 24, aim: 12 },
        note: "anonymous pages",
      },
      {
        ...{
          bench: "callhome-rest-resident",
          what: `${what}, all that is resident above an empty program`,
        },
        ...{ ours: memory.residentMib - empty.residentMib, peer: empty.residentMib },
        ...{ peerName: "the empty program", unit: "MiB", ...once },
        goal: { of: "ours", better: "lower", must: 24, aim: 12 },
        note: "counts pages of the executable that were touched, which the kernel may drop",
      },
      {
        ...{ bench: "callhome-rest-cpu", what: `${what}, share of a core over a minute` },
        ...{ ours: share, peer: null, peerName: null, unit: "%", ...once },
        goal: { of: "ours", better: "lower", must: 1, aim: null },
        note: null,
      },
    ];
  } finally {
    await scene.close();
  }
}
