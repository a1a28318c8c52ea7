/**
 * Goal: the live view shows what it must at every size. Method: one story told from fixed events, drawn and compared with
 * the text in `golden/*.txt` (`UPDATE_GOLDEN=1` rewrites it); properties of size and colour for many sizes.
 */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DemoEvent, NodeRow, RunName } from "./events.ts";
import { plotCurve } from "./plot.ts";
import { EMPTY_STORY, type Story, tell } from "./story.ts";
import { summarize } from "./summary.ts";
import { describeHoldings, describePhases, render } from "./view.ts";

const STEPS = 400;

function node(id: number, change: Partial<NodeRow> = {}): NodeRow {
  return {
    id: `n${id}`,
    address: `127.0.7.${id}`,
    state: "alive",
    epoch: 5,
    isLead: id === 1,
    agentPid: 4000 + id,
    rank: id <= 4 ? id - 1 : null,
    programPid: id <= 4 ? 4200 + id : null,
    proxyPid: id <= 4 ? 4100 + id : null,
    holds:
      id <= 4
        ? [
            { rank: id - 1, versions: [3, 4, 5] },
            { rank: id % 4, versions: [5] },
          ]
        : [],
    ...change,
  };
}

function training(
  run: RunName,
  from: number,
  to: number,
): readonly (readonly [number, DemoEvent])[] {
  return Array.from({ length: to - from + 1 }, (_, i) => {
    const step = from + i;
    const loss = 2.3 * Math.exp(-step / 60) + 0.04 * (step % 3);
    return [1_000 + step * 15, { kind: "training", run, report: { event: "step", step, loss } }];
  });
}

function storyOf(events: readonly (readonly [number, DemoEvent])[]): Story {
  return events.reduce((story, [atMs, event]) => tell(story, { ...event, atMs }), EMPTY_STORY);
}

const BEGIN: DemoEvent = {
  kind: "begin",
  seed: 42,
  nodes: 5,
  ranks: 4,
  steps: STEPS,
  faults: 1,
  folder: "/tmp/holdfast-demo",
  replay: "--seed 42",
};
const VICTIMS = (["agent", "proxy", "program"] as const).map((role, index) => ({
  role,
  pid: 4003 + index * 100,
  startTicks: "1",
  isTheJobs: true,
}));

const UNTIL_KILL: readonly (readonly [number, DemoEvent])[] = [
  [0, BEGIN],
  [700, { kind: "nodes", nodes: [1, 2, 3, 4, 5].map((id) => node(id)) }],
  [800, { kind: "run", run: "faulted", job: "j-0a1b2c3d" }],
  ...training("faulted", 1, 210),
  [4_200, { kind: "kill", node: "n3", rank: 2, step: 210, victims: VICTIMS }],
];

const RECOVERED: readonly (readonly [number, DemoEvent])[] = [
  ...UNTIL_KILL,
  [4_203, { kind: "gone", node: "n3", pids: VICTIMS.map((victim) => victim.pid) }],
  [4_204, { kind: "decision", node: "n1", epoch: 5, phase: "suspect", text: "n3 closed its link" }],
  [4_260, { kind: "decision", node: "n1", epoch: 6, phase: "view", text: "n3 unreachable" }],
  [
    4_300,
    {
      kind: "nodes",
      nodes: [
        node(1, { epoch: 6 }),
        node(2, { epoch: 6 }),
        node(3, { state: "killed", rank: null, programPid: null, proxyPid: null, holds: [] }),
        node(4, { epoch: 6 }),
        node(5, { epoch: 6, rank: 2, programPid: 4999, proxyPid: 4105 }),
      ],
    },
  ],
  [
    4_500,
    {
      kind: "recovered",
      node: "n3",
      recovery: {
        epoch: 6,
        phases: [
          { phase: "detect", ms: 4 },
          { phase: "agree", ms: 56 },
          { phase: "restore", ms: 140 },
          { phase: "compute", ms: 100 },
        ],
        totalMs: 300,
        fromStep: 196,
        stepsAgain: 14,
      },
    },
  ],
  ...training("faulted", 197, 320),
];

