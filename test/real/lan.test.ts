/**
 * BMCs over LAN: OpenIPMI's simulator with suite 3, a BMC in Python written apart from this code with suites 3 and 17, and the
 * emulator with its faults, all over real UDP sockets.
 *
 * What can go wrong is made to: a wrong password, an unknown user, a suite that is not there, nobody at the port, no route, a BMC
 * that stops to answer half way. Each has its own error, within a limit.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bmc } from "../../bmc/bmc.ts";
import type { BmcError } from "../../bmc/bmc-error.ts";
import type { FaultName } from "../../bmc/emulator/faults.ts";
import { type Emulator, startEmulator } from "../../bmc/emulator/io/emulator.ts";
import { readSel } from "../../bmc/ipmi/sel/sel-reader.ts";
import { parseBmcUrl } from "../../bmc/link/bmc-url.ts";
import { type LanConnection, openLan } from "../../bmc/link/io/lan.ts";
import { openBmc } from "../../bmc/link/io/open-bmc.ts";
import { PASSWORD_VARIABLE } from "../../bmc/link/io/password.ts";
import { runSteps } from "../../bmc/link/io/run-steps.ts";
import { canMakeNamespaces, hasCommand, realPart } from "../real-part.ts";
import {
  freePort,
  hasIpmiSim,
  type IpmiSim,
  SIM_GUID,
  SIM_PASSWORD,
  SIM_REMEDY,
  SIM_USER,
  startIpmiSim,
} from "./bmc/ipmi-sim.ts";

const LIMIT_MS = 60_000;
const FIXTURES = join(import.meta.dir, "bmc/fixtures");
const simulator = realPart("ipmi_sim", hasIpmiSim, SIM_REMEDY);
const python = realPart(
  "python3 and openssl",
  () => hasCommand("python3") && hasCommand("openssl"),
  "apt-get install python3 openssl",
);

async function opened(url: string, password: string): Promise<Bmc> {
  const bmc = await openBmc(url, { environment: { [PASSWORD_VARIABLE]: password } });
  if (!bmc.ok) throw new Error(`${bmc.error.kind}: ${bmc.error.detail}`);
  return bmc.value;
}

async function refusal(url: string, password: string): Promise<BmcError> {
  const bmc = await openBmc(url, { environment: { [PASSWORD_VARIABLE]: password } });
  if (!bmc.ok) {
    expect(bmc.error.detail).not.toContain(password);
    return bmc.error;
  }
  await bmc.value.close();
  throw new Error("it opens");
}

/** A program that was just started binds its port a little later. */
async function untilBound(url: string): Promise<void> {
  const limitMs = performance.now() + LIMIT_MS / 2;
  for (;;) {
    const bmc = await openBmc(url, { environment: { [PASSWORD_VARIABLE]: "nobody's" } });
    if (bmc.ok || bmc.error.kind !== "unreachable") return;
    if (performance.now() > limitMs) throw new Error(bmc.error.detail);
    await Bun.sleep(20);
  }
}

async function connected(url: string, password: string): Promise<LanConnection> {
  const address = parseBmcUrl(url);
  if (!address.ok || address.value.kind !== "lan") throw new Error(url);
  const connection = await openLan(address.value, { password, kg: null });
  if (!connection.ok) throw new Error(`${connection.error.kind}: ${connection.error.detail}`);
  return connection.value;
}

