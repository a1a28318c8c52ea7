/**
 * Goal: program → ring → proxy → TCP → proxy → ring → program carries every call, and survives what kills proxies and programs.
 * Method: real processes and sockets on loopback under a fake agent; each run that is disturbed must end with the same bits as
 * the one that was not.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { waitFor } from "./harness/fake-agent.ts";
import { FakeCluster, type FakeClusterOptions } from "./harness/fake-cluster.ts";

const LIMIT_MS = 60_000;

function program(name: string): string[] {
  return [join(import.meta.dir, "harness", "programs", `${name}.ts`)];
}

let clusters: FakeCluster[] = [];

function cluster(options: FakeClusterOptions): FakeCluster {
  const made = new FakeCluster(options);
  clusters.push(made);
  return made;
}

afterEach(async () => {
  await Promise.all(clusters.map((made) => made.stop()));
  clusters = [];
});

interface RoundsResult {
  readonly digest: string;
  readonly versions: number;
  readonly restored: number | null;
  readonly failure: string | null;
}

/** The same computation, left in peace. */
async function undisturbed(rounds: number, size: number): Promise<string> {
  const c = cluster({ ranksOfNodes: new Array<number>(size).fill(1) });
  await c.start(program("rounds"), { ROUNDS: String(rounds) });
  expect(await c.exits()).toEqual(new Array<number>(size).fill(0));
  const digests = c.results<RoundsResult>().map(({ digest }) => digest);
  return digests.join(" ");
}

function digestsOf(c: FakeCluster): string {
  return c
    .results<RoundsResult>()
    .map(({ digest }) => digest)
    .join(" ");
}

async function waitForRound(c: FakeCluster, round: number): Promise<void> {
  await waitFor(`round ${round} everywhere`, () =>
    [...c.programs.values()].every(({ lines }) => lines.includes(`round ${round}`)),
  );
}

describe("calls of real programs", () => {
  test(
    "every collective over 2, 3 and 4 ranks equals plain computation, on one node or several",
    async () => {
      for (const ranksOfNodes of [
        [1, 1],
        [1, 2],
        [1, 1, 1, 1],
      ]) {
        const c = cluster({ ranksOfNodes });
        await c.start(program("collectives"));
        const codes = await c.exits(40_000);
        const errors = [...c.programs.values()].map(({ errors: text }) => text).join("");
        expect({ codes, errors }).toEqual({ codes: codes.map(() => 0), errors: "" });
        const digests = c.results<{ readonly digest: number }>().map(({ digest }) => digest);
        expect(new Set(digests).size).toBe(1);
        await c.stop();
      }
    },
    2 * LIMIT_MS,
  );

  test(
    "messages of any size arrive whole and in order, and what does not fit is refused",
    async () => {
      const c = cluster({ ranksOfNodes: [1, 1, 1] });
      await c.start(program("messages"));
      const codes = await c.exits(40_000);
      const errors = [...c.programs.values()].map(({ errors: text }) => text).join("");
      expect({ codes, errors }).toEqual({ codes: [0, 0, 0], errors: "" });
      const results = c.results<{ readonly tooLong: string; readonly refused: string }>();
      expect(results[1]?.tooLong).toBe(
        "a message of 100 bytes from rank 0 does not fit in 10; " +
          "a message of 200000 bytes from rank 0 does not fit in 1000",
      );
      expect(results[0]?.refused).toBe("there is no rank 3");
    },
    LIMIT_MS,
  );

  test(
    "a plain file outside of the project finds the SDK by its name",
    async () => {
      const c = cluster({ ranksOfNodes: [1, 1] });
      const path = join(c.folder, "user.ts");
      const body = "const a = new Float32Array([c.rank + 1]); c.allReduce(a); console.log(a[0]);";
      writeFileSync(path, `import { run } from "holdfast";\nawait run((c) => { ${body} });\n`);
      await c.start([path]);
      expect(await c.exits()).toEqual([0, 0]);
      expect([...c.programs.values()].map(({ lines }) => lines)).toEqual([["3"], ["3"]]);
    },
    LIMIT_MS,
  );

  test(
    "ranks that call different collectives are told so",
    async () => {
      const c = cluster({ ranksOfNodes: [1, 1] });
      await c.start(program("mismatch"));
      await c.exits();
      const told = c.results<{ readonly told: string }>().map(({ told: text }) => text);
      expect(told.some((text) => text.includes("calls broadcast"))).toBe(true);
      expect(told.some((text) => text.includes("all-reduce"))).toBe(true);
    },
    LIMIT_MS,
  );

  test(
    "a program without the SDK runs as a rank and never attaches",
    async () => {
      const c = cluster({ ranksOfNodes: [1, 1] });
      await c.start(["sh", "-c", "echo rank $HOLDFAST_RANK of $HOLDFAST_SIZE"]);
      expect(await c.exits()).toEqual([0, 0]);
      expect(c.programs.get(1)?.lines).toEqual(["rank 1 of 2"]);
      expect(c.proxies.flatMap((proxy) => proxy.messages).map((m) => m.kind)).not.toContain(
        "attached",
      );
    },
    LIMIT_MS,
  );
});

