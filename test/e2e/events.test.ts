/**
 * Goal: an error reaches the agent by whichever way, is one event by all of them together, and is never lost once it was
 * acknowledged.
 * Method: real agents and emulated BMCs as processes, `curl` and net-snmp's `snmptrap` as callers, SIGKILL at the worst time.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodePet, PET_EPOCH_SECONDS, specificTrapOf } from "../../bmc/ipmi/pef/pet.ts";
import { canMakeNamespaces, hasCommand, realPart } from "../real-part.ts";
import {
  type Finished,
  holdfast,
  MAIN,
  type TestAgent,
  TestCluster,
  until,
} from "./test-cluster.ts";
import { PASSWORD, Running, TestEmulator } from "./test-emulator.ts";

const cluster = new TestCluster({ HOLDFAST_BMC_PASSWORD: PASSWORD });
const emulators: TestEmulator[] = [];

afterAll(async () => {
  await cluster.close();
  await Promise.all(emulators.map((emulator) => emulator.stop()));
});

interface Line {
  readonly seq: number;
  readonly kind: "event" | "way";
  readonly id?: string;
  readonly event: {
    readonly id: string;
    readonly way: string;
    readonly subject: string;
    readonly text: string;
    readonly severity: string;
    readonly system: string;
  };
}

async function linesOf(agent: TestAgent): Promise<readonly Line[]> {
  const ended = await holdfast(["events", "--json", "--agent", agent.at]);
  expect(ended.stderr).toBe("");
  const text = ended.stdout.trim();
  return text === "" ? [] : text.split("\n").map((line) => JSON.parse(line) as Line);
}

async function start(index: number, flags: readonly string[] = []): Promise<TestAgent> {
  const agent = cluster.start(index, ["--found", ...flags]);
  await until("the agent answers", 10_000, async () =>
    (await agent.node()) === null ? null : true,
  );
  return agent;
}

/** Whether the agent keeps what was told of a BMC. */
function remembers(agent: TestAgent): boolean {
  const folder = join(agent.data, "state");
  return readdirSync(folder)
    .filter((name) => name.startsWith("watch"))
    .some((name) => readFileSync(join(folder, name), "utf8").includes('"memory":{'));
}

const curl = realPart("curl", () => hasCommand("curl"), "apt-get install curl");

