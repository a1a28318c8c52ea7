/**
 * What can be said of the system interface without one: each wrong device its own error, and the calls to libc after many
 * thousands of calls, since memory that moves shows only then. The rest runs in a guest: `test/real/kcs.test.ts`.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ERRNO, kcsOpenError } from "../kcs-error.ts";
import {
  closeDescriptor,
  IpmiDevice,
  openDescriptor,
  openWaker,
  type Waited,
  wake,
} from "./ipmi-device.ts";
import { openKcs } from "./kcs.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "holdfast-kcs-"));
const FILE = join(FOLDER, "file");
writeFileSync(FILE, "x");
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

const WARM_UP_CALLS = 25_000;

async function kindOf(path: string): Promise<string> {
  const opened = await openKcs(path);
  if (opened.ok) await opened.value.close();
  return opened.ok ? "opened" : `${opened.error.kind}: ${opened.error.detail}`;
}

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

describe("opening", () => {
  test("a device that does not exist is said to be missing, with what makes it", async () => {
    const said = await kindOf(join(FOLDER, "ipmi0"));
    expect(said).toStartWith("no-device: ");
    expect(said).toContain("modprobe ipmi_devintf");
  });

  test("what is no IPMI device is called that: a file, a folder, another device, a terminal", async () => {
    for (const path of [FILE, FOLDER, "/dev/null", "/dev/ptmx"]) {
      expect(await kindOf(path)).toStartWith(`not-an-ipmi-device: ${path} `);
    }
  });

  test("permission denied is its own error", async () => {
    if (process.getuid?.() === 0) {
      // Root may open everything: another process, that is not root, has to try.
      const code = `const { openKcs } = await import(${JSON.stringify(join(import.meta.dir, "kcs.ts"))});
        process.seteuid(65534);
        const opened = await openKcs(${JSON.stringify(FILE)});
        console.log(opened.ok ? "opened" : opened.error.kind);`;
      const child = Bun.spawnSync([process.execPath, "-e", code]);
      expect(child.stdout.toString()).toBe("permission-denied\n");
    } else expect(await kindOf("/etc/shadow")).toStartWith("permission-denied: ");
  });

  test("other numbers of the kernel become the kind that fits", () => {
    const kinds = Object.entries(ERRNO).map(
      ([name, errno]) => `${name} ${kcsOpenError("/dev/ipmi0", errno).kind}`,
    );
    expect(kinds).toContain("ENXIO no-device");
    expect(kinds).toContain("ENODEV no-device");
    expect(kinds).toContain("EBUSY device-in-use");
    expect(kinds).toContain("ENOMEM disconnected");
  });

  test("leaves no descriptor open when it fails", async () => {
    await kindOf(FILE);
    const before = descriptors();
    for (let round = 0; round < 100; round++) await kindOf(FILE);
    expect(descriptors()).toBe(before);
  });
});

describe("calls to libc, many thousand times", () => {
  test("open, close and their error numbers", () => {
    let wrong = 0;
    for (let round = 0; round < WARM_UP_CALLS; round++) {
      const fd = openDescriptor(FILE);
      if (fd < 0) wrong++;
      else closeDescriptor(fd);
      if (openDescriptor("/nowhere/at/all") !== -ERRNO.ENOENT) wrong++;
    }
    expect(wrong).toBe(0);
  });

  test("ioctl: a file refuses sending, receiving, the probe and the switch by ENOTTY", () => {
    const device = new IpmiDevice(openDescriptor(FILE));
    const request = { netFn: 6, lun: 0, command: 1, data: Uint8Array.of(1, 2, 3) };
    let wrong = 0;
    for (let round = 0; round < WARM_UP_CALLS; round++) {
      if (device.send(request, round) !== -ERRNO.ENOTTY) wrong++;
      if (device.probe() !== -ERRNO.ENOTTY) wrong++;
      if (device.setGetsEvents(true) !== -ERRNO.ENOTTY) wrong++;
      const received = device.receive();
      if (received.kind !== "failed" || received.errno !== ERRNO.ENOTTY) wrong++;
    }
    closeDescriptor(device.fd);
    expect(wrong).toBe(0);
  });

  test("poll tells in each call what is so then: nothing, readable, woken", () => {
    // A file is readable always; a waker only when it was woken.
    const file = new IpmiDevice(openDescriptor(FILE));
    const quiet = new IpmiDevice(openWaker());
    const waker = openWaker();
    const woken = openWaker();
    wake(woken);
    const counts: Record<Waited["kind"], number> = { readable: 0, woken: 0, nothing: 0, failed: 0 };
    for (let round = 0; round < WARM_UP_CALLS; round++) {
      counts[file.wait(waker, 0).kind]++;
      counts[quiet.wait(waker, 0).kind]++;
      counts[file.wait(woken, 0).kind]++;
    }
    for (const fd of [file.fd, quiet.fd, waker, woken]) closeDescriptor(fd);
    expect(counts).toEqual({
      readable: WARM_UP_CALLS,
      nothing: WARM_UP_CALLS,
      woken: WARM_UP_CALLS,
      failed: 0,
    });
  });

  test("poll of a descriptor that is closed fails instead of coming back for ever", () => {
    const fd = openDescriptor(FILE);
    const waker = openWaker();
    closeDescriptor(fd);
    expect(new IpmiDevice(fd).wait(waker, 1_000)).toEqual({ kind: "failed", errno: ERRNO.ENODEV });
    closeDescriptor(waker);
  });

  test("a wait ends when its limit is over", () => {
    const quiet = new IpmiDevice(openWaker());
    const waker = openWaker();
    const startMs = performance.now();
    expect(quiet.wait(waker, 50)).toEqual({ kind: "nothing" });
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(49);
    closeDescriptor(quiet.fd);
    closeDescriptor(waker);
  });
});
