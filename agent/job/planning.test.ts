/**
 * Goal: a job is left alone only when all of it runs; whatever is wrong leads to a recovery, a wait or a clear end.
 * Method: one healthy situation, one thing broken a test.
 */
import { describe, expect, test } from "bun:test";
import * as make from "./job-fixtures.ts";
import { busyNodes, nextVersion, planJob, refusal, wasEverSealed } from "./planning.ts";

const healthy = make.reports(
  make.report("n1", { running: [make.runs(0)] }),
  make.report("n2", { running: [make.runs(1)] }),
  make.report("n3"),
);

const situation = {
  view: make.view(3, "n1", "n2", "n3"),
  reports: healthy,
  busy: new Set<never>(),
  order: <T>(candidates: readonly T[]) => candidates,
};

describe("planning a job", () => {
  test("a job whose ranks all run as the record says is left alone", () => {
    expect(planJob(make.record(), situation)).toEqual({ kind: "leave" });
  });

  test("a rank whose node left the view goes to the spare, and the others stay", () => {
    const plan = planJob(make.record(), {
      ...situation,
      view: make.view(3, "n1", "n3"),
      reports: make.reports(make.report("n1", { running: [make.runs(0)] }), make.report("n3")),
    });
    expect(plan).toMatchObject({ kind: "recover", placement: ["n1", "n3"] });
    expect(plan.kind === "recover" && plan.why).toContain("n2 (rank 1) left");
  });

  test("a rank that runs under an older epoch counts as not running", () => {
    const stale = make.report("n2", { running: [make.runs(1, { epoch: make.epoch(1) })] });
    const plan = planJob(make.record(), {
      ...situation,
      reports: new Map(healthy).set(make.node("n2"), stale),
    });
    expect(plan).toMatchObject({ kind: "recover", placement: ["n1", "n2"] });
  });

  test("a rank that has ended well needs not run", () => {
    const ended = make.record({ exits: [{ rank: 1, code: 0, detail: "" }] });
    const reports = new Map(healthy).set(make.node("n2"), make.report("n2"));
    expect(planJob(ended, { ...situation, reports })).toEqual({ kind: "leave" });
  });

  test("the reason names what the member said was wrong", () => {
    const detail = "proxy of j-00000001 on n2 ended (SIGKILL)";
    const faults = [{ kind: "proxy", job: "j-00000001", epoch: make.epoch(2), detail }] as const;
    const reports = new Map(healthy).set(make.node("n2"), make.report("n2", { faults }));
    expect(planJob(make.record(), { ...situation, reports })).toMatchObject({ why: detail });
  });

  describe("that falls over by itself", () => {
    const detail = "rank 1 of j-00000001 on n2 was killed (SIGSEGV)";
    const fault = { kind: "program", job: "j-00000001", rank: 1, detail } as const;
    const crashed = make.report("n2", { faults: [{ ...fault, epoch: make.epoch(2) }] });
    const reports = new Map(healthy).set(make.node("n2"), crashed);

    test("is recovered, and each time is counted", () => {
      const plan = planJob(make.record({ setbacks: 4 }), { ...situation, reports });
      expect(plan).toMatchObject({ kind: "recover", setbacks: 5, why: detail });
    });

    test("is given up when no newer state was sealed in eleven times", () => {
      const plan = planJob(make.record({ setbacks: 10 }), { ...situation, reports });
      expect(plan.kind).toBe("lost");
      expect(plan.kind === "lost" && plan.verdict).toContain(detail);
      expect(plan.kind === "lost" && plan.verdict).toContain("the fault is in the job");
    });

    test("is counted anew once a newer state was sealed", () => {
      const lineage = [{ epoch: make.epoch(2), base: make.version(5) }];
      const moved = make.record({ setbacks: 10, lineage, sealed: make.version(6) });
      expect(planJob(moved, { ...situation, reports })).toMatchObject({ setbacks: 1 });
      const stuck = make.record({ setbacks: 10, lineage, sealed: make.version(5) });
      expect(planJob(stuck, { ...situation, reports }).kind).toBe("lost");
    });

    test("is not blamed for a node that leaves, nor for a fault of an older plan", () => {
      const older = make.report("n2", { faults: [{ ...fault, epoch: make.epoch(1) }] });
      const plan = planJob(make.record({ setbacks: 10 }), {
        ...situation,
        reports: new Map(healthy).set(make.node("n2"), older),
      });
      expect(plan).toMatchObject({ kind: "recover", setbacks: 10 });
    });
  });

  test("without a spare a running job is lost, and the verdict says how to go on", () => {
    const plan = planJob(make.record(), {
      ...situation,
      view: make.view(3, "n1"),
      reports: make.reports(make.report("n1", { running: [make.runs(0)] })),
    });
    expect(plan.kind).toBe("lost");
    expect(plan.kind === "lost" && plan.verdict).toContain("holdfast run --resume j-00000001");
  });

  test("without enough nodes a job that never ran waits", () => {
    const first = make.record({ state: "starting", placement: [], partners: [] });
    const plan = planJob(first, { ...situation, reports: make.reports(make.report("n1")) });
    expect(plan).toEqual({ kind: "wait", why: "no free node for rank 1" });
  });

  test("a node whose proxy does not start gets no rank", () => {
    const reports = new Map(healthy).set(make.node("n2"), make.report("n2", { proxy: null }));
    const plan = planJob(make.record(), { ...situation, reports });
    expect(plan).toMatchObject({ kind: "recover", placement: ["n1", "n3"] });
  });

  test("a node that runs another job is no spare", () => {
    const plan = planJob(make.record(), {
      ...situation,
      view: make.view(3, "n1", "n3"),
      reports: make.reports(make.report("n1", { running: [make.runs(0)] }), make.report("n3")),
      busy: new Set([make.node("n3")]),
    });
    expect(plan.kind).toBe("lost");
  });

  test("an interrupted recovery is done again though all programs live", () => {
    const record = make.record({ state: "recovering" });
    expect(planJob(record, situation)).toMatchObject({ why: "the recovery before did not end" });
  });
});

