/**
 * Goal: a connection over a serial port answers every request, tells every failure by its own kind, and leaves nothing open. Method:
 * the emulator at the other end of a pseudo-terminal, in both modes and both ways to read, with the habits and faults of real
 * BMCs; bare pseudo-terminals for lines that have no BMC.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Result } from "../../../core/result.ts";
import type { BmcError } from "../../bmc-error.ts";
import { type Emulator, type EmulatorConfig, startEmulator } from "../../emulator/io/emulator.ts";
import { getDeviceId } from "../../ipmi/app/get-device-id.ts";
import { requestOf } from "../../ipmi/ipmi.ts";
import { getSelEntry } from "../../ipmi/sel/get-sel-entry.ts";
import { readSel } from "../../ipmi/sel/sel-reader.ts";
import { openPty, type Pty } from "../../serial/io/pty.ts";
import type { SerialMode } from "../../serial/serial-line.ts";
import type { IpmiConnection, Unsolicited } from "./connection.ts";
import { runSteps } from "./run-steps.ts";
import { openSerial, type SerialOptions } from "./serial.ts";

const MODES = ["basic", "terminal"] as const;
const USER = "admin";
const PASSWORD = "emulated";
const DEVICE_ID = requestOf(getDeviceId, undefined);

const ended: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

function lockFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "hf-"));
  ended.push(async () => rmSync(folder, { recursive: true }));
  return folder;
}

async function emulator(
  pty: Omit<NonNullable<EmulatorConfig["pty"]>, "path">,
  config: Partial<EmulatorConfig> = {},
): Promise<Emulator> {
  const started = await startEmulator({ lan: null, ...config, pty: { path: null, ...pty } });
  ended.push(() => started.stop());
  return started;
}

interface Opening extends SerialOptions {
  readonly mode?: SerialMode;
  readonly userName?: string | null;
  readonly password?: string | null;
  readonly baudRate?: number;
}

async function open(
  devicePath: string,
  {
    mode = "basic",
    userName = null,
    password = null,
    baudRate = 115_200,
    ...options
  }: Opening = {},
): Promise<Result<IpmiConnection, BmcError>> {
  const place = { devicePath, baudRate, mode, userName };
  const opened = await openSerial(place, password, { lockFolder: lockFolder(), ...options });
  if (opened.ok) ended.push(() => opened.value.close());
  return opened;
}

function must<T>(result: Result<T, BmcError>): T {
  if (!result.ok) throw new Error(`${result.error.kind}: ${result.error.detail}`);
  return result.value;
}

function pathOf(started: Emulator): string {
  if (started.ptyPath === null) throw new Error("no terminal");
  return started.ptyPath;
}

function bare(): Pty {
  const pty = openPty();
  ended.push(() => pty.close());
  return pty;
}

function failed(result: Result<unknown, BmcError>): BmcError {
  if (result.ok) throw new Error("it did not fail");
  return result.error;
}

describe.each(MODES)("%s mode against the emulator", (mode) => {
  test.each(["stream", "worker"] as const)(
    "reads a log of 500 records, read by %s",
    async (way) => {
      const path = pathOf(await emulator({ mode }, { selFill: 500 }));
      const connection = must(await open(path, { mode, way }));
      const read = must(await runSteps(connection, readSel()));
      expect(read.records.map((record) => record.recordId)).toEqual(
        Array.from({ length: 500 }, (_, index) => index + 1),
      );
    },
    30_000,
  );

  test("logs in by password, and is refused with a wrong one", async () => {
    const path = pathOf(await emulator({ mode, needsSession: true }));
    const wrong = failed(await open(path, { mode, userName: USER, password: "not-it" }));
    expect(wrong.kind).toBe("wrong-password");
    expect(wrong.detail).not.toContain("not-it");
    const connection = must(await open(path, { mode, userName: USER, password: PASSWORD }));
    expect(must(await connection.request(DEVICE_ID)).completionCode).toBe(0);
    await connection.close();
    const again = must(await open(path, { mode, userName: USER, password: PASSWORD }));
    expect(must(await again.request(DEVICE_ID)).completionCode).toBe(0);
  }, 30_000);

  test("without a login a BMC that wants one answers that the privilege is too low", async () => {
    const path = pathOf(await emulator({ mode, needsSession: true }));
    const connection = must(await open(path, { mode }));
    expect(must(await connection.request(DEVICE_ID)).completionCode).toBe(0xd4);
  });

  test("bears noise on the line, handshakes inside messages, echo, pings and a slow BMC", async () => {
    const faults = [
      { name: "serial-noise", value: 10 },
      { name: "serial-handshake-inside" },
      { name: "delay", value: 5 },
    ] as const;
    const started = await emulator(
      { mode, hasEcho: true, hasHandshake: true, sendsPing: true },
      { selFill: 200, faults },
    );
    const connection = must(await open(pathOf(started), { mode }));
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) => {
        const args = { reservation: 0, recordId: index + 1, offset: 0, count: 0xff };
        return connection.request(requestOf(getSelEntry, args));
      }),
    );
    answers.forEach((answer, index) => {
      const { completionCode, data } = must(answer);
      expect(completionCode).toBe(0);
      expect((data[2] ?? 0) | ((data[3] ?? 0) << 8)).toBe(index + 1);
    });
  }, 60_000);

  test("a close ends what waits, gives the port back, and leaves no lock", async () => {
    const path = pathOf(await emulator({ mode }));
    const folder = lockFolder();
    const connection = must(await open(path, { mode, lockFolder: folder }));
    expect(readdirSync(folder)).toHaveLength(1);
    await connection.close();
    expect(readdirSync(folder)).toEqual([]);
    expect(failed(await connection.request(DEVICE_ID)).kind).toBe("disconnected");
    must(await open(path, { mode, lockFolder: folder }));
  });
});

describe("every newline that a BMC may be set to", () => {
  test.each(["crlf", "lf", "cr", "nul", "lfcr", "none"] as const)("%s", async (newline) => {
    const path = pathOf(await emulator({ mode: "terminal", newline, hasEcho: true }));
    const connection = must(await open(path, { mode: "terminal" }));
    expect(must(await connection.request(DEVICE_ID)).data.byteLength).toBeGreaterThanOrEqual(11);
  });
});

describe("the BMC's own messages", () => {
  test("a ping is told", async () => {
    const path = pathOf(await emulator({ mode: "basic", sendsPing: true }));
    const connection = must(await open(path));
    const heard = new Promise<Unsolicited>((resolve) => connection.onUnsolicited(resolve));
    expect(await heard).toMatchObject({ kind: "ping" });
  }, 10_000);

  test("no events are pushed over a serial line, and that is said", async () => {
    const path = pathOf(await emulator({ mode: "basic" }));
    expect(await must(await open(path)).enableEvents()).toEqual({ ok: true, value: false });
  });
});

describe("lines without a BMC", () => {
  const QUICK = { firstTimeoutMs: 100, triesMax: 2 };

  test("silence is a timeout that says that nothing came", async () => {
    const error = failed(await open(bare().slavePath, QUICK));
    expect(error).toMatchObject({
      kind: "timeout",
      detail: expect.stringContaining("nothing came"),
    });
  });

  test("a loop is told as one", async () => {
    const pty = bare();
    void (async () => {
      for (let bytes = await pty.read(); bytes !== null; bytes = await pty.read())
        await pty.write(bytes);
    })();
    const error = failed(await open(pty.slavePath, QUICK));
    expect(error).toMatchObject({ kind: "timeout", detail: expect.stringContaining("loop") });
  });

  test("the chatter of a host is told as the wrong rate, mode or owner of the line", async () => {
    const pty = bare();
    void (async () => {
      while ((await pty.read()) !== null) await pty.write(Buffer.from("login: \r\n"));
    })();
    const error = failed(await open(pty.slavePath, QUICK));
    expect(error).toMatchObject({
      kind: "timeout",
      detail: expect.stringContaining("rate and mode"),
    });
  });

  test("a hang-up while it logs in, and later, is a disconnection", async () => {
    const pty = bare();
    const opening = open(pty.slavePath);
    await pty.read();
    await pty.close();
    expect(failed(await opening).kind).toBe("disconnected");

    const started = await emulator({ mode: "basic" });
    const connection = must(await open(pathOf(started)));
    const asked = Promise.all([1, 2, 3].map(() => connection.request(DEVICE_ID)));
    await started.stop();
    await asked;
    expect(failed(await connection.request(DEVICE_ID))).toMatchObject({
      kind: "disconnected",
      detail: expect.stringContaining("hung up"),
    });
  });
});

describe("what cannot be opened", () => {
  test.each([
    ["/dev/null", "not-a-terminal"],
    ["/dev/not-there", "no-device"],
  ])("%s: %s", async (path, kind) => {
    expect(failed(await open(path))).toMatchObject({ kind, detail: expect.stringContaining(path) });
  });

  test("a port that is in use", async () => {
    const path = pathOf(await emulator({ mode: "basic" }));
    must(await open(path));
    expect(failed(await open(path)).kind).toBe("device-in-use");
  });

  test("a user without a password", async () => {
    expect(failed(await open("/dev/null", { userName: USER })).kind).toBe("no-password");
  });
});
