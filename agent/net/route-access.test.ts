/** Which row of a table a request falls under. */
import { describe, expect, test } from "bun:test";
import { accessOf, type RouteAccess } from "./route-access.ts";

const row = (method: RouteAccess["method"], path: string): RouteAccess => ({
  ...{ method, path, roles: ["agent"], bodyBytesMax: 1 },
  rate: { perSecond: 1, burst: 1 },
});
const rows = [
  row("GET", "/v1/jobs/:id"),
  row("POST", "/v1/jobs"),
  row("GET", "/v1/jobs/:id/output"),
];

describe("a request falls under the row", () => {
  test("of its method and path, a name standing for exactly one part", () => {
    expect(accessOf(rows, "GET", "/v1/jobs/j-1")).toBe(rows[0] ?? null);
    expect(accessOf(rows, "HEAD", "/v1/jobs/j-1")).toBe(rows[0] ?? null);
    expect(accessOf(rows, "POST", "/v1/jobs")).toBe(rows[1] ?? null);
    expect(accessOf(rows, "GET", "/v1/jobs/j-1/output")).toBe(rows[2] ?? null);
  });

  test("or under none, when anything differs", () => {
    for (const [method, path] of [
      ["DELETE", "/v1/jobs/j-1"],
      ["GET", "/v1/jobs"],
      ["GET", "/v1/jobs/"],
      ["GET", "/v1/jobs/j-1/"],
      ["GET", "/v1/jobs/j-1/output/x"],
      ["GET", "//v1/jobs/j-1"],
      ["get", "/v1/jobs/j-1"],
    ] as const) {
      expect([method, path, accessOf(rows, method, path)]).toEqual([method, path, null]);
    }
  });
});
