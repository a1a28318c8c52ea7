/**
 * Goal: what an agent answers and what a command makes of it come from one table.
 * Method: every row goes there and back.
 */
import { describe, expect, test } from "bun:test";
import {
  PROBLEM_TYPE,
  PROBLEMS,
  type ProblemKind,
  problemResponse,
  readProblem,
} from "./problem.ts";

describe("a problem", () => {
  test("of every kind is read as what was answered", async () => {
    for (const kind of Object.keys(PROBLEMS) as ProblemKind[]) {
      const response = problemResponse({ kind, detail: "why" });
      expect(response.status).toBe(PROBLEMS[kind].status);
      expect(response.headers.get("content-type")).toBe(PROBLEM_TYPE);
      expect(readProblem(response.status, await response.text())).toEqual({ kind, detail: "why" });
    }
  });

  test("that is not ours still has a kind, by its status", () => {
    expect(readProblem(413, "<html>").kind).toBe("too-large");
    expect(readProblem(418, "{}").kind).toBe("internal");
    expect(readProblem(404, '{"kind":"toString"}').kind).toBe("not-found");
  });

  test("has a status and an exit code that are never success", () => {
    for (const { status, exitCode } of Object.values(PROBLEMS)) {
      expect(status).toBeGreaterThanOrEqual(400);
      expect(exitCode).toBeGreaterThan(1);
    }
  });
});
