/**
 * Names and the texts they travel in: SPIFFE ids, one-time tokens, claims. What is not exactly one of ours is none.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  audiencesOf,
  checkClaims,
  doorAudience,
  makeClaims,
  readClaims,
  SKEW_MS,
  TOKEN_LIFE_MS,
} from "../net/token.ts";
import { type Principal, ROLES, spiffeId } from "./identity.ts";
import { formatJoinToken, type JoinToken, parseJoinToken } from "./join-token.ts";
import { isClusterName, isName, LOCAL_CLUSTER, parseSpiffeId } from "./names.ts";

const name = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/);
const clusterName = fc
  .stringMatching(/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/)
  .filter((one) => one !== LOCAL_CLUSTER);
const principal: fc.Arbitrary<Principal> = fc.record({
  cluster: clusterName,
  role: fc.constantFrom(...ROLES),
  name,
});

describe("a principal", () => {
  test("is read from its id as it was written", () => {
    fc.assert(fc.property(principal, (one) => expect(parseSpiffeId(spiffeId(one))).toEqual(one)));
  });

  test("is not read from anything else", () => {
    for (const id of [
      "",
      "spiffe://",
      "spiffe://c1/agent",
      "spiffe://c1/agent/",
      "spiffe://c1/agent/n1/",
      "spiffe://c1/agent/n1/n2",
      "spiffe://c1/king/n1",
      "spiffe://C1/agent/n1",
      "spiffe://c1/agent/n 1",
      "spiffe://c1/agent/..",
      "spiffe://c1/agent/-n1",
      "spiffe://c1/agent/n1?x=1",
      "spiffe://u@c1/agent/n1",
      "spiffe://c1:80/agent/n1",
      "https://c1/agent/n1",
      " spiffe://c1/agent/n1",
      "spiffe://c1/agent/n1\n",
      `spiffe://c1/agent/${"n".repeat(65)}`,
      "spiffe://c1/agent/*",
      "spiffe://c1/authority/door",
    ]) {
      expect([id, parseSpiffeId(id)]).toEqual([id, null]);
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        const read = parseSpiffeId(text);
        expect(read === null || spiffeId(read) === text).toBe(true);
      }),
    );
  });

  test("has a name of a small alphabet, and a cluster that is not the one without an authority", () => {
    for (const good of ["n1", "a", "n-1.rack_2", "N".repeat(64)]) expect(isName(good)).toBe(true);
    for (const bad of ["", ".", "-a", "a-", "a/b", "a b", "ä", "N".repeat(65), "a\n"]) {
      expect([bad, isName(bad)]).toEqual([bad, false]);
    }
    for (const good of ["c1", "rack-1.example", "c"]) expect(isClusterName(good)).toBe(true);
    for (const bad of ["local", "", "C1", "c_1", "c1.", ".c1", "c".repeat(64), "c 1"]) {
      expect([bad, isClusterName(bad)]).toEqual([bad, false]);
    }
  });
});

describe("the text of a one-time token", () => {
  const token: fc.Arbitrary<JoinToken> = fc.record({
    fingerprint: fc.stringMatching(/^[0-9a-f]{64}$/),
    cluster: clusterName,
    id: fc.stringMatching(/^[0-9a-f]{16}$/),
    secret: fc.stringMatching(/^[A-Za-z0-9_-]{43}$/),
    role: fc.constantFrom(...ROLES),
    name: fc.option(name),
  });

  test("is read as it was written, with a line's end or without", () => {
    fc.assert(
      fc.property(token, (one) => {
        const text = formatJoinToken(one);
        expect(text).toMatch(/^hf1_[A-Za-z0-9_-]+$/);
        expect(parseJoinToken(text)).toEqual(one);
        expect(parseJoinToken(` ${text}\r\n`)).toEqual(one);
      }),
    );
  });

  test("that was cut, or is something else, is no token", () => {
    fc.assert(
      fc.property(token, fc.nat(), (one, at) => {
        const text = formatJoinToken(one);
        expect(parseJoinToken(text.slice(0, at % text.length))).toBeNull();
      }),
    );
    fc.assert(fc.property(fc.string(), (text) => expect(parseJoinToken(text)).toBeNull()));
    fc.assert(fc.property(fc.string(), (text) => expect(parseJoinToken(`hf1_${text}`)).toBeNull()));
    expect(parseJoinToken(`hf1_${"A".repeat(2_000)}`)).toBeNull();
  });
});

describe("claims", () => {
  const self: Principal = { cluster: "c1", role: "manager", name: "m1" };

  test("hold for whom and when they were made, give or take a minute", () => {
    const claims = makeClaims("spiffe://c1/manager/*", 1_000_000);
    const at = (nowMs: number): string => {
      const checked = checkClaims(claims, audiencesOf(self), nowMs);
      return checked.ok ? "ok" : checked.error.kind;
    };
    expect(at(1_000_000 - SKEW_MS - 1)).toBe("not-yet-valid");
    expect(at(1_000_000 - SKEW_MS)).toBe("ok");
    expect(at(1_000_000 + TOKEN_LIFE_MS + SKEW_MS - 1)).toBe("ok");
    expect(at(1_000_000 + TOKEN_LIFE_MS + SKEW_MS)).toBe("expired");
    const door = checkClaims(claims, [doorAudience("c1")], 1_000_000);
    expect(door.ok ? "ok" : door.error.kind).toBe("wrong-audience");
  });

  test("that end before they begin are none", () => {
    const claims = { audience: "spiffe://c1/manager/m1", issuedMs: 10, expiresMs: 10 };
    const checked = checkClaims(claims, audiencesOf(self), 10);
    expect(checked.ok ? "ok" : checked.error.kind).toBe("malformed");
  });

  test("are read from their own JSON, and from nothing else", () => {
    const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
    const claims = makeClaims("spiffe://c1/manager/m1", 1);
    expect(readClaims(encode(claims))).toEqual(claims);
    expect(readClaims(new Uint8Array([0xff, 0xfe]))).toBeNull();
    for (const bad of [null, {}, { ...claims, issuedMs: "1" }, { ...claims, expiresMs: null }]) {
      expect(readClaims(encode(bad))).toBeNull();
    }
  });
});
