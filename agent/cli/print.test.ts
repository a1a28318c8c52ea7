/**
 * Goal: what people read lines up and says what is; what they type is understood or refused with a reason.
 * Method: the pure functions of the commands.
 */
import { describe, expect, test } from "bun:test";
import { InvalidArgumentError } from "commander";
import { formatCursor, parseCursor } from "../job/io/output-stream.ts";
import { formatJobs } from "./job.ts";
import { formatTable, formatVersions } from "./print.ts";
import { parseDuration } from "./run.ts";
import { formatStatus } from "./status.ts";
import { formatWhatIf } from "./what-if.ts";

describe("a table", () => {
  test("has columns that line up and no blanks at the end", () => {
    expect(
      formatTable(
        ["A", "LONG"],
        [
          ["long cell", "x"],
          ["y", ""],
        ],
      ),
    ).toBe(["A          LONG", "long cell  x", "y"].join("\n"));
  });
});

describe("versions", () => {
  test("are shortened where they follow each other", () => {
    expect(formatVersions([])).toBe("-");
    expect(formatVersions([9])).toBe("9");
    expect(formatVersions([9, 8, 7, 5, 2, 1])).toBe("9–7, 5, 2–1");
  });
});

describe("a time", () => {
  test("is read with its unit, and refused without", () => {
    expect(["500ms", "2s", "1.5m", "1h"].map(parseDuration)).toEqual([
      500, 2000, 90_000, 3_600_000,
    ]);
    for (const wrong of ["2", "s", "-2s", "2 s", "2d", ""]) {
      expect(() => parseDuration(wrong)).toThrow(InvalidArgumentError);
    }
  });
});

describe("a cursor", () => {
  test("survives the way; what does not parse is left out", () => {
    const cursor = new Map([
      ["n1", 4_294_967_299],
      ["n2", 0],
    ]);
    expect(parseCursor(formatCursor(cursor))).toEqual(cursor);
    expect(parseCursor("n1:x,:3,n2:7,,n3")).toEqual(new Map([["n2", 7]]));
  });
});

describe("status", () => {
  test("names each node and each rank, and why a node is not well", () => {
    const member = { role: "worker" as const, port: 7400, incarnation: 1 };
    const text = formatStatus({
      asked: "n1",
      epoch: 7,
      lead: "n1",
      jobs: [],
      nodes: [
        {
          ...member,
          ...{ id: "n1", address: "10.0.0.1", state: "alive", reason: null, instance: "a" },
          ...{ epoch: 7, lead: "n1", pid: 11, version: "0", holds: [], members: [] },
          load: { cores: 1, freeMemoryBytes: 0, loadAverage: 0 },
          ranks: [
            { job: "j-1", rank: 0, programPid: 21, proxyPid: 31, epoch: 7, sealed: [3, 2] },
            { job: "j-2", rank: 4, programPid: 22, proxyPid: 32, epoch: 7, sealed: [] },
          ],
        },
        {
          ...member,
          ...{ id: "n2", address: "10.0.0.2", state: "dead", reason: "its port refuses" },
          ...{ epoch: 0, pid: null, ranks: [] },
        },
      ],
    });
    expect(text.split("\n").map((line) => line.replace(/ +/g, " "))).toEqual([
      "epoch 7, lead n1",
      "",
      "NODE ADDRESS STATE EPOCH AGENT JOB/RANK PROGRAM PROXY SEALED",
      "n1 10.0.0.1:7400 alive 7 11 j-1/0 21 31 3–2",
      " j-2/4 22 32 -",
      "n2 10.0.0.2:7400 dead - - - - - -",
      "n2: its port refuses",
    ]);
  });
});

describe("answers about jobs", () => {
  test("say what to do when there is none", () => {
    expect(formatJobs([])).toContain("holdfast run");
  });

  test("tell the fate of each after a loss", () => {
    const fate = { version: null, lossMs: null, placement: ["n1"], why: ["because"] };
    const text = formatWhatIf({
      lost: ["n2" as never],
      survivors: ["n1" as never],
      hasMajority: false,
      jobs: [
        { ...fate, job: "j-1", fate: "frozen", placement: [] },
        {
          ...fate,
          job: "j-2",
          fate: "rolled-back",
          version: 4 as never,
          lossMs: 1234,
          placement: [],
        },
        { ...fate, job: "j-3", fate: "lost", placement: [] },
      ],
    });
    expect(text).toContain("without n2: n1 go on, but they are no majority");
    expect(text).toContain("j-1 freezes until nodes come back\n  because");
    expect(text).toContain("j-2 restarts from version 4, 1.2 s of work lost");
    expect(text).toContain("j-3 would not survive");
  });
});
