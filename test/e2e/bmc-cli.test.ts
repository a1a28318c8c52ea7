/**
 * Goal: every `bmc` command works from the executable over LAN and over a serial line, and everything that can be wrong is one
 * line, an exit code of its own kind, no partial result, and an end in bounded time.
 * Method: the built binary against its own emulator as another process, faults switched on one by one.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BmcEvent, EventLog } from "../../bmc/bmc.ts";
import { BMC_ERRORS, type BmcErrorKind } from "../../bmc/bmc-error.ts";
import { canMakeNamespaces, hasCommand, realPart } from "../real-part.ts";
import { type Finished, until } from "./test-cluster.ts";
import { BINARY, binary, Running, TestEmulator } from "./test-emulator.ts";

let bmc: TestEmulator;

beforeAll(async () => {
  if (!existsSync(BINARY)) throw new Error("dist/holdfast is missing: bun build.ts");
  bmc = await TestEmulator.start(["--sel-fill", "20"]);
}, 20_000);

/** Ended at last, also where a test fails. */
const emulators: TestEmulator[] = [];

afterAll(() => Promise.all([bmc, ...emulators].map((emulator) => emulator.stop())));

const WIRES: readonly (readonly [string, () => string])[] = [
  ["LAN", () => bmc.lan],
  ["Basic Mode", () => bmc.basic],
  ["Terminal Mode", () => bmc.terminal],
];

async function json<T>(...args: readonly string[]): Promise<T> {
  const ended = await binary(["bmc", ...args, "--json"]);
  expect(ended).toMatchObject({ code: 0 });
  return JSON.parse(ended.stdout) as T;
}

describe.each(WIRES)("over %s", (_, url) => {
  const ask = <T>(...args: readonly string[]): Promise<T> => json<T>(...args, "--bmc", url());

  test("info, sel, sensors and fru tell what the BMC is made of", async () => {
    expect(await ask<object>("info")).toMatchObject({
      guid: "a123456789abcdef8123456789abcdef",
      firmware: "2.31",
      deviceId: 0x20,
    });
    const log = await ask<EventLog>("sel");
    expect(`${log.entries.length}`).toBe(/\d+/.exec(await bmc.control("sel count"))?.[0] ?? "");
    expect(new Set(log.entries.map(({ event }) => event.id)).size).toBe(log.entries.length);
    const sensors = await ask<{ name: string; value: number; unit: string }[]>("sensors");
    expect(sensors.find(({ name }) => name === "CPU0 Temp")).toMatchObject({
      unit: "°C",
      value: 48,
    });
    const [board] = await ask<{ fields: [string, string][] }[]>("fru");
    expect(board?.fields).toContainEqual(["board.serial", "BSN-0001"]);
  }, 60_000);

  test("power is switched and seen to be switched", async () => {
    const off = await ask<object>("power", "off", "--wait");
    expect(off).toMatchObject({ action: "off", verified: true, isOn: false });
    expect(await ask<object>("power")).toMatchObject({ isOn: false });
    expect(await ask<object>("power", "on", "--wait")).toMatchObject({
      verified: true,
      isOn: true,
    });
  }, 60_000);

  test("the watchdog is set, fed, read and stopped", async () => {
    await ask("watchdog", "set", "--action", "none", "--timeout", "60s");
    await ask("watchdog", "feed");
    expect(await ask<object>("watchdog")).toMatchObject({
      isRunning: true,
      action: "none",
      initialMs: 60_000,
    });
    await ask("watchdog", "off");
    expect(await ask<object>("watchdog", "status")).toMatchObject({ isRunning: false });
  }, 60_000);

  test("identify and raw reach it", async () => {
    await ask("identify", "5");
    expect(await ask<object>("raw", "06", "01")).toMatchObject({ completionCode: 0 });
    const refused = await binary(["bmc", "raw", "06", "7f", "--bmc", url()]);
    expect(refused).toMatchObject({ code: 87, stdout: "c1\n" });
  }, 60_000);

  test("an event is told when it happens, once, also by a watch that begins again", async () => {
    const state = join(bmc.folder, `watch-${url().replaceAll(/\W/g, "")}.json`);
    const flags = ["bmc", "watch", "--json", "--poll", "200ms", "--state", state, "--bmc", url()];
    const first = new Running(flags);
    await until("the watch remembers", 15_000, () => (existsSync(state) ? true : null));
    await bmc.control("event memory 1");
    const told = JSON.parse(await first.line((line) => line.startsWith("{"))) as BmcEvent;
    expect(told).toMatchObject({ category: "memory", severity: "critical" });
    expect(await first.stop()).toBe(0);
    await bmc.control("event memory 0");
    const second = new Running(flags);
    const missed = JSON.parse(await second.line((line) => line.startsWith("{"))) as BmcEvent;
    expect(missed.id).not.toBe(told.id);
    expect(missed.text).toContain("correctable memory error");
    expect(await second.stop("SIGTERM")).toBe(0);
    const ids = (lines: readonly string[]) =>
      lines.map((line) => (JSON.parse(line) as BmcEvent).id);
    expect([ids(first.lines), ids(second.lines)]).toEqual([[told.id], [missed.id]]);
  }, 60_000);
});

