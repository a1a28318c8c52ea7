/**
 * Goal: a cluster made by `init` and `join` works by mutual TLS alone: jobs survive the loss of a node, a stranger gets nothing, who
 * was revoked is put out.
 * Method: real processes with certificates of a real authority, asked by the commands only.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { ClusterStatus } from "../../agent/job/io/status.ts";
import type { JobRecord } from "../../agent/job/job.ts";
import {
  type Finished,
  holdfast,
  MAIN,
  type TestAgent,
  TestCluster,
  until,
} from "./test-cluster.ts";

const COUNT = join(import.meta.dir, "programs/count.ts");
/** The machine may be busy: nothing here is about how fast it is. */
const LIMIT_MS = 120_000;

const cluster = new TestCluster();
const agents: TestAgent[] = [];

function folder(name: string): string {
  return join(cluster.folder, name);
}

/** As the operator, unless other variables are given. */
function command(args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
  const own = { XDG_CONFIG_HOME: folder("operator"), HOLDFAST_AGENT: cluster.at(1) };
  return holdfast(args, { env: { ...own, ...env }, withinMs: 60_000 });
}

async function must(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await command(args);
  if (code !== 0) throw new Error(`holdfast ${args.join(" ")}: ${code}: ${stderr}`);
  return stdout.trim();
}

async function enrol(name: string, role: string, more: readonly string[]): Promise<void> {
  const token = await must(["identity", "token", "--role", role, "--data", folder("n1")]);
  const door = `${cluster.addressOf(1)}:7401`;
  await must(["join", door, "--token", token, "--id", name, ...more]);
}

/** The nodes in the view that the first one is in, when it is alive. */
async function view(): Promise<string | null> {
  const { code, stdout } = await command(["status", "--json"]);
  if (code !== 0) return null;
  const { nodes } = JSON.parse(stdout) as ClusterStatus;
  const alive = nodes.filter(({ state }) => state === "alive").map(({ id }) => id);
  const epochs = new Set(nodes.filter(({ state }) => state === "alive").map(({ epoch }) => epoch));
  return epochs.size === 1 ? alive.sort().join() : null;
}

async function settled(wanted: string): Promise<void> {
  await until(`a view of ${wanted}`, 60_000, async () => ((await view()) === wanted ? true : null));
}

beforeAll(async () => {
  await must(["init", "--cluster", "rack1", "--id", "n1", "--data", folder("n1")]);
  agents.push(cluster.start(1));
  await until("the door", 30_000, () => agents[0]?.log().includes("nodes join at") || null);
  for (const index of [2, 3]) {
    await enrol(`n${index}`, "agent", ["--data", folder(`n${index}`)]);
    agents.push(cluster.start(index));
  }
  await settled("n1,n2,n3");
}, LIMIT_MS);

afterAll(() => cluster.close());

