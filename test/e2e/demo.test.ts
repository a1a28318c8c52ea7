/**
 * Goal: the demo proves what it says, says when it cannot, and leaves nothing behind however it ends.
 * Method: the built binary as a user starts it, with short trainings and `--json`; `/proc` and the file system are looked at
 * afterwards. The demo's processes are known by the mark they carry in their environment.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { TimedEvent } from "../../agent/cli/demo/events.ts";
import { processesMarked } from "../../agent/cli/demo/io/process-table.ts";
import { MARK_NAME } from "../../agent/cli/demo/io/workshop.ts";

const BINARY = join(import.meta.dir, "../../dist/holdfast");
const LIMIT_MS = 60_000;
/** Both trainings and two calls home, on a machine with other things to do. */
const WHOLE_LIMIT_MS = 120_000;

interface Running {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly events: TimedEvent[];
  /** Resolves when standard output has ended. */
  readonly told: Promise<void>;
}

const running: Running[] = [];

afterEach(async () => {
  for (const { child } of running.splice(0)) {
    child.kill("SIGTERM");
    await child.exited;
  }
});

function startDemo(...flags: string[]): Running {
  const child = Bun.spawn({
    cmd: [BINARY, "demo", "--json", ...flags],
    stdio: ["ignore", "pipe", "pipe"],
  });
  const events: TimedEvent[] = [];
  const read = async (): Promise<void> => {
    let rest = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) events.push(JSON.parse(line) as TimedEvent);
    }
  };
  const demo = { child, events, told: read() };
  running.push(demo);
  return demo;
}

async function until(what: string, condition: () => boolean, withinMs = 30_000): Promise<void> {
  const limitMs = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > limitMs) throw new Error(`not within ${withinMs / 1_000} s: ${what}`);
    await Bun.sleep(10);
  }
}

function all<Kind extends TimedEvent["kind"]>(
  demo: Running,
  kind: Kind,
): readonly (TimedEvent & { readonly kind: Kind })[] {
  return demo.events.filter(
    (event): event is TimedEvent & { readonly kind: Kind } => event.kind === kind,
  );
}

function folderOf(demo: Running): string {
  const [begin] = all(demo, "begin");
  if (begin === undefined) throw new Error("the demo did not begin");
  return begin.folder;
}

function marked(folder: string): readonly number[] {
  return processesMarked(`${MARK_NAME}=${folder.slice(folder.lastIndexOf("-") + 1)}`);
}

function isTrainingAt(demo: Running, step: number): boolean {
  return all(demo, "training").some(({ report }) => report.event === "step" && report.step >= step);
}

function expectNothingLeft(folder: string): void {
  expect(marked(folder)).toEqual([]);
  expect(existsSync(folder)).toBe(false);
  expect(existsSync(`/dev/shm/holdfast-${folder.slice(folder.lastIndexOf("-") + 1)}`)).toBe(false);
}

/** The digests of a training, which must be one. */
function digestOf(demo: Running, run: "faulted" | "clean"): string | null | undefined {
  const end = all(demo, "run-end").find((event) => event.end.run === run)?.end;
  expect(end?.exitCode).toBe(0);
  expect(new Set(end?.digests).size).toBe(1);
  expect(end?.digests.length).toBe(4);
  return end?.digests[0];
}

