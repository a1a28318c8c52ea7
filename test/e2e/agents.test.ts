/**
 * Goal: five real agents form a view, notice a killed one within a second, let it in again, and survive what strangers send.
 * Method: processes of this checkout on loopback; what is checked is what their HTTP API says.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { FRAME_BYTES_MAX } from "../../agent/net/frames.ts";
import { holdfast, type TestAgent, TestCluster, until } from "./test-cluster.ts";

const cluster = new TestCluster();
const agents: TestAgent[] = [];

beforeAll(async () => {
  for (let index = 1; index <= 5; index++) agents.push(cluster.start(index));
  await cluster.settle(agents);
}, 30_000);

afterAll(() => cluster.close());

function agent(index: number): TestAgent {
  const found = agents[index - 1];
  if (found === undefined) throw new Error(`no agent ${index}`);
  return found;
}

describe("five agents", () => {
  test("tell everything about each other in status --json", async () => {
    const answer = await holdfast(["status", "--json", "--agent", agent(2).at]);
    expect(answer.code).toBe(0);
    const status = JSON.parse(answer.stdout);
    expect(status.nodes.map((node: { id: string }) => node.id)).toEqual([
      ...["n1", "n2", "n3", "n4", "n5"],
    ]);
    for (const [index, node] of status.nodes.entries()) {
      expect(node).toMatchObject({
        address: cluster.addressOf(index + 1),
        state: "alive",
        incarnation: 1,
        epoch: status.epoch,
        pid: agent(index + 1).child.pid,
        ranks: [],
      });
    }
  });

  test("agree on a view without a killed one within a second, and let it in again", async () => {
    const victim = agent(3);
    const others = agents.filter((one) => one !== victim);
    const before = (await agent(1).node())?.epoch ?? 0;
    await victim.kill();
    const killedMs = performance.now();
    const after = await cluster.settle(others, 2_000);
    expect(performance.now() - killedMs).toBeLessThan(1_000);
    expect(after).toBeGreaterThan(before);
    const status = await agent(1).status();
    const gone = status?.nodes.find((node) => node.id === "n3");
    expect(gone).toMatchObject({ state: "dead", pid: null });
    agents[2] = cluster.start(3);
    const again = await cluster.settle(agents);
    expect(again).toBeGreaterThan(after);
    expect((await agent(3).node())?.incarnation).toBe(2);
  }, 20_000);

  test("go on without one that leaves in good order, which ends with code 0", async () => {
    const leaver = agent(5);
    await leaver.kill("SIGTERM");
    expect(leaver.child.exitCode).toBe(0);
    await cluster.settle(agents.slice(0, 4), 2_000);
    agents[4] = cluster.start(5);
    await cluster.settle(agents);
  }, 20_000);
});

const UPGRADE = [
  "GET /v1/peer HTTP/1.1",
  "Host: agent",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version: 13",
  "",
  "",
].join("\r\n");

/** A masked binary frame, as clients send them. */
function frame(payload: Uint8Array, announcedBytes: bigint = BigInt(payload.length)): Buffer {
  const head = Buffer.alloc(14);
  head[0] = 0x82;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(announcedBytes, 2);
  return Buffer.concat([head, payload]);
}