/** Its last line, which depends on every step of every rank. */
async function run(onStep: (job: string) => Promise<void>): Promise<string> {
  const child = Bun.spawn({
    cmd: [process.execPath, MAIN, "run", "-n", "2", "--encrypt", "--", COUNT, "60", "20"],
    env: {
      ...{ ...process.env, XDG_CONFIG_HOME: folder("operator") },
      HOLDFAST_AGENT: cluster.at(1),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS - 10_000);
  const said = child.stderr.text();
  let text = "";
  let isDisturbed = false;
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (isDisturbed || !text.includes("[0] step 10\n")) continue;
    isDisturbed = true;
    const jobs = JSON.parse(await must(["job", "list", "--json"])) as readonly { id: string }[];
    await onStep(jobs.at(-1)?.id ?? "");
  }
  await child.exited;
  clearTimeout(timer);
  if (child.exitCode !== 0) throw new Error(`it ended with ${child.exitCode}: ${await said}`);
  const lines = text
    .trim()
    .split("\n")
    .filter((line) => line.startsWith("[0]"));
  return lines.at(-1) ?? "";
}

describe("a cluster with identities", () => {
  test(
    "runs a job that survives SIGKILL of a node with the same result",
    async () => {
      const inPeace = await run(async () => undefined);
      expect(inPeace).toMatch(/^\[0\] end [1-9]\d*$/);
      let killed = -1;
      const disturbed = await run(async (job) => {
        const shown = await must(["job", "show", job, "--json"]);
        const record = JSON.parse(shown) as JobRecord;
        expect(shown).not.toContain('"key"');
        expect(record.spec.isEncrypted).toBe(true);
        // Not the one that commands ask first and that holds the authority.
        const node = record.placement.find((id) => id !== "n1");
        killed = agents.findIndex(({ id }) => id === node);
        await agents[killed]?.kill();
      });
      expect(disturbed).toBe(inPeace);
      expect(killed).toBeGreaterThan(0);
      agents[killed] = cluster.start(killed + 1);
      await settled("n1,n2,n3");
    },
    LIMIT_MS * 2,
  );

  test(
    "tells a stranger nothing, and each why",
    async () => {
      const url = `${cluster.at(1)}/v1/status`;
      const asked = (scheme: string, tls: object): Promise<string> =>
        fetch(`${scheme}://${url}`, { tls } as RequestInit).then(String, () => "nothing");
      expect(await asked("http", {})).toBe("nothing");
      expect(await asked("https", { rejectUnauthorized: false })).toBe("nothing");
      const without = await command(["status"], { XDG_CONFIG_HOME: folder("nobody") });
      expect([without.code, without.stderr]).toEqual([
        77,
        expect.stringContaining("speaks TLS, and there is no identity to ask with"),
      ]);
      const other = { XDG_CONFIG_HOME: folder("other") };
      const init = ["init", "--cluster", "rack2", "--id", "n1", "--data", folder("other-n1")];
      expect((await command(init, other)).code).toBe(0);
      const foreign = await command(["status"], other);
      expect([foreign.code, foreign.stderr]).toEqual([
        77,
        expect.stringContaining("is of another cluster than rack2"),
      ]);
      const missing = await command(["status", "--identity", folder("nowhere")]);
      expect([missing.code, missing.stderr]).toEqual([
        78,
        expect.stringContaining(`no identity in ${folder("nowhere")}`),
      ]);
      expect(await view()).toBe("n1,n2,n3");
    },
    LIMIT_MS,
  );

  test(
    "lets a hook tell of errors and nothing else; scripts have a door of their own",
    async () => {
      const hook = folder("hook");
      await enrol("cron", "hook", ["--identity", hook]);
      const told = await command(["hook", "text=fan 3 stands still", "--identity", hook]);
      expect([told.code, told.stderr]).toEqual([0, ""]);
      const refused = await command(["status", "--identity", hook]);
      expect([refused.code, refused.stderr]).toEqual([
        77,
        expect.stringContaining("hook cron may not ask this; it is for agent, operator, manager"),
      ]);
      const door = `http://${cluster.addressOf(1)}:7402`;
      const event = await fetch(`${door}/v1/hooks/event`, { method: "POST", body: "text=by curl" });
      expect(event.status).toBe(202);
      expect((await fetch(`${door}/v1/status`)).status).toBe(404);
      expect((await fetch(`${door}/v1/peer`)).status).toBe(404);
    },
    LIMIT_MS,
  );

  test(
    "puts out a node that was revoked, which then gets nothing",
    async () => {
      await must(["identity", "revoke", "n3", "--data", folder("n1")]);
      await settled("n1,n2");
      expect(agents[0]?.log()).toContain("n3 is put out");
      const lost = await command(["status", "--identity", folder("n3/identity")]);
      expect(lost.code).not.toBe(0);
      expect(lost.stderr).toMatch(/revoked|closes the connection/);
      const status = JSON.parse(await must(["status", "--json"])) as ClusterStatus;
      const view = status.nodes.filter(({ state }) => state === "alive").map(({ id }) => id);
      expect(view).toEqual(["n1", "n2"]);
    },
    LIMIT_MS,
  );
});