describe("checkpoints", () => {
  test(
    "are taken at the same call on every rank, with the messages under way",
    async () => {
      const c = cluster({ ranksOfNodes: [1, 1, 1], checkpointEveryMs: 20 });
      const startMs = performance.now();
      await c.start(program("rounds"), { ROUNDS: "40", ROUND_MS: "3" });
      expect(await c.exits()).toEqual([0, 0, 0]);
      const elapsedMs = performance.now() - startMs;
      const versions = c.results<RoundsResult>().map(({ versions: count }) => count);
      expect(versions[0]).toBeGreaterThan(1);
      // Not at every call, but when so much time has passed; on a slow machine that may be every one.
      expect(versions[0]).toBeLessThanOrEqual(Math.min(40, elapsedMs / 20 + 1));
      expect(new Set(versions).size).toBe(1);
      for (const { mailbox, regions } of c.captures) {
        expect(mailbox).not.toBeNull();
        expect(regions.map(({ name }) => name).sort()).toEqual(["progress", "state"]);
      }
      const taken = c.saved.map(({ version }) => version);
      for (const version of taken) expect(taken.filter((v) => v === version).length).toBe(3);
    },
    LIMIT_MS,
  );

  test(
    "that fail are reported by checkpoint() and the program goes on",
    async () => {
      const c = cluster({ ranksOfNodes: [1, 1], captureFailure: "disk full" });
      await c.start(program("rounds"), { ROUNDS: "3" });
      expect(await c.exits()).toEqual([0, 0]);
      const [result] = c.results<RoundsResult>();
      expect(result).toMatchObject({ versions: 0, failure: "disk full" });
    },
    LIMIT_MS,
  );
});

describe("recovery", () => {
  test(
    "a proxy killed under living programs is replaced, and the result has the same bits",
    async () => {
      const expected = await undisturbed(60, 3);
      const c = cluster({ ranksOfNodes: [1, 1, 1], checkpointEveryMs: 30 });
      await c.start(program("rounds"), { ROUNDS: "60", ROUND_MS: "5" });
      const pids = [...c.programs.values()].map(({ process }) => process.pid);
      for (const round of [12, 30]) {
        await waitForRound(c, round);
        await c.proxies[1]?.kill();
        await waitFor("the others to notice", () =>
          c.proxies.some((proxy) => proxy.messages.some(({ kind }) => kind === "peer-lost")),
        );
        await c.relaunch([]);
        expect(c.version).toBeGreaterThan(0);
      }
      expect(await c.exits()).toEqual([0, 0, 0]);
      expect(digestsOf(c)).toBe(expected);
      expect([...c.programs.values()].map(({ process }) => process.pid)).toEqual(pids);
      const entered = c.programs.get(0)?.lines.filter((line) => line.startsWith("enter"));
      expect(entered?.length).toBe(3);
    },
    LIMIT_MS,
  );

  test(
    "a program killed is started anew from the common state, and the result has the same bits",
    async () => {
      const expected = await undisturbed(40, 2);
      const c = cluster({ ranksOfNodes: [1, 1], checkpointEveryMs: 30 });
      const argv = program("rounds");
      const env = { ROUNDS: "40", ROUND_MS: "5" };
      await c.start(argv, env);
      await waitForRound(c, 15);
      const killed = c.programs.get(1);
      killed?.process.kill("SIGKILL");
      await killed?.process.exited;
      c.forget(1);
      await c.assign([1]);
      await c.resume();
      c.startProgram(1, argv, env);
      expect(await c.exits()).toEqual([0, 0]);
      expect(digestsOf(c)).toBe(expected);
    },
    LIMIT_MS,
  );

  test(
    "nothing sealed yet: everybody starts again from zeros",
    async () => {
      const expected = await undisturbed(20, 2);
      const c = cluster({ ranksOfNodes: [1, 1], checkpointEveryMs: 60_000 });
      await c.start(program("rounds"), { ROUNDS: "20", ROUND_MS: "10" });
      await waitForRound(c, 6);
      await c.relaunch([]);
      expect(c.selections.at(-1)?.version as number).toBe(0);
      expect(await c.exits()).toEqual([0, 0]);
      expect(digestsOf(c)).toBe(expected);
    },
    LIMIT_MS,
  );

  test(
    "a program without the SDK is left alone by a rollback",
    async () => {
      const gated = cluster({ ranksOfNodes: [1, 1], idleWithinMs: 60_000 });
      const gate = join(gated.folder, "gate");
      await gated.start([
        "sh",
        "-c",
        `echo up; while ! [ -e ${gate} ]; do sleep 0.02; done; echo end`,
      ]);
      await waitFor("both to be up", () =>
        [...gated.programs.values()].every(({ lines }) => lines.includes("up")),
      );
      await gated.relaunch([]);
      writeFileSync(gate, "");
      expect(await gated.exits()).toEqual([0, 0]);
      expect(gated.programs.get(0)?.lines).toEqual(["up", "end"]);
    },
    LIMIT_MS,
  );

  test(
    "a program that reaches no call in time is named as stuck, once",
    async () => {
      const c = cluster({ ranksOfNodes: [1, 1], idleWithinMs: 300 });
      await c.start(program("rounds"), { ROUNDS: "3", ROUND_MS: "1" });
      await c.exits();
      const busy = cluster({ ranksOfNodes: [1, 1], idleWithinMs: 300 });
      await busy.start(program("rounds"), { ROUNDS: "3", ROUND_MS: "30000" });
      await waitFor("programs in their bodies", () =>
        [...busy.programs.values()].every(({ lines }) => lines.length > 0),
      );
      await busy.assign([]);
      await waitFor("both to be named", () =>
        busy.proxies.every((proxy) => proxy.messages.some(({ kind }) => kind === "stuck")),
      );
      for (const { process } of busy.programs.values()) process.kill("SIGKILL");
      await waitFor("idle once they are gone", () =>
        busy.proxies.every((proxy) => proxy.messages.some(({ kind }) => kind === "selected")),
      );
      const stuck = busy.proxies.flatMap(({ messages }) =>
        messages.filter((m) => m.kind === "stuck"),
      );
      expect(stuck.length).toBe(2);
    },
    LIMIT_MS,
  );

  test(
    "proxies and programs end when their agent goes",
    async () => {
      const agent = join(import.meta.dir, "harness", "lonely-agent.ts");
      const child = Bun.spawn([process.execPath, agent, ...program("rounds")], {
        env: { ...process.env, ROUNDS: "100000", ROUND_MS: "1" },
        stdio: ["ignore", "pipe", "inherit"],
      });
      const reader = child.stdout.getReader();
      const { value } = await reader.read();
      const { pids, folder } = JSON.parse(new TextDecoder().decode(value)) as {
        readonly pids: readonly number[];
        readonly folder: string;
      };
      child.kill("SIGKILL");
      await child.exited;
      // A process that ended and was not waited for yet (state Z) has ended.
      const isGone = (pid: number): boolean => {
        const path = `/proc/${pid}/stat`;
        return !existsSync(path) || /\) Z /.test(readFileSync(path, "utf8"));
      };
      await waitFor("proxies and programs to end", () => pids.every(isGone), 1500);
      expect(existsSync(folder)).toBe(true);
      await Bun.$`rm -rf ${folder}`;
    },
    LIMIT_MS,
  );
});

