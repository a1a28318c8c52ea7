/**
 * Goal: the binding does what its interface says, both ways to read, and loses nothing. Method: pseudo-terminals whose other side is
 * in this process: they keep rates and settings, hang up, and fill up, as ports do. What they have not (modem lines, parity, a driver
 * that refuses a rate) is tested on drivers of real ports in a guest (`test/real`).
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DisconnectedError, SerialPortStream } from "@serialport/stream";
import { type LinuxBinding, linuxBinding } from "./linux-binding.ts";
import type { LinuxPort } from "./linux-port.ts";
import type { LinuxOpenOptions } from "./port-options.ts";
import { openPty, type Pty } from "./pty.ts";
import { readLine } from "./termios.ts";

const WAYS = ["stream", "worker"] as const;
const HOLDER = join(import.meta.dir, "../harness/hold-port.ts");

let folder = "";
let pty: Pty;
let ports: LinuxPort[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hf-"));
  pty = openPty();
  ports = [];
});

afterEach(async () => {
  for (const port of ports) if (port.isOpen) await port.close();
  await pty.close();
  rmSync(folder, { recursive: true });
});

async function open(options: Partial<LinuxOpenOptions> = {}): Promise<LinuxPort> {
  const given = { path: pty.slavePath, baudRate: 115_200, lockFolder: folder, ...options };
  const port = await linuxBinding.open(given);
  ports.push(port);
  return port;
}

async function readBytes(port: LinuxPort, count: number): Promise<Buffer> {
  const buffer = Buffer.alloc(count);
  let done = 0;
  while (done < count) done += (await port.read(buffer, done, count - done)).bytesRead;
  return buffer;
}

async function readText(port: LinuxPort, count: number): Promise<string> {
  return (await readBytes(port, count)).toString("latin1");
}

/** Sends back what comes, until the end. */
async function echo(): Promise<void> {
  for (let bytes = await pty.read(); bytes !== null; bytes = await pty.read()) {
    await pty.write(bytes);
  }
}

function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  );
}

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const limitMs = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > limitMs) throw new Error(`not within 5 s: ${what}`);
    await Bun.sleep(2);
  }
}