describe("demo", () => {
  test(
    "a node dies at a drawn moment and the weights end the same",
    async () => {
      const demo = startDemo("--steps", "60");
      expect(await demo.child.exited).toBe(0);
      await demo.told;
      const [kill] = all(demo, "kill");
      expect(kill?.victims.map(({ role }) => role)).toEqual(
        expect.arrayContaining(["agent", "proxy", "program"]),
      );
      const [gone] = all(demo, "gone");
      expect(gone?.pids).toEqual(kill?.victims.map(({ pid }) => pid) ?? []);
      const [recovered] = all(demo, "recovered");
      expect(recovered?.node).toBe(kill?.node ?? "");
      expect(recovered?.recovery.totalMs).toBeLessThan(10_000);
      expect(digestOf(demo, "faulted")).toMatch(/^[0-9a-f]{64}$/);
      expect(digestOf(demo, "faulted")).toBe(digestOf(demo, "clean") as string);
      const calls = all(demo, "called").map(({ end }) => end);
      expect(calls.map(({ call, path }) => [call, path])).toEqual([
        ["relayed", "manager"],
        ["around", "direct"],
      ]);
      expect(calls[0]?.steps.map(({ name }) => name)).toEqual(["seen", "queued", "R1", "R2"]);
      const [reconciled] = all(demo, "reconciled");
      expect(reconciled?.isReconciled).toBe(true);
      expect(reconciled?.tickets.toSorted()).toEqual(calls.map(({ ticket }) => ticket).toSorted());
      expectNothingLeft(folderOf(demo));
    },
    WHOLE_LIMIT_MS,
  );

  test(
    "Ctrl-C while an error calls home ends it with 130 and cleans up",
    async () => {
      const demo = startDemo("--steps", "20");
      // Behind both trainings.
      await until("the services run", () => all(demo, "services").length > 0, WHOLE_LIMIT_MS);
      const folder = folderOf(demo);
      expect(marked(folder).length).toBeGreaterThanOrEqual(4);
      demo.child.kill("SIGINT");
      expect(await demo.child.exited).toBe(130);
      expectNothingLeft(folder);
    },
    WHOLE_LIMIT_MS,
  );

  test(
    "the lead and another node die one after the other",
    async () => {
      const demo = startDemo("--steps", "80", "--kill", "n1@25,n3@55");
      expect(await demo.child.exited).toBe(0);
      await demo.told;
      expect(all(demo, "kill").map(({ node }) => node)).toEqual(["n1", "n3"]);
      expect(all(demo, "recovered").map(({ node }) => node)).toEqual(["n1", "n3"]);
      expect(digestOf(demo, "faulted")).toBe(digestOf(demo, "clean") as string);
      expectNothingLeft(folderOf(demo));
    },
    WHOLE_LIMIT_MS,
  );

  test(
    "a proxy and a program killed by hand on top of it change nothing",
    async () => {
      const demo = startDemo("--steps", "110", "--kill", "n2@85");
      for (const [step, role] of [
        [25, "proxyPid"],
        [55, "programPid"],
      ] as const) {
        await until(`step ${step}`, () => isTrainingAt(demo, step));
        const row = all(demo, "nodes")
          .at(-1)
          ?.nodes.find((node) => node.id === "n3" || node.id === "n4");
        const pid = row?.[role] ?? null;
        expect(pid).toBeNumber();
        if (pid !== null) process.kill(pid, "SIGKILL");
      }
      expect(await demo.child.exited).toBe(0);
      await demo.told;
      expect(digestOf(demo, "faulted")).toBe(digestOf(demo, "clean") as string);
      const end = all(demo, "run-end").find((event) => event.end.run === "faulted")?.end;
      expect(end?.stepsComputed).toBeGreaterThan(110);
      expectNothingLeft(folderOf(demo));
    },
    WHOLE_LIMIT_MS,
  );

  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    test(
      `${signal} in the middle ends it with ${code} and cleans up`,
      async () => {
        const demo = startDemo("--steps", "5000");
        await until("step 10", () => isTrainingAt(demo, 10));
        const folder = folderOf(demo);
        // Five agents, four proxies and four programs at the least.
        expect(marked(folder).length).toBeGreaterThanOrEqual(13);
        demo.child.kill(signal);
        expect(await demo.child.exited).toBe(code);
        expectNothingLeft(folder);
      },
      LIMIT_MS,
    );
  }

  test(
    "SIGKILL of the demo itself leaves nothing either",
    async () => {
      const demo = startDemo("--steps", "5000");
      await until("step 10", () => isTrainingAt(demo, 10));
      const folder = folderOf(demo);
      demo.child.kill("SIGKILL");
      await demo.child.exited;
      await until("everything gone", () => marked(folder).length === 0 && !existsSync(folder));
      await until(
        "no shared memory",
        () => !existsSync(`/dev/shm/holdfast-${folder.slice(folder.lastIndexOf("-") + 1)}`),
      );
    },
    LIMIT_MS,
  );

  test("a wrong command line is one line and exit code 2", async () => {
    for (const flags of [
      ["--kill", "n9@10"],
      ["--kill", "n2"],
      ["--kill", "n2@10,n2@20"],
      ["--kill", "n2@999999"],
      ["--faults", "0"],
      ["--steps", "many"],
      ["--sede", "4"],
    ]) {
      const demo = startDemo(...flags);
      const stderr = await new Response(demo.child.stderr).text();
      expect(await demo.child.exited).toBe(2);
      expect(stderr.trim().split("\n").length).toBeLessThanOrEqual(2);
      expect(stderr).toContain(flags[0] as string);
      expect(demo.events).toEqual([]);
    }
  });
});
