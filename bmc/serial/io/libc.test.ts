/**
 * Goal: each native call of the serial ports does what its page says, however hot its callers become, and memory given to it
 * stays where it is. Method: every binding 20,000 times and more, its result checked each time: the fault of small typed arrays
 * never shows in a short test.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ffiBuffer, ffiText } from "../../../core/io/native.ts";
import { ERRNO, errno, libc, OPEN_FLAGS, SystemError } from "./libc.ts";
import { IOCTL, readBaudRate, readLine, TERMIOS2_BYTES } from "./termios.ts";

const CALLS = 20_000;
const FLAGS =
  OPEN_FLAGS.O_RDWR | OPEN_FLAGS.O_NOCTTY | OPEN_FLAGS.O_NONBLOCK | OPEN_FLAGS.O_CLOEXEC;

const folder = mkdtempSync(join(tmpdir(), "hf-"));
afterAll(() => rmSync(folder, { recursive: true }));

function must(condition: boolean, what: string, call: number): void {
  if (!condition) throw new Error(`${what}, call ${call}`);
}

/** A pseudo-terminal and its device, and what closes both. */
function openPair(): { master: number; slave: number; close: () => void } {
  const master = libc.posix_openpt(FLAGS);
  libc.grantpt(master);
  libc.unlockpt(master);
  const name = ffiBuffer(64);
  libc.ptsname_r(master, name.pointer, 64);
  const slave = libc.open(name.pointer, FLAGS, 0);
  return {
    master,
    slave,
    close: () => {
      libc.close(slave);
      libc.close(master);
    },
  };
}

describe("native calls, warmed up", () => {
  test("pseudo-terminals are made, named and opened", () => {
    const name = ffiBuffer(64);
    for (let call = 0; call < CALLS; call++) {
      const master = libc.posix_openpt(FLAGS);
      must(master >= 0, "posix_openpt", call);
      must(libc.grantpt(master) === 0 && libc.unlockpt(master) === 0, "grantpt, unlockpt", call);
      must(libc.ptsname_r(master, name.pointer, 64) === 0, "ptsname_r", call);
      must(name.u8[0] === 0x2f && name.u8[5] === 0x70 && name.u8[8] === 0x2f, "name", call);
      const slave = libc.open(name.pointer, FLAGS, 0);
      must(slave >= 0, "open", call);
      must(libc.close(slave) === 0 && libc.close(master) === 0, "close", call);
    }
  }, 60_000);

  test("ioctls with an address and with a number", () => {
    const pair = openPair();
    const line = ffiBuffer(TERMIOS2_BYTES);
    const count = ffiBuffer(4);
    for (let call = 0; call < CALLS; call++) {
      const baudRate = 50 + call;
      must(libc.ioctl(pair.slave, IOCTL.TCGETS2, line.pointer) === 0, "TCGETS2", call);
      line.view.setUint32(8, 0x1000_1cb0, true);
      line.view.setUint32(36, baudRate, true);
      line.view.setUint32(40, baudRate, true);
      must(libc.ioctl(pair.slave, IOCTL.TCSETS2, line.pointer) === 0, "TCSETS2", call);
      line.u8.fill(0);
      must(libc.ioctl(pair.slave, IOCTL.TCGETS2, line.pointer) === 0, "TCGETS2", call);
      must(line.view.getUint32(40, true) === baudRate, "rate as written", call);
      must(readBaudRate(pair.slave).output === baudRate, "rate as read", call);
      count.view.setInt32(0, -1, true);
      must(libc.ioctl(pair.slave, IOCTL.TIOCOUTQ, count.pointer) === 0, "TIOCOUTQ", call);
      must(count.view.getInt32(0, true) === 0, "an empty queue", call);
      must(libc.ioctl(pair.slave, IOCTL.TCFLSH, 2) === 0, "TCFLSH", call);
      must(libc.ioctl(pair.slave, IOCTL.TIOCMGET, count.pointer) === -1, "TIOCMGET", call);
      must(errno() === ERRNO.ENOTTY, "errno", call);
    }
    pair.close();
  });

  test("reads and writes of a terminal, poll between them", () => {
    const pair = openPair();
    // Raw: the line discipline would wait for a newline.
    const line = ffiBuffer(TERMIOS2_BYTES);
    line.u8.set(readLine(pair.slave));
    line.u8.fill(0, 0, 8);
    line.u8.fill(0, 12, 16);
    line.u8[23] = 1;
    expect(libc.ioctl(pair.slave, IOCTL.TCSETS2, line.pointer)).toBe(0);
    const out = ffiBuffer(4);
    const into = ffiBuffer(8);
    const polled = ffiBuffer(8);
    polled.view.setInt32(0, pair.slave, true);
    polled.view.setInt16(4, 1, true);
    for (let call = 0; call < CALLS; call++) {
      must(libc.poll(polled.pointer, 1, 0) === 0, "nothing to read", call);
      must(
        libc.read(pair.slave, into.pointer, 8) === -1 && errno() === ERRNO.EAGAIN,
        "EAGAIN",
        call,
      );
      out.view.setInt32(0, call, true);
      must(libc.write(pair.master, out.pointer, 4) === 4, "write", call);
      // The kernel hands over in a work queue of its own.
      must(libc.poll(polled.pointer, 1, 1_000) === 1, "poll", call);
      let got = 0;
      while (got < 4) {
        const count = libc.read(pair.slave, into.pointer + got, 8 - got);
        if (count > 0) got += count;
        else must(errno() === ERRNO.EAGAIN, "read", call);
      }
      must(into.view.getInt32(0, true) === call, "what was written", call);
    }
    pair.close();
  }, 30_000);

  test("pipes, locks and access", () => {
    const path = join(folder, "file");
    writeFileSync(path, "");
    const there = ffiText(path);
    const missing = ffiText(`${path}-not`);
    const fds = ffiBuffer(8);
    for (let call = 0; call < CALLS; call++) {
      must(
        libc.pipe2(fds.pointer, OPEN_FLAGS.O_NONBLOCK | OPEN_FLAGS.O_CLOEXEC) === 0,
        "pipe2",
        call,
      );
      const [reader, writer] = [fds.view.getInt32(0, true), fds.view.getInt32(4, true)];
      must(libc.write(writer, there.pointer, 1) === 1, "write", call);
      must(libc.close(reader) === 0 && libc.close(writer) === 0, "close", call);
      must(libc.access(there.pointer, 4) === 0, "access", call);
      must(libc.access(missing.pointer, 0) === -1 && errno() === ERRNO.ENOENT, "no access", call);
      const first = libc.open(there.pointer, OPEN_FLAGS.O_CLOEXEC, 0);
      const second = libc.open(there.pointer, OPEN_FLAGS.O_CLOEXEC, 0);
      must(libc.flock(first, 6) === 0, "flock", call);
      must(libc.flock(second, 6) === -1 && errno() === ERRNO.EAGAIN, "flock held", call);
      libc.close(first);
      must(libc.flock(second, 6) === 0, "flock after close", call);
      libc.close(second);
    }
  }, 30_000);
});

describe("what went wrong", () => {
  test("is said by its name, and whether the port is gone", () => {
    expect(new SystemError("cannot read", ERRNO.EIO)).toMatchObject({
      message: "cannot read: EIO",
      code: "EIO",
      disconnect: true,
    });
    expect(new SystemError("x", ERRNO.EACCES)).toMatchObject({ code: "EACCES", disconnect: false });
    expect(new SystemError("x", 9_999).message).toBe("x: errno 9999");
  });
});
