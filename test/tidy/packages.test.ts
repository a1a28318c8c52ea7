/**
 * Goal: `npm ci` does the same everywhere. Method: read package.json and the lock file; bad samples of each kind.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../steps.ts";
import {
  hostsIn,
  type Lock,
  looseVersions,
  type Manifest,
  missingPlatforms,
  staleLocks,
} from "./packages.ts";

const read = (name: string): unknown => JSON.parse(readFileSync(join(ROOT, name), "utf8"));
const lock = read("package-lock.json") as Lock;
const manifest = read("package.json") as Manifest;

test("the lock file names no host", () => {
  expect(hostsIn(lock)).toEqual([]);
  const bad: Lock = { packages: { "node_modules/a": { resolved: "https://example.org/a.tgz" } } };
  expect(hostsIn(bad)).toHaveLength(1);
});

test("the lock file has the packages of every platform", () => {
  expect(Object.keys(lock.packages)).toContain("node_modules/@oven/bun-linux-aarch64");
  expect(missingPlatforms(lock)).toEqual([]);
  const bad: Lock = {
    packages: { "node_modules/bun": { optionalDependencies: { "@oven/bun-linux-x64": "1.0.0" } } },
  };
  expect(missingPlatforms(bad)).toEqual(["node_modules/bun: @oven/bun-linux-x64 is not locked"]);
});

test("every direct dependency is one exact version, and the lock has it", () => {
  expect(looseVersions(manifest)).toEqual([]);
  expect(staleLocks(manifest, lock)).toEqual([]);
  const bad: Manifest = { dependencies: { a: "^1.0.0" }, devDependencies: {} };
  expect(looseVersions(bad)).toHaveLength(1);
  expect(staleLocks(bad, lock)).toHaveLength(1);
});
