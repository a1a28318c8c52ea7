/**
 * How many events a second a manager takes from many nodes over HTTP: the manager in a process of its own, with its store on
 * disk, mutual TLS or none; this process signs beforehand, then posts as that many nodes.
 *
 *   bun agent/manager/io/harness/measure-intake.ts --nodes 1000 --events 30000 --batch 8 [--tls]
 *
 * Every answer is read: only what was answered `kept` counts. What is compared is also the processor time that one event
 * costs the manager, since both sides share the machine's cores.
 */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PARCELS_PATH, type ParcelsAnswer } from "../../../callhome/protocol.ts";
import type { Identity } from "../../../identity/identity.ts";
import { openLocalIdentity } from "../../../identity/io/open-identity.ts";
import { LOCAL_CLUSTER } from "../../../identity/names.ts";
import { secureFetch } from "../../../net/io/secure.ts";
import { stderrLog } from "../../../runtime/io/log.ts";
import { removeFolder } from "../../../runtime/io/remove-folder.ts";
import { openManager } from "../open-manager.ts";
import { parcelOf, testEvent } from "./signed-events.ts";

const UNDER_WAY = 64;
const READY = "ready ";

export interface IntakeMeasure {
  readonly nodes: number;
  readonly events: number;
  readonly batch: number;
  readonly eventsPerSecond: number;
  /** Of one request, in milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly managerCpuUsPerEvent: number;
  readonly managerRssMiB: number;
  /** At rest afterwards, of one core. */
  readonly restCpuPercent: number;
}

interface Asked {
  readonly nodes: number;
  readonly events: number;
  readonly batch: number;
}

/** Of a process, in milliseconds: user and system. */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function rssMiBOf(pid: number): number {
  const line = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return Number(line?.[1] ?? 0) / 1024;
}

function bodiesOf(folder: string, { nodes, events, batch }: Asked): readonly string[] {
  const signers: Identity[] = Array.from({ length: nodes }, (_, n) =>
    openLocalIdentity(join(folder, `n${n}`), "agent", `n${n}`),
  );
  const bodies: string[] = [];
  for (let made = 0; made < events; made += batch) {
    const signer = signers[bodies.length % nodes]?.signer;
    if (signer === undefined) break;
    const parcels = Array.from({ length: batch }, () => parcelOf(signer, testEvent()));
    bodies.push(JSON.stringify({ parcels }));
  }
  return bodies;
}

async function post(url: string, body: string): Promise<number> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url, { method: "POST", body, headers });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  const answer = (await response.json()) as ParcelsAnswer;
  const refusal = answer.results.find(({ kind }) => kind === "refused");
  if (refusal !== undefined) throw new Error(JSON.stringify(refusal));
  return answer.results.filter(({ kind }) => kind === "kept").length;
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

export async function measureIntake(asked: Asked): Promise<IntakeMeasure> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-intake-"));
  const manager = Bun.spawn([process.execPath, import.meta.path, "--serve", join(folder, "m")], {
    stdout: "pipe",
    stderr: "inherit",
  });
  try {
    const reader = manager.stdout.getReader();
    const { value } = await reader.read();
    const line = new TextDecoder().decode(value);
    const url = `http://127.0.0.1:${line.slice(READY.length).trim()}${PARCELS_PATH}`;
    const bodies = bodiesOf(folder, asked);
    const tookMs: number[] = [];
    let kept = 0;
    let next = 0;
    const cpuBeforeMs = cpuMsOf(manager.pid);
    const beganMs = performance.now();
    const client = async (): Promise<void> => {
      for (let body = bodies[next++]; body !== undefined; body = bodies[next++]) {
        const sentMs = performance.now();
        const count = await post(url, body);
        kept += count;
        tookMs.push(performance.now() - sentMs);
      }
    };
    await Promise.all(Array.from({ length: UNDER_WAY }, client));
    const seconds = (performance.now() - beganMs) / 1000;
    const cpuMs = cpuMsOf(manager.pid) - cpuBeforeMs;
    if (kept !== bodies.length * asked.batch)
      throw new Error(`${kept} were kept of ${asked.events}`);
    const rssMiB = rssMiBOf(manager.pid);
    await Bun.sleep(2_000);
    const restBeforeMs = cpuMsOf(manager.pid);
    await Bun.sleep(5_000);
    const restMs = cpuMsOf(manager.pid) - restBeforeMs;
    const sorted = tookMs.sort((a, b) => a - b);
    return {
      ...{ nodes: asked.nodes, events: kept, batch: asked.batch },
      eventsPerSecond: Math.round(kept / seconds),
      p50Ms: at(sorted, 0.5),
      p99Ms: at(sorted, 0.99),
      managerCpuUsPerEvent: (cpuMs * 1000) / kept,
      managerRssMiB: rssMiB,
      restCpuPercent: restMs / 50,
    };
  } finally {
    manager.kill("SIGKILL");
    await manager.exited;
    await removeFolder(folder);
  }
}

async function serve(folder: string): Promise<void> {
  const identity = openLocalIdentity(folder, "manager", "m1");
  const opened = await openManager({
    identity,
    service: null,
    listen: { address: "127.0.0.1", port: 0 },
    pageListen: null,
    dataFolder: folder,
    store: process.env["HOLDFAST_STORE"] ?? null,
    destination: null,
    caller: (role, url, init) => secureFetch(identity, role)(url, init),
    retentionDays: 90,
    version: LOCAL_CLUSTER,
    page: null,
    log: stderrLog("m1", "fault"),
  });
  if (!opened.ok) throw new Error(opened.error);
  process.stdout.write(`${READY}${opened.value.port}\n`);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      serve: { type: "string" },
      nodes: { type: "string", default: "1000" },
      events: { type: "string", default: "30000" },
      batch: { type: "string", default: "8" },
    },
  });
  if (values.serve !== undefined) await serve(values.serve);
  else {
    const { nodes, events, batch } = values;
    const asked = { nodes: Number(nodes), events: Number(events), batch: Number(batch) };
    process.stdout.write(`${JSON.stringify(await measureIntake(asked))}\n`);
  }
}