describe("numbers of a plan", () => {
  test("the next version is above what anybody holds and where the job went back to", () => {
    const record = make.record({ lineage: [{ epoch: make.epoch(2), base: make.version(4) }] });
    expect(nextVersion(record, healthy)).toBe(make.version(5));
    const reports = make.reports(
      make.report("n1", { holdings: [make.holding(0, 9, { sealed: false })] }),
    );
    expect(nextVersion(record, reports)).toBe(make.version(10));
  });

  test("an unsealed shard does not make the job one that was ever sealed", () => {
    const unsealed = make.report("n1", { holdings: [make.holding(0, 1, { sealed: false })] });
    expect(wasEverSealed(make.record(), make.reports(unsealed))).toBe(false);
    const sealed = make.report("n1", { holdings: [make.holding(0, 1)] });
    expect(wasEverSealed(make.record(), make.reports(sealed))).toBe(true);
  });

  test("a request that does not fit is refused with the numbers", () => {
    const demand = { ranks: 4, spares: 1, freeNodes: 5, workerNodes: 5, withoutProxy: [] };
    expect(refusal(demand)).toBeNull();
    expect(refusal({ ...demand, freeNodes: 3 })).toContain("need 5 free nodes, there are 3");
  });

  test("a refusal names the nodes where no proxy starts", () => {
    const withoutProxy = [make.node("n2"), make.node("n4")];
    const demand = { ranks: 4, spares: 0, freeNodes: 3, workerNodes: 5, withoutProxy };
    expect(refusal(demand)).toContain("No proxy starts on n2, n4: the log");
  });

  test("an ended job keeps no node busy", () => {
    const other = make.record({ spec: make.spec({ id: "j-00000002" }) });
    expect(busyNodes([other], "j-00000001").size).toBe(2);
    expect(busyNodes([{ ...other, state: "ended" }], "j-00000001").size).toBe(0);
  });
});
