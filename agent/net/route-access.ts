/**
 * Who may ask which route, how often, and how much may be sent with it: one row a route, matched here.
 *
 * Decides only. What is in no row is for nobody: a route that was forgotten is refused rather than open. Paths are written as
 * Hono writes them; `:name` stands for one part. O(rows) a request, some dozens.
 */
import type { PrincipalRole } from "../identity/identity.ts";
import type { RateLimits } from "./token-bucket.ts";

export interface RouteAccess {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS";
  readonly path: string;
  /** `member`: whoever has a certificate of the cluster, without a token. */
  readonly roles: readonly PrincipalRole[] | "member";
  readonly rate: RateLimits;
  /** null: the route bounds what it reads by itself. */
  readonly bodyBytesMax: number | null;
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.length !== given.length) return false;
  return wanted.every((part, index) =>
    part.startsWith(":") ? given[index] !== "" : part === given[index],
  );
}

/** The first row that fits; HEAD asks what GET does. */
export function accessOf(
  rows: readonly RouteAccess[],
  method: string,
  path: string,
): RouteAccess | null {
  const asked = method === "HEAD" ? "GET" : method;
  return rows.find((row) => row.method === asked && matches(row.path, path)) ?? null;
}