const ENDED: readonly (readonly [number, DemoEvent])[] = [
  ...RECOVERED,
  ...training("faulted", 320, STEPS),
  ...(["faulted", "clean"] as const).flatMap((run): readonly (readonly [number, DemoEvent])[] => [
    ...(run === "clean"
      ? ([[8_000, { kind: "run", run, job: "j-99999999" }], ...training(run, 1, STEPS)] as const)
      : []),
    [
      run === "clean" ? 14_000 : 7_900,
      {
        kind: "run-end",
        end: {
          run,
          exitCode: 0,
          reason: null,
          ms: run === "clean" ? 6_100 : 7_100,
          stepsComputed: run === "clean" ? 400 : 414,
          digests: new Array(4).fill("5e".repeat(32)),
          accuracy: 0.9565,
        },
      },
    ],
  ]),
  [14_001, { kind: "verdict", exitCode: 0, lines: ["n3 died at work, and all is well"] }],
];

function expectGolden(name: string, lines: readonly string[]): void {
  const path = join(import.meta.dir, "golden", `${name}.txt`);
  const text = `${lines.join("\n")}\n`;
  if (process.env["UPDATE_GOLDEN"] === "1") {
    mkdirSync(join(import.meta.dir, "golden"), { recursive: true });
    writeFileSync(path, text);
  }
  expect(text).toBe(readFileSync(path, "utf8"));
}

const SIZE = { width: 100, height: 34 };

describe("view", () => {
  test("before anything happened", () => {
    expectGolden("view-empty", render(EMPTY_STORY, { width: 60, height: 12 }, false));
  });

  test("a node was just killed", () => {
    expectGolden("view-killed", render(storyOf(UNTIL_KILL), SIZE, false));
  });

  test("the job was rolled back and goes on", () => {
    expectGolden("view-recovered", render(storyOf(RECOVERED), SIZE, false));
  });

  test("the training without a fault, on a small terminal", () => {
    expectGolden("view-small", render(storyOf(ENDED), { width: 72, height: 20 }, false));
  });

  test("the summary", () => {
    expectGolden("summary", summarize(storyOf(ENDED)));
  });

  test("fills every size exactly and never exceeds it", () => {
    const story = storyOf(ENDED);
    for (let width = 1; width <= 160; width += 7) {
      for (let height = 1; height <= 60; height += 3) {
        const lines = render(story, { width, height }, false);
        expect(lines.length).toBe(height);
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
      }
    }
  });

  test("colours add nothing but colours, and are left out on request", () => {
    const story = storyOf(RECOVERED);
    const coloured = render(story, SIZE, true);
    expect(coloured.join("")).toContain("\u001b[31m");
    const bare = coloured.map((line) => Bun.stripANSI(line).trimEnd());
    expect(bare).toEqual([...render(story, SIZE, false)]);
    expect(render(story, SIZE, false).join("")).not.toContain("\u001b");
  });
});

describe("plot", () => {
  test("draws a falling line from the upper left to the lower right", () => {
    const plot = { width: 4, height: 2, xMax: 8, yMax: 7 };
    expect(plotCurve([7, 6, 5, 4, 3, 2, 1, 0], plot)).toEqual(["⠑⢄  ", "  ⠑⢄"]);
  });

  test("draws what is missing as blank and what is too high at the top", () => {
    const plot = { width: 2, height: 1, xMax: 4, yMax: 1 };
    expect(plotCurve([undefined, undefined, 99, 0], plot)).toEqual([" ⢁"]);
    expect(plotCurve([], plot)).toEqual(["  "]);
  });
});

describe("phases of a recovery", () => {
  const [kill] = storyOf(RECOVERED).kills;
  if (kill === undefined) throw new Error("no kill");

  test("are one line where there is room, and wrapped where there is not", () => {
    expect(describePhases(kill, 100)).toEqual([
      "300 ms = detect 4 · agree 56 · restore 140 · compute 100",
    ]);
    expect(describePhases(kill, 30)).toEqual([
      "300 ms = detect 4 · agree 56 ·",
      "restore 140 · compute 100",
    ]);
  });

  test("are not told before the recovery is over", () => {
    expect(describePhases({ ...kill, recovery: null }, 100)).toEqual(["recovering"]);
  });
});

describe("holdings", () => {
  test("runs of versions are joined", () => {
    expect(describeHoldings([{ rank: 0, versions: [9, 5, 6, 7] }])).toBe("r0 v5-7 9");
    expect(describeHoldings([])).toBe("");
  });
});