/** Sends raw bytes to the agent; resolves once it has closed the connection. */
function sendRaw(to: TestAgent, chunks: readonly Uint8Array[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const [address, port] = to.at.split(":");
    const socket = connect(Number(port), address);
    const timer = setTimeout(() => reject(new Error("the agent keeps the connection")), 5_000);
    socket.on("connect", () => {
      for (const chunk of chunks) socket.write(chunk);
    });
    socket.on("error", () => undefined);
    socket.on("data", () => undefined);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

describe("what strangers send", () => {
  test("as garbage over TCP is refused, and the agent lives on", async () => {
    await sendRaw(agent(1), [crypto.getRandomValues(new Uint8Array(60_000))]);
    expect((await agent(1).node())?.state).toBe("alive");
  });

  test("as garbage in a peer's frame closes the connection with one line", async () => {
    const noise = crypto.getRandomValues(new Uint8Array(300));
    await sendRaw(agent(1), [Buffer.from(UPGRADE), frame(noise)]);
    await until("a line about it", 2_000, () => agent(1).log().includes("link closed") || null);
    const lines = agent(1)
      .log()
      .split("\n")
      .filter((line) => line.includes("link closed"));
    expect(lines).toHaveLength(1);
    expect((await agent(1).node())?.state).toBe("alive");
  });

  test("as a frame of 4 GiB is refused at its length, before memory is given to it", async () => {
    await sendRaw(agent(2), [Buffer.from(UPGRADE), frame(new Uint8Array(100), 4n * 1024n ** 3n)]);
    const bound = `a frame of more than ${FRAME_BYTES_MAX} bytes; link closed`;
    await until("a line about it", 2_000, () => agent(2).log().includes(bound) || null);
    expect((await agent(2).node())?.state).toBe("alive");
  });

  test("as a peer that says nothing is cut off", async () => {
    await sendRaw(agent(4), [Buffer.from(UPGRADE)]);
    expect(agent(4).log()).toContain("it does not say who it is; link closed");
  });

  test("as garbage over UDP is dropped", async () => {
    const socket = await Bun.udpSocket({ hostname: cluster.addressOf(250) });
    for (let bytes = 0; bytes < 1400; bytes += 100) {
      socket.send(
        crypto.getRandomValues(new Uint8Array(bytes)),
        cluster.port,
        cluster.addressOf(4),
      );
    }
    socket.close();
    expect((await agent(4).node())?.state).toBe("alive");
  });

  test("as a body that is too large or no JSON is a problem of the table", async () => {
    const post = (body: string) => fetch(`http://${agent(1).at}/v1/jobs`, { method: "POST", body });
    const large = await post("x".repeat(2 * 1024 * 1024));
    expect(large.status).toBe(413);
    expect(await large.json()).toMatchObject({ kind: "too-large", status: 413 });
    const noise = await post("{");
    expect(noise.headers.get("content-type")).toBe("application/problem+json");
    expect(await noise.json()).toMatchObject({
      kind: "bad-request",
      detail: "the body is not JSON",
    });
    const missing = await fetch(`http://${agent(1).at}/v1/nothing`);
    expect(await missing.json()).toMatchObject({ kind: "not-found", status: 404 });
  });
});

describe("a job of ordinary programs", () => {
  const run = (args: readonly string[]) => holdfast(["run", "--agent", agent(1).at, ...args]);

  test("shows what its ranks print and ends with 0", async () => {
    const ended = await run(["-n", "3", "--", "sh", "-c", "echo $HOLDFAST_RANK of $HOLDFAST_SIZE"]);
    expect(ended.stdout.trim().split("\n").sort()).toEqual([
      ...["[0] 0 of 3", "[1] 1 of 3", "[2] 2 of 3"],
    ]);
    expect(ended.code).toBe(0);
  }, 20_000);

  test("that exits with 3 ends with 3 and says which rank", async () => {
    const ended = await run([
      "-n",
      "2",
      "--",
      "sh",
      "-c",
      "test $HOLDFAST_RANK = 0 || exit 3; sleep 5",
    ]);
    expect(ended.code).toBe(3);
    expect(ended.stderr.trimEnd().split("\n").at(-1)).toBe("holdfast: rank 1 ended with code 3");
  }, 20_000);

  test("that does not exist says so and ends with 127", async () => {
    const ended = await run(["--", "no-such-program"]);
    expect(ended.code).toBe(127);
    expect(ended.stderr).toContain("cannot start no-such-program: no such program on this node");
    const script = await run(["--", "./no-such-script.ts"]);
    expect(script.code).toBe(127);
    expect(script.stderr).toContain("cannot start ./no-such-script.ts: there is no such file");
  }, 30_000);

  test("needs as many nodes as ranks", async () => {
    const ended = await run(["-n", "9", "--detach", "--", "true"]);
    expect(ended.code).toBe(77);
    expect(ended.stderr.trim().split("\n")).toHaveLength(1);
  }, 20_000);
});
