/**
 * Goal: nothing of a demo stays. Method: real processes that carry the mark, some of them orphans; they must be gone, and their
 * neighbours without the mark must not.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { choosePlace } from "./agents.ts";
import { goneOf, killAll, victimsOf } from "./killing.ts";
import { descendantsOf, isGone, processesMarked, readProcess } from "./process-table.ts";
import { killMarked, MARK_NAME } from "./workshop.ts";

const started: Bun.Subprocess[] = [];

function sleeper(env: Record<string, string>, script = "sleep 60 & sleep 60"): Bun.Subprocess {
  const child = Bun.spawn({
    cmd: ["sh", "-c", script],
    env: { PATH: process.env["PATH"] ?? "/bin:/usr/bin", ...env },
    stdio: ["ignore", "ignore", "ignore"],
    detached: true,
  });
  started.push(child);
  return child;
}

async function until(condition: () => boolean): Promise<void> {
  const limitMs = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > limitMs) throw new Error("the condition did not come true in 5 s");
    await Bun.sleep(5);
  }
}

afterEach(() => {
  for (const child of started.splice(0)) {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // Its group is gone.
    }
  }
});

describe("workshop", () => {
  test("kills what carries the mark, orphans included, and nothing else", async () => {
    const mark = crypto.randomUUID();
    const text = `${MARK_NAME}=${mark}`;
    const marked = sleeper({ [MARK_NAME]: mark });
    const other = sleeper({ [MARK_NAME]: `${mark}-other` });
    await until(() => processesMarked(text).length === 3);
    const all = processesMarked(text).map((pid) => readProcess(pid));
    process.kill(marked.pid, "SIGKILL");
    await killMarked([MARK_NAME, mark]);
    expect(all.every((entry) => entry !== null && isGone(entry))).toBe(true);
    expect(processesMarked(text)).toEqual([]);
    expect(readProcess(other.pid)?.state).not.toBe("Z");
    expect(other.exitCode).toBeNull();
  });
});

describe("place", () => {
  test("a port that somebody has is passed over", async () => {
    const first = choosePlace();
    const hostname = `127.${first.network[0]}.${first.network[1]}.1`;
    const socket = { data: () => undefined };
    const taken = Bun.listen({ hostname, port: first.port, socket });
    try {
      expect(choosePlace().port).toBe(first.port + 1);
    } finally {
      taken.stop(true);
    }
  });
});

describe("killing", () => {
  test("a node is its agent and all below it, each with its role", async () => {
    const agent = sleeper({}, "sh -c 'sleep 60 & sleep 60' & sleep 60");
    await until(() => descendantsOf(agent.pid).length === 4);
    const [program, ...rest] = descendantsOf(agent.pid);
    if (program === undefined) throw new Error("no descendant");
    const target = { job: "j-00000000", agentPid: agent.pid, proxyPid: null };
    const victims = victimsOf({ ...target, programPid: program.pid });
    expect(victims.map(({ role }) => role)).toEqual([
      "agent",
      "program",
      ...rest.map(() => "helper" as const),
    ]);
    // None of them has anything of that job mapped; the agent counts because we started it.
    expect(victims.map(({ isTheJobs }) => isTheJobs)).toEqual([true, ...new Array(4).fill(false)]);
    killAll(victims);
    expect((await goneOf(victims, 5_000)).length).toBe(5);
  });

  test("a process that took over a pid is neither killed nor taken for the dead one", async () => {
    const child = sleeper({}, "exec sleep 60");
    const entry = readProcess(child.pid);
    if (entry === null) throw new Error("no process");
    const earlier = { role: "agent", pid: child.pid, startTicks: "1", isTheJobs: true } as const;
    killAll([earlier]);
    expect(child.exitCode).toBeNull();
    expect(isGone(earlier)).toBe(true);
    expect(isGone(entry)).toBe(false);
    expect(await goneOf([{ ...earlier, startTicks: entry.startTicks }], 20)).toEqual([]);
  });

  test("an agent that is no more gives no victims", () => {
    expect(
      victimsOf({ job: "j-0", agentPid: 2 ** 22 + 1, proxyPid: null, programPid: null }),
    ).toEqual([]);
  });
});