async function curlTo(agent: TestAgent, args: readonly string[]): Promise<Finished> {
  const child = Bun.spawn({
    cmd: ["curl", "-sS", "-w", "\n%{http_code}", ...args, `http://${agent.at}/v1/hooks/event`],
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  return { code: child.exitCode, stdout, stderr };
}

describe("a hook", () => {
  curl(
    "by curl is there after the agent was killed right behind its answer",
    async () => {
      const agent = await start(1);
      for (let round = 0; round < 5; round++) {
        const answered = await curlTo(agent, ["-d", `text=round ${round}`, "-d", `key=r${round}`]);
        expect(answered.stdout).toEndWith("\n202");
      }
      const last = await curlTo(agent, ["-d", "text=last&severity=critical&category=fan&key=last"]);
      await agent.kill("SIGKILL");
      const { id } = JSON.parse(last.stdout.split("\n")[0] ?? "") as { readonly id: string };
      const again = await start(1);
      const lines = await linesOf(again);
      expect(lines.map(({ event }) => event.text)).toEqual([
        ...[0, 1, 2, 3, 4].map((round) => `round ${round}`),
        "last",
      ]);
      expect(lines.at(-1)?.event).toMatchObject({ id, severity: "critical", system: "node:n1" });
      const repeated = await curlTo(again, ["-d", "text=last&key=last"]);
      expect(JSON.parse(repeated.stdout.split("\n")[0] ?? "")).toEqual({ id, new: false });
      const bad = await curlTo(again, ["-d", "severity=critical"]);
      expect(bad.stdout).toEndWith("\n400");
      expect(again.log()).toContain("critical fan: last");
      await again.kill();
    },
    40_000,
  );

  test("by the command waits for the agent's word; without an agent it says that it is lost, or spools it", async () => {
    const spool = join(cluster.folder, "spool");
    const at = ["--agent", cluster.at(2)];
    const lost = await holdfast(["hook", "text=lost", ...at]);
    expect(lost).toMatchObject({ code: 69, stdout: "" });
    expect(lost.stderr).toContain("the event is not kept");
    const kept = await holdfast(["hook", "text=kept", "severity=error", ...at, "--spool", spool]);
    expect(kept).toMatchObject({ code: 0, stderr: "" });
    expect(readdirSync(spool)).toHaveLength(1);
    writeFileSync(join(spool, "0-bad.json"), "{");
    const agent = await start(2, ["--hooks-spool", spool]);
    await until("the spool is empty", 10_000, () =>
      readdirSync(spool).some((name) => name.endsWith(".json")) ? null : true,
    );
    expect(readdirSync(spool)).toEqual(["0-bad.json.bad"]);
    const told = await holdfast(["hook", "text=told", "key=k", ...at]);
    expect(told.stdout).toMatch(/^[0-9a-f]{64}\n$/);
    expect((await holdfast(["hook", "text=told", "key=k", ...at])).stdout).toEndWith("(known)\n");
    expect(await holdfast(["hook", "severity=error", ...at])).toMatchObject({ code: 2 });
    expect(await holdfast(["hook", "text=x", "severity=odd", ...at])).toMatchObject({ code: 2 });
    expect((await linesOf(agent)).map(({ event }) => event.text)).toEqual(["kept", "told"]);
    await agent.kill();
  }, 40_000);

  test("from smartd and systemd takes what they set", async () => {
    const agent = await start(3);
    const env = {
      SMARTD_DEVICE: "/dev/sda",
      SMARTD_FAILTYPE: "Health",
      SMARTD_MESSAGE: "Device: /dev/sda, FAILED SMART self-check. BACK UP DATA NOW!",
      SMARTD_TFIRSTEPOCH: "1795343802",
    };
    const at = ["--agent", agent.at];
    expect(await holdfast(["hook", "--from", "smartd", ...at], { env })).toMatchObject({ code: 0 });
    const unit = ["hook", "--from", "systemd", "unit=backup.service", ...at];
    expect(await holdfast(unit)).toMatchObject({ code: 0 });
    const shown = await holdfast(["events", ...at, "--least", "critical"]);
    expect(shown.stdout).toContain("critical     disk  Device: /dev/sda, FAILED SMART self-check");
    expect(shown.stdout).toContain("service  backup.service has failed");
    await agent.kill();
  }, 30_000);
});

describe("a BMC", () => {
  test("that logs an error and sends a trap of it gives one event, by two ways, and the trap is acknowledged", async () => {
    const pet = `${cluster.addressOf(4)}:1162`;
    const bmc = await TestEmulator.start(["--trap", pet, "--sel-fill", "3"]);
    emulators.push(bmc);
    const flags = ["--bmc", bmc.lan, "--bmc-poll-seconds", "0.3", "--pet", pet];
    const agent = await start(4, flags);
    // What comes before the first look at the log is old.
    await until("the log was looked at", 10_000, () => (remembers(agent) ? true : null));
    await bmc.control("event memory 1");
    const lines = await until("it is seen by both", 10_000, async () => {
      const now = await linesOf(agent);
      return now.length >= 2 ? now : null;
    });
    expect(lines).toHaveLength(2);
    const [first, second] = lines;
    expect([first?.kind, second?.kind]).toEqual(["event", "way"]);
    expect([first?.event.way, second?.event.way].sort()).toEqual(["pet", "sel"]);
    expect(second?.id).toBe(first?.event.id);
    // A trap has a number only, its BMC the name.
    expect(first?.event.subject).toBe("DIMM A1");
    expect(second?.event.subject).toBe("DIMM A1");
    // An emulated BMC sends a trap again after three seconds, as long as it is not acknowledged.
    await Bun.sleep(3_500);
    expect(bmc.running.said.filter((line) => line.startsWith("trap sent"))).toHaveLength(1);
    // Killed, and an error while it is away: one more event, nothing again.
    await agent.kill("SIGKILL");
    await bmc.control("event memory 0");
    const again = await start(4, flags);
    const after = await until("what was missed is told", 15_000, async () => {
      const now = await linesOf(again);
      return now.some(({ event }) => /: correctable/.test(event.text)) ? now : null;
    });
    expect(after.filter(({ kind }) => kind === "event")).toHaveLength(2);
    await again.kill();
  }, 60_000);

  test("that pushes by Redfish is heard at once", async () => {
    const running = new Running(["bmc", "emulate", "--redfish", "127.0.0.1:0", "--json"]);
    const ready = await running.line((line) => line.startsWith("{"));
    const [url = ""] = (JSON.parse(ready) as { readonly urls: readonly string[] }).urls;
    const agent = await start(5, ["--bmc", url, "--bmc-poll-seconds", "60"]);
    await until("it pushes", 15_000, () => (agent.log().includes("pushes events") ? true : null));
    const startMs = performance.now();
    void running.child.stdin.write("event memory 1\n");
    void running.child.stdin.flush();
    await until("it is heard", 10_000, () =>
      agent.log().includes("uncorrectable memory error") ? true : null,
    );
    // Far below the poll of a minute.
    expect(performance.now() - startMs).toBeLessThan(5_000);
    const lines = await linesOf(agent);
    expect(lines.filter(({ kind }) => kind === "event")).toHaveLength(1);
    expect(lines[0]?.event.way).toMatch(/^redfish-/);
    await agent.kill("SIGTERM");
    await running.stop("SIGTERM");
  }, 60_000);

  const snmp = realPart("snmptrap", () => hasCommand("snmptrap"), "apt-get install snmp");
  snmp(
    "that is net-snmp's snmptrap is understood",
    async () => {
      const pet = `${cluster.addressOf(6)}:1162`;
      const agent = await start(6, ["--pet", pet]);
      const seconds = Math.floor(Date.now() / 1000);
      const trap = {
        ...{ sensorType: 0x04, eventType: 0x6f, isAssertion: true, offset: 0 },
        ...{ guid: "00112233445566778899aabbccddeeff", sequence: 9 },
        ...{ timestamp: seconds - PET_EPOCH_SECONDS, utcOffsetMinutes: 0 },
        ...{ trapSource: 0x20, eventSource: 0x20, severity: 0x20, sensorDevice: 0x20 },
        ...{ sensorNumber: 0x42, entityId: 29, entityInstance: 1, language: 25 },
        eventData: Uint8Array.of(0, 255, 255, 255, 255, 255, 255, 255),
        ...{ manufacturerId: 343, systemId: 1, oem: new Uint8Array(0) },
      };
      const send = async (): Promise<void> => {
        const head = [
          "snmptrap",
          "-v",
          "1",
          "-c",
          "public",
          pet,
          "1.3.6.1.4.1.3183.1.1",
          "10.0.0.5",
        ];
        const body = ["6", String(specificTrapOf(trap)), "42", "1.3.6.1.4.1.3183.1.1.1", "x"];
        const cmd = [...head, ...body, encodePet(trap).toHex()];
        expect(await Bun.spawn({ cmd, stdio: ["ignore", "inherit", "inherit"] }).exited).toBe(0);
      };
      await send();
      await send();
      const lines = await until("it is there", 10_000, async () => {
        const now = await linesOf(agent);
        return now.length > 0 ? now : null;
      });
      expect(lines).toHaveLength(1);
      expect(lines[0]?.event).toMatchObject({
        way: "pet",
        severity: "non-recoverable",
        category: "fan",
        system: "00112233445566778899aabbccddeeff",
      });
      await agent.kill();
    },
    30_000,
  );
});

describe("a hook from another address", () => {
  const apart = realPart(
    "network namespaces and curl",
    () => canMakeNamespaces() && hasCommand("curl") && hasCommand("ip"),
    "run as root; apt-get install curl iproute2",
  );
  apart(
    "needs the token, over a real socket",
    async () => {
      const data = join(cluster.folder, "apart");
      const token = join(cluster.folder, "apart-token");
      writeFileSync(token, "a-token-of-some-length\n", { mode: 0o600 });
      const agent = ["agent", "--insecure", "--id", "n1", "--address", "10.77.0.1", "--data", data];
      const curlFrom = (from: string, more: string): string =>
        `curl -s -o /dev/null -w "%{http_code} " --interface ${from} --retry 20 --retry-connrefused --retry-delay 1 -d text=x ${more} http://10.77.0.1:7400/v1/hooks/event`;
      const script = [
        "ip link set lo up; ip addr add 10.77.0.1/24 dev lo; ip addr add 10.77.0.2/24 dev lo",
        `"$BUN" "$MAIN" ${agent.join(" ")} --shm ${cluster.sharedMemory} --hooks-token-file ${token} & agent=$!`,
        curlFrom("10.77.0.1", ""),
        curlFrom("10.77.0.2", ""),
        curlFrom("10.77.0.2", '-H "Authorization: Bearer another-token-of-length"'),
        curlFrom("10.77.0.2", '-H "Authorization: Bearer a-token-of-some-length"'),
        "kill $agent; wait $agent",
      ].join("\n");
      const child = Bun.spawn({
        cmd: ["unshare", "-n", "sh", "-c", script],
        env: { ...process.env, BUN: process.execPath, MAIN },
        stdio: ["ignore", "pipe", "ignore"],
      });
      expect((await child.stdout.text()).trim()).toBe("202 403 403 202");
      await child.exited;
    },
    60_000,
  );
});

describe("an agent that could not hear", () => {
  const flags = (index: number): string[] => {
    const data = join(cluster.folder, `bad${index}`);
    return ["agent", "--id", `n${index}`, "--address", cluster.addressOf(index), "--data", data];
  };

  test("does not start, and says why in one line", async () => {
    const socket = await Bun.udpSocket({ hostname: cluster.addressOf(8), port: 1162, socket: {} });
    const taken = await holdfast([...flags(8), "--pet", `${cluster.addressOf(8)}:1162`]);
    socket.close();
    expect(taken.code).toBe(78);
    expect(taken.stderr).toContain("is in use by another program, such as snmptrapd");
    const token = join(cluster.folder, "token");
    writeFileSync(token, "a-token-of-some-length", { mode: 0o644 });
    const open = await holdfast([...flags(8), "--hooks-token-file", token]);
    expect(open.code).toBe(78);
    expect(open.stderr).toContain(`chmod 600 ${token}`);
    expect(open.stderr.trimEnd().split("\n")).toHaveLength(1);
    const url = await holdfast([...flags(8), "--bmc", "lan://admin:secret@x"]);
    expect(url.code).toBe(2);
    expect(url.stderr).not.toContain("secret");
  }, 30_000);

  test("follows its events live for whoever asks, and says when it has gone", async () => {
    const agent = await start(9);
    const follower = new Running(["events", "--follow", "--json", "--agent", agent.at]);
    await holdfast(["hook", "text=live", "--agent", agent.at]);
    expect(await follower.line((line) => line.includes("live"))).toContain('"seq":1');
    await agent.kill();
    await follower.line((line) => line.includes("has gone"), { said: true });
    await follower.child.exited;
    expect(follower.child.exitCode).toBe(69);
  }, 30_000);
});
