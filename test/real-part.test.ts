/**
 * Goal: a missing part never looks like a passed test. Method: a registrar that writes down what would be registered.
 */
import { describe, expect, test } from "bun:test";
import { hasCommand, type Registrar, realPart } from "./real-part.ts";

function registrar(isCi: boolean): { readonly lines: string[]; readonly registrar: Registrar } {
  const lines: string[] = [];
  return {
    lines,
    registrar: {
      isCi,
      run: (name, body) => {
        try {
          void body();
          lines.push(`pass ${name}`);
        } catch (error) {
          lines.push(`fail ${name}: ${(error as Error).message}`);
        }
      },
      skip: (name) => lines.push(`skip ${name}`),
    },
  };
}

describe("a test of a real part", () => {
  test("runs where the part is", () => {
    const seen = registrar(false);
    realPart("x", () => true, "get x", seen.registrar)("works", () => undefined);
    expect(seen.lines).toEqual(["pass works"]);
  });

  test("is skipped by the part's name where it is not", () => {
    const seen = registrar(false);
    realPart("x", () => false, "get x", seen.registrar)("works", () => undefined);
    expect(seen.lines).toEqual(["skip works [no x: get x]"]);
  });

  test("fails under CI where the part is not", () => {
    const seen = registrar(true);
    realPart("x", () => false, "get x", seen.registrar)("works", () => undefined);
    expect(seen.lines).toEqual(["fail works [needs x]: x is missing on this machine: get x"]);
  });

  test("counts a probe that throws as a missing part", () => {
    const seen = registrar(true);
    const part = realPart(
      "x",
      () => {
        throw new Error("no such thing");
      },
      "get x",
      seen.registrar,
    );
    part("works", () => undefined);
    expect(seen.lines[0]).toStartWith("fail works");
  });

  test("finds a command that is there and no other", () => {
    expect(hasCommand("sh")).toBe(true);
    expect(hasCommand("no-such-command-at-all")).toBe(false);
  });
});
