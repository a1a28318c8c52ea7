/**
 * The commands as a user types them, each in a process of its own: a cluster is made, nodes join, somebody is put out, the
 * authority takes turns; and one clear line with its exit code for what goes wrong.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { selfCommand, selfEnvironment } from "../../runtime/io/self-command.ts";
import { EXIT_CONFIG, EXIT_USAGE } from "../cli-error.ts";
import type { IdentityReport } from "./own.ts";

const LIMIT_MS = 60_000;
const root = mkdtempSync(join(tmpdir(), "holdfast-cli-identity-"));
const home = join(root, "n1");
const env = { ...selfEnvironment(), XDG_CONFIG_HOME: join(root, "config") };
let doorAt = "";
let serving: ReturnType<typeof startServing> | null = null;

interface Said {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

async function holdfast(args: readonly string[], input = ""): Promise<Said> {
  const child = Bun.spawn([...selfCommand(args)], {
    env,
    stdin: Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    timeout: LIMIT_MS,
  });
  const texts = [new Response(child.stdout).text(), new Response(child.stderr).text()];
  const [out = "", error = ""] = await Promise.all(texts);
  return { code: await child.exited, out: out.trim(), error: error.trim() };
}

function startServing() {
  return Bun.spawn(
    [...selfCommand(["identity", "serve", "--listen", "127.0.0.1:0", "--data", home])],
    { env, stdin: "ignore", stdout: "ignore", stderr: "pipe" },
  );
}

async function doorOf(child: ReturnType<typeof startServing>): Promise<string> {
  let text = "";
  for await (const chunk of child.stderr) {
    text += new TextDecoder().decode(chunk);
    const found = /is open at (\S+)/.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  throw new Error(`the door did not open: ${text}`);
}

async function show(data: string): Promise<IdentityReport> {
  return JSON.parse((await holdfast(["identity", "show", "--json", "--data", data])).out);
}

beforeAll(async () => {
  const made = await holdfast(["init", "--cluster", "rack1", "--id", "n1", "--data", home]);
  if (made.code !== 0) throw new Error(made.error);
  serving = startServing();
  doorAt = await doorOf(serving);
}, LIMIT_MS);

afterAll(async () => {
  serving?.kill("SIGTERM");
  expect(await serving?.exited).toBe(0);
  rmSync(root, { recursive: true, force: true });
}, LIMIT_MS);

async function token(...flags: readonly string[]): Promise<string> {
  const made = await holdfast(["identity", "token", "--data", home, ...flags]);
  expect(made).toMatchObject({ code: 0 });
  expect(made.out).toMatch(/^hf1_[A-Za-z0-9_-]+$/);
  return made.out;
}

function joining(name: string, text: string): Promise<Said> {
  const data = join(root, name);
  return holdfast(["join", doorAt, "--token-file", "-", "--id", name, "--data", data], text);
}

describe("a cluster", () => {
  test(
    "is made once, and said again",
    async () => {
      const again = await holdfast(["init", "--id", "n1", "--data", home]);
      expect(again.code).toBe(0);
      expect(again.out.match(/^there:/gm)).toHaveLength(3);
      expect(again.out).toContain("holdfast identity token");
      const own = await holdfast(["identity", "show"]);
      expect(own.out).toMatch(/^operator \S+ of cluster rack1\n/);
    },
    LIMIT_MS,
  );

  test(
    "takes in a node by a token, once, and puts it out",
    async () => {
      const text = await token();
      expect(await joining("n2", text)).toMatchObject({ code: 0 });
      expect(await joining("n3", text)).toMatchObject({ code: 77 });
      const report = await show(join(root, "n2"));
      expect(report).toMatchObject({
        cluster: "rack1",
        role: "agent",
        name: "n2",
        doors: [doorAt],
      });
      expect(report.certificates.map(({ purpose }) => purpose)).toEqual(["tls", "sign"]);
      const renewed = await holdfast(["identity", "renew", "--data", join(root, "n2")]);
      expect(renewed.code).toBe(0);
      expect(await show(join(root, "n2"))).not.toEqual(report);
      const revoked = await holdfast(["identity", "revoke", "n2", "--data", home]);
      expect(revoked.out).toContain("agent n2 is revoked (compromised)");
      const late = await holdfast(["identity", "renew", "--data", join(root, "n2")]);
      expect(late).toMatchObject({ code: 77 });
      expect(late.error).toContain("is revoked");
      const listed = await holdfast(["identity", "list", "--data", home]);
      expect(listed.out).toMatch(/agent +n2 +compromised/);
      expect((await show(home)).revoked).toHaveLength(4);
    },
    LIMIT_MS,
  );

  test(
    "takes in a person, into the person's own folder",
    async () => {
      const person = { ...env, XDG_CONFIG_HOME: join(root, "other") };
      const text = await token("--role", "operator", "--name", "bob");
      const child = Bun.spawn([...selfCommand(["join", doorAt, "--token", text])], {
        env: person,
        stdout: "pipe",
      });
      expect(await new Response(child.stdout).text()).toContain("joined: operator bob");
      expect(await child.exited).toBe(0);
    },
    LIMIT_MS,
  );

  test(
    "has news carried by hand where no door is reached",
    async () => {
      expect(await joining("n5", await token())).toMatchObject({ code: 0 });
      await holdfast(["identity", "rotate", "key", "--data", home]);
      const bundle = await holdfast(["identity", "bundle", "--data", home]);
      expect(bundle.out).toContain('"clusterKeys":[]');
      const adopt = ["identity", "adopt", "-", "--data", join(root, "n5")];
      expect((await holdfast(adopt, bundle.out)).out).toMatch(/^bundle \d+ is believed$/);
      expect((await holdfast(adopt, bundle.out)).out).toMatch(/^nothing new/);
      const forged = bundle.out.replace(/"payload":"[^"]+"/, '"payload":"e30="');
      expect(await holdfast(adopt, forged)).toMatchObject({ code: EXIT_CONFIG });
    },
    LIMIT_MS,
  );

  test(
    "gets a new authority in three steps",
    async () => {
      const rotate = (step: string, ...more: readonly string[]): Promise<Said> =>
        holdfast(["identity", "rotate", step, "--data", home, ...more]);
      expect(await rotate("end")).toMatchObject({ code: 77 });
      expect(await rotate("begin")).toMatchObject({ code: 0 });
      expect((await show(home)).authorities.map(({ isIssuing }) => isIssuing)).toEqual([
        true,
        false,
      ]);
      expect(await rotate("switch")).toMatchObject({ code: 0 });
      const early = await rotate("end");
      expect(early.code).toBe(77);
      expect(early.error).toContain("not renewed yet");
      const authority = join(home, "identity", "authority");
      expect(await holdfast(["identity", "renew", "--authority", authority])).toMatchObject({
        code: 0,
      });
      expect(await rotate("end", "--force")).toMatchObject({ code: 0 });
      expect((await show(home)).authorities).toHaveLength(1);
    },
    LIMIT_MS,
  );
});

describe("one line and an exit code", () => {
  const cases: readonly (readonly [string, readonly string[], number, string])[] = [
    [
      "no identity",
      ["identity", "show", "--data", join(root, "none")],
      EXIT_CONFIG,
      "holdfast init",
    ],
    [
      "no authority",
      ["identity", "token", "--data", join(root, "none")],
      EXIT_CONFIG,
      "--authority",
    ],
    [
      "a part of a token",
      ["join", "127.0.0.1:1", "--token", "hf1_abc"],
      EXIT_USAGE,
      "begins with hf1_",
    ],
    ["no token", ["join", "127.0.0.1:1"], EXIT_USAGE, "--token"],
    ["a door that is a name", ["join", "host", "--token", "x"], EXIT_USAGE, "ADDRESS:PORT"],
    [
      "a cluster's name",
      ["init", "--cluster", "Rack 1", "--data", join(root, "x")],
      EXIT_USAGE,
      "small letters",
    ],
    [
      "the cluster local",
      ["init", "--cluster", "local", "--data", join(root, "x")],
      EXIT_USAGE,
      "not local",
    ],
    ["a node's id", ["init", "--id", "../n1", "--data", join(root, "x")], EXIT_USAGE, "not a name"],
    ["a time", ["identity", "token", "--ttl", "soon", "--data", home], EXIT_USAGE, "90m"],
    [
      "a role",
      ["identity", "token", "--role", "king", "--data", home],
      EXIT_USAGE,
      "Allowed choices",
    ],
    [
      "nobody",
      ["identity", "revoke", "n99", "--data", home],
      66,
      "no certificate was issued to n99",
    ],
    [
      "another cluster",
      ["init", "--cluster", "c2", "--id", "n1", "--data", home],
      77,
      "cluster rack1",
    ],
  ];
  for (const [what, args, code, part] of cases) {
    test(
      `tell what is wrong with ${what}`,
      async () => {
        const said = await holdfast(args);
        expect(said).toMatchObject({ code, out: "" });
        expect(said.error.split("\n")).toHaveLength(1);
        expect(said.error).toStartWith("holdfast: ");
        expect(said.error).toContain(part);
      },
      LIMIT_MS,
    );
  }

  test(
    "tell of a file that is no bundle",
    async () => {
      const path = join(root, "bundle");
      writeFileSync(path, "{");
      const said = await holdfast(["identity", "adopt", path, "--data", home]);
      expect(said).toMatchObject({ code: EXIT_USAGE });
      expect(said.error).not.toContain("defect");
    },
    LIMIT_MS,
  );
});
