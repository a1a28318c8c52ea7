/**
 * Goal: the emulator is reached by real sockets, and everything of it is gone when it is stopped. Method: UDP on free ports of the
 * loopback, a Unix socket and a terminal in a folder of their own, conditions waited for with a limit.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodePetTrap } from "../../ipmi/pef/pet-trap.ts";
import { type Emulator, type EmulatorConfig, startEmulator } from "./emulator.ts";

const LIMIT_MS = 5_000;
const PING = Uint8Array.fromHex("0600ff06000011be80550000");
const LOOPBACK = { host: "127.0.0.1", port: 0 };

const endings: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function emulator(config: Partial<EmulatorConfig>): Promise<Emulator> {
  const started = await startEmulator({ lan: null, pty: null, ...config });
  endings.push(() => started.stop());
  return started;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "holdfast-emulator-"));
  endings.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const endMs = Date.now() + LIMIT_MS;
  while (!condition()) {
    if (Date.now() > endMs) throw new Error(`not in time: ${what}`);
    await Bun.sleep(5);
  }
}

/** A socket that keeps what it is sent. */
async function receiver() {
  const got: Uint8Array[] = [];
  const socket = await Bun.udpSocket({
    hostname: "127.0.0.1",
    socket: { data: (_socket, bytes) => void got.push(bytes.slice()) },
  });
  endings.push(() => socket.close());
  return { socket, got };
}

describe("an emulator that runs", () => {
  test("answers a presence ping, and is silent after it was stopped", async () => {
    const started = await emulator({ lan: LOOPBACK });
    const { socket, got } = await receiver();
    const port = started.lanPort ?? 0;
    socket.send(PING, port, "127.0.0.1");
    await until("pong", () => got.length === 1);
    expect(got[0]?.[8]).toBe(0x40);
    await started.stop();
    const taken = await Bun.udpSocket({ hostname: "127.0.0.1", port });
    taken.close();
  });

  test("lives on when a console has gone before its answer came", async () => {
    const started = await emulator({ lan: LOOPBACK, faults: [{ name: "delay", value: 20 }] });
    const port = started.lanPort ?? 0;
    for (let n = 0; n < 3; n++) {
      const gone = await Bun.udpSocket({ hostname: "127.0.0.1" });
      gone.send(PING, port, "127.0.0.1");
      gone.close();
    }
    // Its answer is delayed as theirs, so theirs were sent before.
    const { socket, got } = await receiver();
    await until("pong", () => {
      socket.send(PING, port, "127.0.0.1");
      return got.length > 0;
    });
  });

  test("sends traps, and again until they are acknowledged, by its own clock", async () => {
    const { socket, got } = await receiver();
    const destination = { address: "127.0.0.1", port: socket.port, timeoutMs: 50, retries: 2 };
    const bmc = { trapDestinations: [{ ...destination, isAcknowledged: true }] };
    const started = await emulator({ lan: LOOPBACK, bmc });
    expect(started.control("event memory 1")).toBe("ok DIMM A1, 1 records");
    await until("three traps", () => got.length === 3);
    const traps = got.map((bytes) => decodePetTrap(bytes));
    const sequences = traps.map((trap) => (trap.ok ? trap.value.pet.sequence : -1));
    expect(new Set(sequences).size).toBe(1);
  });

  test("takes lines on a Unix socket, several at once, and removes the socket", async () => {
    const path = join(folder(), "control");
    const started = await emulator({ controlPath: path });
    let text = "";
    const socket = await Bun.connect({
      unix: path,
      socket: {
        data: (_socket, bytes) => {
          text += bytes.toString();
        },
      },
    });
    socket.write("sel fill 3\nsel count\nno");
    socket.write("thing\n");
    await until("three lines", () => text.split("\n").length === 4);
    expect(text.split("\n").slice(0, 2)).toEqual(["ok 3 records", "ok 3"]);
    expect(text).toContain("error: unknown command nothing");
    socket.end();
    await started.stop();
    expect(existsSync(path)).toBe(false);
  });

  test("has a terminal at its path, and takes it away", async () => {
    const path = join(folder(), "tty");
    const started = await emulator({ pty: { path, mode: "terminal" } });
    expect(started.ptyPath).toBe(path);
    expect(readlinkSync(path)).toStartWith("/dev/pts/");
    await started.stop();
    expect(existsSync(path)).toBe(false);
  });

  test("changes the power when it is time, and tells it", async () => {
    const notices: string[] = [];
    const bmc = { powerDelayMs: 30 };
    const started = await emulator({ bmc, onNotice: (line) => void notices.push(line) });
    expect(started.control("power off")).toBe("ok off");
    expect(started.control("power")).toBe("ok on");
    await until("power off", () => started.control("power") === "ok off");
    expect(notices).toEqual(["power off (command)"]);
  });
});

describe("an emulator that cannot start", () => {
  test("names the address or the path that it cannot have", async () => {
    const { socket } = await receiver();
    const lan = { host: "127.0.0.1", port: socket.port };
    const failure = (config: EmulatorConfig): Promise<string> =>
      startEmulator(config).then(
        () => "it started",
        (error) => String(error),
      );
    expect(await failure({ lan, pty: null })).toContain(`127.0.0.1:${socket.port}`);
    const controlPath = join(folder(), "no", "such", "folder");
    expect(await failure({ lan: null, pty: null, controlPath })).toContain(controlPath);
  });
});
