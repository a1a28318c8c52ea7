/**
 * A node's report for tests: small, whole, and as the contract says.
 */
import type { NodeReport } from "../../../callhome/report.ts";

export function testReport(over: Partial<NodeReport> = {}): NodeReport {
  const nowMs = Date.now();
  const node = over.node ?? "n1";
  return {
    v: 1,
    node,
    run: "r1",
    startedMs: nowMs,
    seq: 1,
    atMs: nowMs,
    status: {
      ...{ address: "10.0.0.1", port: 7400, state: "alive", reason: null, role: "worker" },
      ...{ instance: "i1", incarnation: 1, epoch: 7, lead: "n1", pid: 1, version: "0.1.0" },
      ranks: [
        { job: "j1", rank: 0, epoch: 7, sealed: [9, 8] },
        { job: "j1", rank: 1, epoch: 7, sealed: [9] },
      ],
      holds: [],
      members: [node, "n2"].map((id) => ({
        ...{ id, address: "10.0.0.1", port: 7400, role: "worker" as const, incarnation: 1 },
        ...{ standing: "alive", reason: "", inView: true },
      })),
      load: { cores: 2, freeMemoryBytes: 1, loadAverage: 0 },
    },
    jobs: [
      {
        ...{ id: "j1", state: "running", epoch: 7, revision: 1, ranks: 2, sealed: 9 },
        ...{ placement: ["n1", "n1"], exitCode: null, verdict: null, argv: ["./train"] },
      },
    ],
    bmcs: [
      {
        ...{ url: "kcs:/dev/ipmi0", system: "ab", node, state: "watched", detail: "" },
        ...{ sinceMs: nowMs, isPoweredOn: true, faults: [] },
      },
    ],
    inventoryDigest: "a".repeat(64),
    inventory: {
      bmcs: [
        {
          url: "kcs:/dev/ipmi0",
          identity: {
            ...{ guid: "ab", manufacturer: { id: 1, name: "Maker" }, productId: 1 },
            ...{ productName: "Server 9000", serial: "S9", firmware: "1.2" },
            ...{ protocolVersion: "2.0", deviceId: 1, selfTest: null, supports: ["sel"] },
          },
          fru: [{ id: 0, name: "Board", fields: [["board.serial", "S1"]] }],
          readMs: nowMs,
        },
      ],
    },
    callhome: { waiting: 0, delivered: 0, refused: 0, oldestWaitingMs: null, paths: [] },
    ...over,
  };
}