describe("ipmi_sim", () => {
  const RECORDS = 300;
  let sim: IpmiSim | null = null;
  beforeAll(async () => {
    if (hasIpmiSim()) sim = await startIpmiSim({ selRecords: RECORDS });
  }, LIMIT_MS);
  afterAll(async () => {
    await sim?.stop();
  });
  const urlWith = (query: string, user = SIM_USER): string =>
    `lan://${user}@127.0.0.1:${sim?.lanPort}${query}`;

  simulator("is asked who it is, with suite 3", async () => {
    const bmc = await opened(urlWith("?cipher=3"), SIM_PASSWORD);
    const identity = await bmc.identity();
    expect(identity.ok && identity.value.protocolVersion).toBe("2.0");
    expect(identity.ok && identity.value.guid).toBe(SIM_GUID);
    await bmc.close();
  });

  simulator("gives every record of its log once, in order, over a window that opened", async () => {
    const connection = await connected(urlWith("?cipher=3"), SIM_PASSWORD);
    const read = await runSteps(connection, readSel());
    if (!read.ok) throw new Error(read.error.detail);
    expect(read.value.records.map(({ recordId }) => recordId)).toEqual(
      Array.from({ length: RECORDS }, (_, n) => n + 1),
    );
    expect(read.value.info.entryCount).toBe(RECORDS);
    await connection.close();
  });

  simulator("is opened with suite 3 where both are allowed, and that is said", async () => {
    const notices: string[] = [];
    const bmc = await openBmc(urlWith(""), {
      environment: { [PASSWORD_VARIABLE]: SIM_PASSWORD },
      onNotice: (notice) => notices.push(notice),
    });
    expect(bmc.ok).toBe(true);
    expect(notices.join()).toContain("cipher suite 3 (SHA-1) is used");
    if (bmc.ok) await bmc.value.close();
  });

  simulator("tells a wrong password, an unknown user and a wrong suite apart", async () => {
    const password = await refusal(urlWith("?cipher=3"), "not-the-password");
    expect(password.kind).toBe("wrong-password");
    expect(password.detail).toContain("password");
    const user = await refusal(urlWith("?cipher=3", "nobody"), SIM_PASSWORD);
    expect(user.kind).toBe("wrong-password");
    expect(user.detail).toContain("no such user");
    expect((await refusal(urlWith("?cipher=17"), SIM_PASSWORD)).kind).toBe("wrong-cipher");
  });

  simulator("frees the slot of a session that is closed", async () => {
    // More than it has slots: one that were kept would be missed.
    for (let round = 0; round < 40; round++) {
      const connection = await connected(urlWith("?cipher=3"), SIM_PASSWORD);
      await connection.close();
    }
  });
});

describe("a BMC in Python, written apart", () => {
  let port = 0;
  let child: ReturnType<typeof Bun.spawn> | null = null;
  beforeAll(async () => {
    if (!hasCommand("python3") || !hasCommand("openssl")) return;
    port = await freePort();
    child = Bun.spawn(["python3", join(FIXTURES, "rmcpbmc.py"), String(port)], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    await untilBound(`lan://tester@127.0.0.1:${port}?cipher=17`);
  }, LIMIT_MS);
  afterAll(async () => {
    child?.kill("SIGKILL");
    await child?.exited;
  });
  const GET_DEVICE_ID = { netFn: 6, lun: 0, command: 1, data: new Uint8Array(0) };

  for (const cipher of [17, 3] as const) {
    python(`takes our session with suite ${cipher}, and answers in it`, async () => {
      const connection = await connected(
        `lan://tester@127.0.0.1:${port}?cipher=${cipher}`,
        "testpw",
      );
      expect(connection.suite).toBe(cipher);
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => connection.request(GET_DEVICE_ID)),
      );
      for (const answer of answers) {
        expect(answer.ok && answer.value.data.toHex()).toBe(
          "20010908 02bf 911200 020f".replaceAll(" ", ""),
        );
      }
      await connection.close();
    });

    python(`is not believed with another password, suite ${cipher}`, async () => {
      const error = await refusal(`lan://tester@127.0.0.1:${port}?cipher=${cipher}`, "another");
      expect(error.kind).toBe("wrong-password");
    });
  }
});