describe("strangers at a proxy's port", () => {
  const hello = (epoch: number, job = "j-00000001", node = "n1"): Uint8Array => {
    const body = new TextEncoder().encode(JSON.stringify({ protocol: 1, job, epoch, node }));
    const bytes = new Uint8Array(48 + body.byteLength);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 0x4846_0001, true);
    view.setUint32(24, body.byteLength, true);
    bytes.set(body, 48);
    return bytes;
  };
  const huge = hello(1).slice(0, 48);
  new DataView(huge.buffer).setUint32(24, 0xffff_ffff, true);

  function closedAfter(port: number, bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(port, "127.0.0.1", () => socket.write(bytes));
      socket.on("close", () => resolve());
      socket.on("error", () => resolve());
      socket.resume();
      setTimeout(() => reject(new Error("the connection stayed open")), 5000).unref();
    });
  }

  test(
    "garbage, a 4 GiB length, a stale epoch and another job are refused, and the job goes on",
    async () => {
      const c = cluster({ ranksOfNodes: [1, 1] });
      await c.start(program("rounds"), { ROUNDS: "60", ROUND_MS: "5" });
      await waitForRound(c, 3);
      const port = c.proxies[1]?.port ?? 0;
      const garbage = new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: x\r\n${"x".repeat(99)}`);
      for (const bytes of [
        garbage,
        huge,
        hello(0),
        hello(1, "j-other"),
        hello(1, "j-00000001", "n9"),
      ]) {
        await closedAfter(port, bytes);
      }
      expect(await c.exits()).toEqual([0, 0]);
      const kinds = c.proxies.flatMap(({ messages }) => messages.map(({ kind }) => kind));
      expect(kinds).not.toContain("peer-lost");
      expect(readdirSync(c.folder).filter((name) => name.includes("mailbox"))).toEqual(
        readdirSync(c.folder).filter(
          (name) => name.startsWith("saved-") && name.includes("mailbox"),
        ),
      );
    },
    LIMIT_MS,
  );
});