describe("the log", () => {
  test("is shown to people as a table, and is cleared", async () => {
    const other = await TestEmulator.start(["--sel-fill", "3"]);
    emulators.push(other);
    const table = await binary(["bmc", "sel", "--bmc", other.lan]);
    expect(table.stdout.split("\n")[0]).toMatch(/^ID +TIME +SEVERITY +CATEGORY +EVENT$/);
    expect(table.stdout.trimEnd().split("\n")).toHaveLength(4);
    expect(await binary(["bmc", "sel", "--clear", "--bmc", other.lan])).toMatchObject({ code: 0 });
    const empty = await binary(["bmc", "sel", "--bmc", other.lan]);
    expect(empty).toMatchObject({ code: 0, stdout: "no entries\n" });
  }, 30_000);

  test("of thousands of entries comes whole through a slow reader, or not at all", async () => {
    const big = await TestEmulator.start(["--sel-fill", "4000"]);
    emulators.push(big);
    const command = `"${BINARY}" bmc sel --json --bmc ${big.lan} | (sleep 0.5; cat)`;
    const child = Bun.spawn({
      cmd: ["sh", "-c", command],
      env: { ...process.env, HOLDFAST_BMC_PASSWORD: "emulated" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const log = JSON.parse(await child.stdout.text()) as EventLog;
    expect(log.entries).toHaveLength(4_000);
    await child.exited;
  }, 60_000);
});

describe("the emulator", () => {
  test("refuses what it does not know, and names an address or path that it cannot have", async () => {
    const emulate = (...flags: readonly string[]) => binary(["bmc", "emulate", ...flags]);
    const nothing = await emulate();
    expect(nothing).toMatchObject({ code: 2, stdout: "" });
    expect(nothing.stderr).toContain("give --lan ADDRESS:PORT");
    const fault = await emulate("--lan", "127.0.0.1:0", "--fault", "gremlins");
    expect(fault).toMatchObject({ code: 2, stdout: "" });
    expect(fault.stderr).toContain("--fault help lists them");
    const value = await emulate("--lan", "127.0.0.1:0", "--fault", "drop=200");
    expect(value).toMatchObject({ code: 2, stdout: "" });
    const port = /:(\d+)$/.exec(bmc.lan)?.[1] ?? "";
    const taken = await emulate("--lan", `127.0.0.1:${port}`);
    expect(taken).toMatchObject({ code: 73, stdout: "" });
    expect(taken.stderr).toContain(`127.0.0.1:${port}`);
    const path = await emulate("--pty", "/no/such/folder/tty");
    expect(path).toMatchObject({ code: 73, stdout: "" });
    expect((await emulate("--fault", "help")).stdout).toContain("rakp2-tag-zero");
  }, 30_000);

  test("has the password that it is given", async () => {
    const env = { HOLDFAST_BMC_PASSWORD: "of its own" };
    const running = new Running(["bmc", "emulate", "--lan", "127.0.0.1:0", "--user", "root"], env);
    const url = (await running.line((line) => line.startsWith("ready: lan:"))).slice(7);
    expect(url).toContain("lan://root@");
    expect(await binary(["bmc", "info", "--bmc", url], { env })).toMatchObject({ code: 0 });
    expect(await binary(["bmc", "info", "--bmc", url])).toMatchObject({ code: 82 });
    expect(await running.stop()).toBe(0);
  }, 30_000);
});

describe("a reader that has enough", () => {
  test.each([["sel"], ["watch", "--old", "--poll", "200ms"]])(
    "ends %s with 141 and no noise",
    async (...command) => {
      const shell = `"${BINARY}" bmc ${command.join(" ")} --json --bmc ${bmc.lan} 2>err | head -c 100 >/dev/null; echo "\${PIPESTATUS[0]}"`;
      const child = Bun.spawn({
        cmd: ["bash", "-c", shell],
        cwd: bmc.folder,
        env: { ...process.env, HOLDFAST_BMC_PASSWORD: "emulated" },
        stdio: ["ignore", "pipe", "inherit"],
      });
      const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
      // Whoever prints learns that nobody reads when it prints again: so something happens until it has ended.
      const ended = child.stdout.text();
      while (child.exitCode === null) {
        await bmc.control("event memory 1");
        await Promise.race([child.exited, Bun.sleep(100)]);
      }
      const code = (await ended).trim();
      clearTimeout(timer);
      // All of it may have been in the pipe before the reader went.
      expect(["0", "141"]).toContain(code);
      expect(readFileSync(join(bmc.folder, "err"), "utf8")).not.toContain("defect");
    },
    30_000,
  );
});

/** Whatever is wrong: one line that names it, the code of its kind, nothing that looks like a result. */
function expectFailure(ended: Finished, kind: BmcErrorKind, said: string): void {
  expect(ended.code).toBe(BMC_ERRORS[kind].exitCode);
  expect(ended.stdout).toBe("");
  expect(ended.stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(ended.stderr).toStartWith("holdfast: ");
  expect(ended.stderr).toContain(said);
}

async function withFault(
  fault: string,
  flags: readonly string[],
  run: (emulator: TestEmulator) => Promise<void>,
): Promise<void> {
  const emulator = await TestEmulator.start(["--fault", fault, ...flags]);
  try {
    await run(emulator);
  } finally {
    await emulator.stop();
  }
}

describe("bad input", () => {
  test("a wrong password", async () => {
    for (const password of ["wrong", "", "emulated "]) {
      const env = { HOLDFAST_BMC_PASSWORD: password };
      const ended = await binary(["bmc", "info", "--bmc", bmc.lan], { env });
      expectFailure(ended, "wrong-password", "does not know this password");
    }
  }, 30_000);

  test("no password, and one that others can read", async () => {
    const env = { HOLDFAST_BMC_PASSWORD: undefined };
    const none = await binary(["bmc", "info", "--bmc", bmc.lan], { env });
    expectFailure(none, "no-password", "HOLDFAST_BMC_PASSWORD");
    const path = join(bmc.folder, "password");
    writeFileSync(path, "emulated\n", { mode: 0o644 });
    const flags = ["bmc", "info", "--bmc", bmc.lan, "--password-file", path];
    expectFailure(await binary(flags, { env }), "no-password", `chmod 600 ${path}`);
    chmodSync(path, 0o600);
    expect(await binary(flags, { env })).toMatchObject({ code: 0 });
  }, 30_000);

  test("a password in the URL, which is not repeated", async () => {
    const ended = await binary(["bmc", "info", "--bmc", "lan://admin:secret@127.0.0.1"]);
    expectFailure(ended, "bad-url", "a password does not belong into a URL");
    expect(ended.stderr).not.toContain("secret");
  });

  test(
    "a wrong cipher",
    () =>
      withFault("suite-17-only", [], async ({ lan }) => {
        const ended = await binary(["bmc", "info", "--bmc", `${lan}?cipher=3`]);
        expectFailure(ended, "wrong-cipher", "cipher");
        const none = await binary(["bmc", "info", "--bmc", `${lan}?cipher=0`]);
        expectFailure(none, "bad-url", "only suites 17 and 3");
      }),
    40_000,
  );

  test("nobody at that port", async () => {
    const ended = await binary(["bmc", "info", "--bmc", "lan://admin@127.0.0.1:9"]);
    expectFailure(ended, "unreachable", "nobody listens");
  });

  realPart(
    "network namespaces",
    canMakeNamespaces,
    "run as root",
  )("no route", async () => {
    const through = ["unshare", "-n"];
    const ended = await binary(["bmc", "info", "--bmc", "lan://admin@10.9.9.9"], { through });
    expectFailure(ended, "unreachable", "there is no way to it");
  });

  test(
    "a BMC that stops answering half way",
    () =>
      withFault("stops-after=40", ["--sel-fill", "200"], async ({ lan }) => {
        const ended = await binary(["bmc", "sel", "--json", "--bmc", lan], { withinMs: 60_000 });
        expectFailure(ended, "timeout", "does not answer");
      }),
    90_000,
  );

  test(
    "a serial line that falls silent half way",
    () =>
      withFault("stops-after=40", ["--sel-fill", "200"], async ({ basic }) => {
        const ended = await binary(["bmc", "sel", "--json", "--bmc", basic], { withinMs: 60_000 });
        expectFailure(ended, "timeout", "answer");
      }),
    90_000,
  );

  test("a device that is no terminal, or is not there", async () => {
    for (const path of ["/dev/null", "/etc/passwd"]) {
      const ended = await binary(["bmc", "info", "--bmc", `serial:${path}`]);
      expectFailure(ended, "not-a-terminal", path);
    }
    const none = await binary(["bmc", "info", "--bmc", "serial:/dev/no-such-tty"]);
    expectFailure(none, "no-device", "/dev/no-such-tty");
    const kcs = await binary(["bmc", "info", "--bmc", "kcs:/dev/null"]);
    expectFailure(kcs, "not-an-ipmi-device", "/dev/null");
  });

  const hasUart = (): boolean =>
    /uart:(?!unknown)/.test(readFileSync("/proc/tty/driver/serial", "utf8"));
  realPart(
    "a serial port",
    hasUart,
    "a machine with a UART",
  )("a baud rate that the driver refuses", async () => {
    // A terminal of the kernel takes any rate; a 16550 makes 115200 at most.
    const ended = await binary(["bmc", "info", "--bmc", "serial:/dev/ttyS0?baud=3999999"]);
    expectFailure(ended, "baud-refused", "3999999");
  });

  realPart(
    "another user",
    () => hasCommand("setpriv") && process.getuid?.() === 0,
    "run as root",
  )("a device that this user may not open", async () => {
    const device = readlinkSync(ttyOf(bmc));
    chmodSync(device, 0o000);
    const through = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const ended = await binary(["bmc", "info", "--bmc", `serial:${device}`], { through });
    chmodSync(device, 0o600);
    expectFailure(ended, "permission-denied", device);
  });

  test(
    "a truncated SDR",
    () =>
      withFault("sdr-truncated", [], async ({ lan }) => {
        expectFailure(
          await binary(["bmc", "sensors", "--bmc", lan]),
          "truncated-record",
          "not whole",
        );
      }),
    30_000,
  );

  test(
    "a FRU with a wrong checksum is shown as damaged, and does not end with 0",
    () =>
      withFault("fru-bad-checksum", [], async ({ lan }) => {
        const ended = await binary(["bmc", "fru", "--bmc", lan]);
        expect(ended.code).toBe(BMC_ERRORS["bad-checksum"].exitCode);
        expect(ended.stdout).toContain("damaged: a checksum is wrong");
        expect(ended.stdout).toContain("PSN-0001");
        expect(ended.stderr.trimEnd().split("\n")).toHaveLength(1);
      }),
    30_000,
  );

  test(
    "a log that is cleared while it is read is an error or whole, never a part",
    () =>
      withFault("delay=30", ["--sel-fill", "1000"], async (emulator) => {
        const reading = binary(["bmc", "sel", "--json", "--bmc", emulator.lan]);
        // In the middle of the reading: some hundred requests are through.
        await Bun.sleep(700);
        await emulator.control("sel clear");
        const ended = await reading;
        if (ended.code === 0) {
          const { length } = (JSON.parse(ended.stdout) as EventLog).entries;
          expect([0, 1, 1000]).toContain(length);
        } else expectFailure(ended, "changed-while-read", "log");
      }),
    60_000,
  );

  test(
    "a log that cannot be cleared because events keep coming",
    () =>
      withFault("sel-event-before-clear", ["--sel-fill", "3"], async ({ lan }) => {
        const ended = await binary(["bmc", "sel", "--clear", "--bmc", lan]);
        expectFailure(ended, "changed-while-read", "was not cleared");
      }),
    30_000,
  );

  test(
    "a machine that does not follow",
    () =>
      withFault("power-never", [], async ({ lan }) => {
        const ended = await binary(["bmc", "power", "off", "--within", "1s", "--bmc", lan]);
        expectFailure(ended, "timeout", "the machine is on");
      }),
    30_000,
  );

  test(
    "Ctrl-C in the middle ends with 130 and gives the session back",
    () =>
      withFault("delay=200", ["--sel-fill", "2000"], async ({ lan }) => {
        // A session of which each command leaves one behind would be gone after the emulator's sixteen.
        for (let round = 0; round < 20; round++) {
          const running = new Running(["bmc", "sel", "--bmc", lan]);
          await running.handlesSignals();
          // Some of them while they read, the others while they open their session.
          await Bun.sleep(round < 3 ? 1_500 : round * 10);
          expect(await running.stop()).toBe(130);
          expect(running.lines).toEqual([]);
        }
        expect(await binary(["bmc", "power", "--bmc", lan])).toMatchObject({ code: 0 });
      }),
    120_000,
  );
});

function ttyOf({ basic }: TestEmulator): string {
  return /^serial:([^?]+)/.exec(basic)?.[1] ?? "";
}