describe("the emulator over UDP", () => {
  let emulator: Emulator | null = null;
  const RECORDS = 200;
  beforeAll(async () => {
    emulator = await startEmulator({
      lan: { host: "127.0.0.1", port: 0 },
      pty: null,
      selFill: RECORDS,
    });
  });
  afterAll(async () => {
    await emulator?.stop();
  });
  const url = (query = ""): string => `lan://admin@127.0.0.1:${emulator?.lanPort}${query}`;

  async function withFault<T>(
    name: FaultName,
    value: number | null,
    body: () => Promise<T>,
  ): Promise<T> {
    emulator?.model.setFault(name, value);
    try {
      return await body();
    } finally {
      emulator?.model.endFault(name);
    }
  }

  async function readIds(): Promise<readonly number[]> {
    const connection = await connected(url(), "emulated");
    const read = await runSteps(connection, readSel());
    await connection.close();
    if (!read.ok) throw new Error(`${read.error.kind}: ${read.error.detail}`);
    return read.value.records.map(({ recordId }) => recordId);
  }

  test("with suite 17 and a password from a file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-lan-"));
    const path = join(folder, "pw");
    writeFileSync(path, "emulated\n", { mode: 0o600 });
    const bmc = await openBmc(url(`?password-file=${path}`), { environment: {} });
    rmSync(folder, { recursive: true });
    if (!bmc.ok) throw new Error(bmc.error.detail);
    expect((await bmc.value.identity()).ok).toBe(true);
    await bmc.value.close();
    const none = await openBmc(url(), { environment: {} });
    expect(!none.ok && none.error.kind).toBe("no-password");
  });

  const READABLE: readonly (readonly [FaultName, number | null])[] = [
    ["rakp2-tag-zero", null],
    ["rakp2-repeated", null],
    ["suite-3-only", null],
    ["drop", 3],
    ["duplicate", 30],
    ["reorder", 30],
    ["garbage", 30],
    ["delay", 5],
    ["out-of-order", null],
    ["one-outstanding", 2],
    ["busy", 20],
    ["session-expiry", 150],
    ["sel-ids-duplicate", null],
    ["sel-ids-cyclic", null],
  ];
  for (const [name, value] of READABLE) {
    test(
      `its log is read whole in spite of ${name}`,
      async () => {
        const ids = await withFault(name, value, readIds);
        expect(ids).toHaveLength(RECORDS);
        expect(new Set(ids).size).toBe(RECORDS);
      },
      LIMIT_MS,
    );
  }

  test(
    "one that stops half way is an error within a limit, not half a log",
    async () => {
      const connection = await connected(url(), "emulated");
      const startMs = performance.now();
      const read = await withFault("stops-after", 50, () => runSteps(connection, readSel()));
      expect(!read.ok && read.error.kind).toBe("timeout");
      expect(performance.now() - startMs).toBeLessThan(20_000);
      await connection.close();
    },
    LIMIT_MS,
  );

  test(
    "one that is started anew is asked in a new session by itself",
    async () => {
      const connection = await connected(url(), "emulated");
      const ask = { netFn: 6, lun: 0, command: 1, data: new Uint8Array(0) };
      expect((await connection.request(ask)).ok).toBe(true);
      const port = emulator?.lanPort ?? 0;
      await emulator?.stop();
      const refused = await connection.request(ask);
      expect(!refused.ok && refused.error.kind).toBe("unreachable");
      emulator = await startEmulator({
        lan: { host: "127.0.0.1", port },
        pty: null,
        selFill: RECORDS,
      });
      const again = await connection.request(ask);
      if (!again.ok) throw new Error(again.error.detail);
      expect(again.ok).toBe(true);
      await connection.close();
    },
    LIMIT_MS,
  );
});

describe("nobody there", () => {
  test("a port that nobody listens on is unreachable at once", async () => {
    const startMs = performance.now();
    const error = await refusal(`lan://a@127.0.0.1:${await freePort()}`, "some-password");
    expect(error.kind).toBe("unreachable");
    expect(error.detail).toContain("nobody listens");
    expect(performance.now() - startMs).toBeLessThan(2_000);
  });

  test(
    "a port that swallows everything is a timeout",
    async () => {
      const mute = await Bun.udpSocket({
        hostname: "127.0.0.1",
        socket: { data: () => undefined },
      });
      const startMs = performance.now();
      const error = await refusal(`lan://a@127.0.0.1:${mute.port}`, "some-password");
      mute.close();
      expect(error.kind).toBe("timeout");
      expect(performance.now() - startMs).toBeLessThan(12_000);
    },
    LIMIT_MS,
  );

  test(
    "a name that does not exist is unreachable, by its name",
    async () => {
      const error = await refusal("lan://a@no-such-bmc.invalid", "some-password");
      expect(error.kind).toBe("unreachable");
      expect(error.detail).toContain("no-such-bmc.invalid");
    },
    LIMIT_MS,
  );

  const namespaces = realPart("network namespaces", canMakeNamespaces, "run as root");
  namespaces("no route is unreachable, and says so", async () => {
    const script = `
      import { openBmc } from ${JSON.stringify(join(import.meta.dir, "../../bmc/link/io/open-bmc.ts"))};
      const bmc = await openBmc("lan://a@10.99.0.1", { environment: { ${PASSWORD_VARIABLE}: "x" } });
      console.log(JSON.stringify(bmc));`;
    const child = Bun.spawn(["unshare", "-n", process.execPath, "-e", script], {
      stdin: "ignore",
      stderr: "ignore",
    });
    const result = JSON.parse(await child.stdout.text()) as { error: BmcError };
    expect(result.error.kind).toBe("unreachable");
    expect(result.error.detail).toContain("no way to it");
  });
});