describe.each(WAYS)("read by %s", (way) => {
  test("bytes go both ways unchanged, all 256 of them", async () => {
    const port = await open({ way });
    const all = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
    void echo();
    await port.write(all);
    expect(await readBytes(port, 256)).toEqual(all);
  });

  test("a read takes no more than it has room for, and leaves the rest", async () => {
    const port = await open({ way });
    await pty.write(Buffer.from("abcdef"));
    const buffer = Buffer.from("........");
    let text = "";
    while (text.length < 6) {
      const { bytesRead, buffer: same } = await port.read(buffer, 2, 2);
      expect(same).toBe(buffer);
      expect(bytesRead).toBeLessThanOrEqual(2);
      text += buffer.toString("latin1", 2, 2 + bytesRead);
    }
    expect(text).toBe("abcdef");
    expect(buffer.toString("latin1", 4)).toBe("....");
  });

  test("20,000 requests have their answers, each its own, none lost", async () => {
    const port = await open({ way });
    void echo();
    const buffer = Buffer.alloc(64);
    const request = Buffer.from("................");
    for (let number = 0; number < 20_000; number++) {
      request.writeUInt32LE(number, 0);
      await port.write(request);
      let got = 0;
      while (got < 16) got += (await port.read(buffer, got, 64 - got)).bytesRead;
      if (got !== 16 || buffer.readUInt32LE(0) !== number) throw new Error(`answer ${number}`);
    }
  }, 60_000);

  test("a burst arrives whole and in order, and the reader takes no more than it can hold", async () => {
    const port = await open({ way });
    const blocks = 48;
    let written = 0;
    const writing = (async () => {
      for (let block = 0; block < blocks; block++) {
        await pty.write(new Uint8Array(65_536).fill(block));
        written++;
      }
    })();
    await until(() => written > 0 || way === "stream", "the first block");
    await Bun.sleep(100);
    expect(written).toBeLessThan(16);
    for (let block = 0; block < blocks; block++) {
      const bytes = await readBytes(port, 65_536);
      if (!bytes.every((byte) => byte === block)) throw new Error(`block ${block}`);
    }
    await writing;
  }, 30_000);

  test("100 times opened, used and closed, nothing is left: no descriptor, no lock, no thread's answer", async () => {
    void echo();
    await (await open({ way })).close();
    const before = descriptors();
    for (let turn = 0; turn < 100; turn++) {
      const port = await open({ way });
      const text = `turn ${turn}`;
      await port.write(Buffer.from(text));
      expect(await readText(port, text.length)).toBe(text);
      await port.close();
    }
    await until(() => descriptors() <= before, "descriptors are closed");
    expect(readdirSync(folder)).toEqual([]);
  }, 60_000);

  test("a read that waits ends as cancelled when the port is closed", async () => {
    const port = await open({ way });
    const reading = failureOf(port.read(Buffer.alloc(8), 0, 8));
    await port.close();
    expect(port.isOpen).toBe(false);
    expect(await reading).toMatchObject({ canceled: true });
    expect(await failureOf(port.read(Buffer.alloc(8), 0, 8))).toMatchObject({ canceled: true });
    expect(await failureOf(port.close())).toBeInstanceOf(Error);
  });

  test("a hang-up ends reads and writes as a disconnection, and the port can still be closed", async () => {
    const port = await open({ way });
    const reading = failureOf(port.read(Buffer.alloc(8), 0, 8));
    await pty.close();
    expect(await reading).toMatchObject({
      kind: "disconnected",
      disconnect: true,
      canceled: false,
    });
    expect(await failureOf(port.write(Buffer.from("x")))).toMatchObject({ disconnect: true });
    expect(await failureOf(port.getBaudRate())).toMatchObject({ disconnect: true });
    await port.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("flush throws away what came before it and nothing after", async () => {
    const port = await open({ way });
    for (let turn = 0; turn < 20; turn++) {
      await pty.write(Buffer.from("stale"));
      if (turn % 2 === 0) expect(await readText(port, 1)).toBe("s");
      await port.flush();
      await pty.write(Buffer.from("fresh"));
      expect(await readText(port, 5)).toBe("fresh");
    }
    const waiting = readText(port, 5);
    await port.flush();
    await pty.write(Buffer.from("later"));
    expect(await waiting).toBe("later");
  });

  test("a stream of @serialport/stream carries data, and closes as disconnected when the line hangs up", async () => {
    const stream = new SerialPortStream<LinuxBinding>({
      binding: linuxBinding,
      path: pty.slavePath,
      baudRate: 9600,
      way,
      lockFolder: folder,
    });
    void echo();
    let heard = "";
    stream.on("data", (bytes: Buffer) => {
      heard += bytes.toString("latin1");
    });
    await new Promise<void>((resolve) => stream.on("open", () => resolve()));
    stream.write("hello ");
    stream.write("world");
    await until(() => heard === "hello world", "the echo");
    const closed = new Promise<unknown>((resolve) => stream.on("close", resolve));
    await pty.close();
    const error = await closed;
    expect(error).toBeInstanceOf(DisconnectedError);
    expect(error).toMatchObject({ disconnected: true });
    expect(stream.isOpen).toBe(false);
  });
});

describe("settings", () => {
  test("any rate is set, read back and changed", async () => {
    const port = await open({ baudRate: 250_000 });
    expect(await port.getBaudRate()).toEqual({ baudRate: 250_000 });
    await port.update({ baudRate: 31_250 });
    expect(await port.getBaudRate()).toEqual({ baudRate: 31_250 });
    expect(await failureOf(port.update({ baudRate: -1 }))).toMatchObject({ kind: "bad-request" });
    expect(await port.getBaudRate()).toEqual({ baudRate: 31_250 });
  });

  test("what was asked for stands in the terminal", async () => {
    await open({
      rtscts: true,
      stopBits: 2,
      xon: true,
      xoff: true,
      hupcl: false,
      vmin: 2,
      vtime: 5,
    });
    const line = readLine(pty.slaveFd);
    const view = new DataView(line.buffer, line.byteOffset);
    expect(view.getUint32(0, true)).toBe(0x1 | 0x4 | 0x400 | 0x1000);
    // CRTSCTS, input rate by BOTHER, BOTHER, CLOCAL, CREAD, two stop bits, eight bits; no HUPCL.
    expect(view.getUint32(8, true)).toBe(0x9000_18f0);
    expect([line[22], line[23]]).toEqual([5, 2]);
  });

  test("modem lines that a terminal has not are all off, and setting them is no error", async () => {
    const port = await open();
    expect(await port.get()).toEqual({ cts: false, dsr: false, dcd: false });
    await port.set({ dtr: false, rts: false, brk: true });
    await port.set({});
  });

  test("drain waits for a write that is under way, and a closed port gives both up", async () => {
    const port = await open();
    const big = Buffer.alloc(200_000, 0x55);
    let isWritten = false;
    const writing = port.write(big).then(() => {
      isWritten = true;
    });
    const draining = port.drain().then(() => isWritten);
    await Bun.sleep(50);
    expect(isWritten).toBe(false);
    let taken = 0;
    while (taken < big.byteLength) taken += (await pty.read())?.byteLength ?? 0;
    await writing;
    expect(await draining).toBe(true);

    const stuck = failureOf(port.write(big));
    const waiting = failureOf(port.drain());
    await Bun.sleep(20);
    await port.close();
    expect(await stuck).toMatchObject({ canceled: true });
    expect(await waiting).toMatchObject({ canceled: true });
  });
});

describe("one user at a time", () => {
  test("a second opener is told that the port is in use, until the first has closed", async () => {
    const link = join(folder, "link");
    symlinkSync(pty.slavePath, link);
    const first = await open();
    expect(await failureOf(open({ path: link }))).toMatchObject({ kind: "device-in-use" });
    await first.close();
    await (await open({ path: link })).close();
  });

  test("the device itself is locked as well, for programs that know nothing of our file", async () => {
    await open();
    const elsewhere = mkdtempSync(join(folder, "locks-"));
    expect(await failureOf(open({ lockFolder: elsewhere }))).toMatchObject({
      kind: "device-in-use",
    });
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  test("without lock two may open it", async () => {
    const first = await open({ lock: false });
    const second = await open({ lock: false });
    expect([first.isOpen, second.isOpen]).toEqual([true, true]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a program that is killed blocks nobody, one that lives does", async () => {
    const holder = Bun.spawn([process.execPath, HOLDER, pty.slavePath, folder], {
      stdout: "pipe",
      stderr: "inherit",
    });
    const { value } = await holder.stdout.getReader().read();
    expect(Buffer.from(value ?? []).toString()).toBe("open\n");
    expect(await failureOf(open())).toMatchObject({ kind: "device-in-use" });
    holder.kill("SIGKILL");
    await holder.exited;
    const port = await open();
    const other = Bun.spawn([process.execPath, HOLDER, pty.slavePath, folder], { stdout: "pipe" });
    expect(await new Response(other.stdout).text()).toBe("device-in-use\n");
    await port.close();
  }, 30_000);
});

describe("what cannot be opened", () => {
  test.each([
    ["a path of nothing", () => join(folder, "nothing"), "no-device"],
    ["a broken link", () => brokenLink(), "no-device"],
    ["a file", () => emptyFile(), "not-a-terminal"],
    ["a folder", () => folder, "not-a-terminal"],
    ["a device that is no terminal", () => "/dev/null", "not-a-terminal"],
  ])("%s says so by its own kind", async (_name, make, kind) => {
    const path = make();
    const error = await failureOf(open({ path }));
    expect(error).toMatchObject({ kind, message: expect.stringContaining(path) });
    expect(readdirSync(folder).filter((name) => name.endsWith(".lock"))).toEqual([]);
  });

  test("a folder for locks that is not there is said", async () => {
    const lockFolder = join(folder, "nowhere");
    const error = await failureOf(open({ lockFolder }));
    expect(error).toMatchObject({
      kind: "permission-denied",
      message: expect.stringContaining(lockFolder),
    });
  });

  function brokenLink(): string {
    const path = join(folder, "broken");
    symlinkSync(join(folder, "gone"), path);
    return path;
  }

  function emptyFile(): string {
    const path = join(folder, "file");
    writeFileSync(path, "");
    return path;
  }
});
