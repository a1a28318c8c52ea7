/**
 * Goal: whatever is wrong at the start of an agent or in a command line is one line that names it, and a code other than 0.
 * Method: real processes that are expected to end; what they must not touch is compared before and after.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Finished, holdfast, MAIN, type TestAgent, TestCluster } from "./test-cluster.ts";

const cluster = new TestCluster();
let running: TestAgent;

beforeAll(async () => {
  running = cluster.start(1);
  await cluster.settle([running]);
}, 20_000);

afterAll(() => cluster.close());

function oneLine(ended: Finished, code: number): string {
  const lines = ended.stderr.trimEnd().split("\n");
  expect(lines).toHaveLength(1);
  expect(ended.code).toBe(code);
  return lines[0] ?? "";
}

const place = (index: number, data: string) => [
  ...["agent", "--id", `n${index}`, "--address", cluster.addressOf(index)],
  ...["--data", join(cluster.folder, data)],
];

describe("an agent", () => {
  test("on a data folder in use names the folder and the pid", async () => {
    const line = oneLine(await holdfast(place(2, "n1")), 78);
    expect(line).toContain(`is in use by the agent with pid ${running.child.pid}`);
    expect((await running.node())?.state).toBe("alive");
  });

  test("on a port in use names the address and what to do", async () => {
    const line = oneLine(await holdfast([...place(1, "other")]), 78);
    expect(line).toContain(`${running.at} (TCP) is in use by another program`);
    expect(line).toContain("--port");
  });

  test("on an address of another machine says so", async () => {
    const args = ["agent", "--id", "n9", "--insecure", "--address", "192.0.2.1", "--data"];
    const line = oneLine(await holdfast([...args, join(cluster.folder, "x")]), 78);
    expect(line).toContain("192.0.2.1 is no address of this machine");
  });

  test("on an address that others reach, without an identity, names the remedy", async () => {
    const args = ["agent", "--id", "n9", "--address", "192.0.2.1", "--data"];
    const line = oneLine(await holdfast([...args, join(cluster.folder, "x")]), 78);
    expect(line).toContain("agent n9 has no identity");
    expect(line).toContain("holdfast join");
    expect(line).toContain("--insecure");
  });

  test("on a folder of an unknown format touches nothing", async () => {
    const folder = join(cluster.folder, "old");
    mkdirSync(folder);
    writeFileSync(join(folder, "format"), "holdfast data 0\n");
    writeFileSync(join(folder, "precious"), "work of years");
    const line = oneLine(await holdfast(place(2, "old")), 78);
    expect(line).toContain('has the format "holdfast data 0", this agent writes "holdfast data 1"');
    expect(readdirSync(folder).sort()).toEqual(["format", "precious"]);
    expect(readFileSync(join(folder, "precious"), "utf8")).toBe("work of years");
  });

  test("on a folder of somebody else refuses it", async () => {
    const folder = join(cluster.folder, "home");
    mkdirSync(folder);
    writeFileSync(join(folder, "letters.txt"), "dear");
    const line = oneLine(await holdfast(place(2, "home")), 78);
    expect(line).toContain("is not empty and no data folder of holdfast");
    expect(readdirSync(folder)).toEqual(["letters.txt"]);
  });

  test("on a file in place of a folder says so", async () => {
    writeFileSync(join(cluster.folder, "file"), "");
    expect(oneLine(await holdfast(place(2, "file")), 78)).toContain("a file is in its place");
  });

  test("under another id than its data folder's says whose it is", async () => {
    const stopped = cluster.start(7);
    await cluster.settle([running, stopped]);
    await stopped.kill("SIGTERM");
    const line = oneLine(await holdfast(place(8, "n7")), 78);
    expect(line).toContain("belongs to node n7, not n8");
  }, 20_000);

  test("with bad TOML names file and line", async () => {
    const path = join(cluster.folder, "bad.toml");
    writeFileSync(path, 'id = "n1"\nport = "many"\n');
    expect(oneLine(await holdfast(["agent", "--config", path]), 78)).toContain(`${path}:2: port: `);
    writeFileSync(path, 'id = "n1"\n\naddress = 127.0.0.1\n');
    expect(oneLine(await holdfast(["agent", "--config", path]), 78)).toContain(`${path}:3: `);
    const missing = await holdfast(["agent", "--config", "/no/such.toml"]);
    expect(oneLine(missing, 78)).toContain("there is no such file");
  });
});

describe("an agent from a file", () => {
  test("starts, and a flag wins over the file", async () => {
    const path = join(cluster.folder, "good.toml");
    const settings = {
      id: "n20",
      address: cluster.addressOf(19),
      port: cluster.port,
      data: join(cluster.folder, "n20"),
      join: [running.at],
    };
    const toml = Object.entries(settings).map(
      ([key, value]) => `${key} = ${JSON.stringify(value)}`,
    );
    writeFileSync(path, `# a comment\n${toml.join("\n")}\nwitness = true\n`);
    const child = cluster.startWith(20, ["--config", path, "--address", cluster.addressOf(20)]);
    await cluster.settle([running, child]);
    expect(await child.node()).toMatchObject({
      id: "n20",
      address: cluster.addressOf(20),
      role: "witness",
    });
    await child.kill("SIGTERM");
    expect(child.child.exitCode).toBe(0);
  }, 20_000);
});

describe("a command line", () => {
  const wrong: readonly (readonly [string, readonly string[], string])[] = [
    ["an unknown flag", ["agent", "--colour"], "unknown option '--colour'"],
    ["an unknown flag of run", ["run", "-x", "--", "true"], "unknown option '-x'"],
    ["a count that is none", ["run", "-n", "two", "--", "true"], "must be a whole number"],
    ["a time that is none", ["run", "--checkpoint-every", "2", "--", "true"], "such as 500ms"],
    ["no program", ["run", "-n", "2"], "no program is given"],
    ["no nodes to lose", ["what-if"], "required option '--lose <nodes>'"],
    ["empty nodes to lose", ["what-if", "--lose", ","], "--lose names no node"],
    ["an agent that is no address", ["status", "--agent", "n1"], "--agent 'n1' is no ADDRESS:PORT"],
    ["a port that is none", ["status", "--agent", "n1:0"], "'n1:0' is no ADDRESS:PORT"],
    ["a slip of the pen", ["stats"], "Did you mean status?"],
    ["too many words", ["job", "show", "a", "b"], "see holdfast job show --help"],
  ];
  for (const [what, args, expected] of wrong) {
    test(`with ${what} ends with 2`, async () => {
      expect(oneLine(await holdfast(args), 2)).toContain(expected);
    });
  }

  test("to an agent that is not there names the address and what to do", async () => {
    const line = oneLine(await holdfast(["status", "--agent", cluster.at(99)]), 69);
    expect(line).toContain(`no agent answers at ${cluster.at(99)}`);
    expect(line).toContain("holdfast agent");
  });

  test("about a job that is not known says so", async () => {
    const line = oneLine(await holdfast(["job", "show", "j-none", "--agent", running.at]), 66);
    expect(line).toContain("no job j-none is known here");
  });

  test("whose reader has enough says that its job goes on", async () => {
    const command = `"$BUN" "$MAIN" run --agent ${running.at} -- sh -c 'yes | head -50000; sleep 60' | head -1`;
    const child = Bun.spawn({
      cmd: ["bash", "-c", `set -o pipefail; ${command}`],
      env: { ...process.env, BUN: process.execPath, MAIN },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [out, said] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect(await child.exited).toBe(141);
    expect(out).toBe("[0] y\n");
    const [job] = /j-[0-9a-f]{8}/.exec(said) ?? [""];
    expect(said.trimEnd().split("\n").at(-1)).toContain(`${job} goes on; watch it again with`);
    const cancelled = await holdfast(["job", "cancel", job, "--agent", running.at]);
    expect(cancelled.code).toBe(0);
  }, 30_000);

  test("has help with examples for every command", async () => {
    for (const command of ["agent", "run", "status", "job", "what-if", "delta"]) {
      const help = await holdfast([command, "--help"]);
      expect(help.code).toBe(0);
      expect(help.stdout).toContain("Examples:");
    }
  }, 20_000);
});
