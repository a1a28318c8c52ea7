/** What the tests of the job room are made from: ids, records, reports and a view, each with one thing changed by the test. */
import type { Holding, Version } from "../checkpoint/checkpoint.ts";
import type { Epoch, Member, NodeId, View } from "../membership/membership.ts";
import type { JobRecord, JobSpec, ReportMessage, RunningRank } from "./job.ts";
import type { NodeConfig } from "./node-events.ts";
import { newRecord } from "./records.ts";

export const node = (id: string): NodeId => id as NodeId;
export const epoch = (n: number): Epoch => n as Epoch;
export const version = (n: number): Version => n as Version;

export function config(id: string): NodeConfig {
  return {
    id: node(id),
    address: "127.0.0.1",
    role: "worker",
    sharedMemoryFolder: "/shm",
    idleWithinMs: 1_000,
    phaseWithinMs: 2_000,
    wallOffsetMs: 0,
  };
}

export function spec(change: Partial<JobSpec> = {}): JobSpec {
  return {
    id: "j-00000001",
    argv: ["train.ts"],
    cwd: "/",
    env: {},
    ranks: 2,
    spares: 0,
    checkpointEveryMs: null,
    ...change,
  };
}

export function record(change: Partial<JobRecord> = {}): JobRecord {
  return {
    ...newRecord(spec(), epoch(1), 0),
    state: "running",
    epoch: epoch(2),
    placement: [node("n1"), node("n2")],
    partners: [node("n2"), node("n1")],
    ...change,
  };
}

export function member(id: string): Member {
  return {
    id: node(id),
    instance: `i-${id}`,
    incarnation: 1,
    address: "127.0.0.1",
    port: 7_400,
    role: "worker",
  };
}

export function view(n: number, ...ids: string[]): View {
  return { epoch: epoch(n), members: ids.map(member), reason: "test" };
}

export function holding(rank: number, v: number, change: Partial<Holding> = {}): Holding {
  return {
    job: "j-00000001",
    rank,
    version: version(v),
    epoch: epoch(2),
    parent: null,
    sealed: true,
    bytes: 4096,
    ...change,
  };
}

export function runs(rank: number, change: Partial<RunningRank> = {}): RunningRank {
  return { job: "j-00000001", rank, pid: 10, epoch: epoch(2), proxyPid: 11, ...change };
}

export function report(id: string, change: Partial<ReportMessage> = {}): ReportMessage {
  return {
    kind: "report",
    epoch: epoch(3),
    records: [],
    holdings: [],
    running: [],
    faults: [],
    exits: [],
    proxy: { node: node(id), host: "127.0.0.1", port: 1 },
    load: { cores: 2, freeMemoryBytes: 2 ** 30, loadAverage: 0 },
    ...change,
  };
}

export function reports(...all: ReportMessage[]): Map<NodeId, ReportMessage> {
  return new Map(all.map((r, index) => [r.proxy?.node ?? node(`witness${index}`), r]));
}
