/**
 * Goal: over a serial line holdfast reads from a BMC that is not ours what another client reads, and its binding works inside a
 * compiled executable. Method: OpenIPMI's simulator behind a pseudo-terminal of socat, in Basic and Terminal Mode, its log record by
 * record beside the raw records of ipmitool; small executables, made here and run in an empty folder.
 *
 * Drivers of real ports are in `kcs.test.ts`, since the guest is there; speed is measured in `bench/bmc-sel.ts`.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getDeviceId } from "../../bmc/ipmi/app/get-device-id.ts";
import { type IpmiRequest, requestOf } from "../../bmc/ipmi/ipmi.ts";
import { readSel } from "../../bmc/ipmi/sel/sel-reader.ts";
import type { IpmiConnection } from "../../bmc/link/io/connection.ts";
import { runSteps } from "../../bmc/link/io/run-steps.ts";
import { openSerial } from "../../bmc/link/io/serial.ts";
import { openPty, type Pty } from "../../bmc/serial/io/pty.ts";
import type { SerialMode } from "../../bmc/serial/serial-line.ts";
import { hasCommand, realPart } from "../real-part.ts";
import { ROOT } from "../steps.ts";
import {
  hasIpmiSim,
  type IpmiSim,
  ptyTo,
  SIM_REMEDY,
  type SimPty,
  startIpmiSim,
} from "./bmc/ipmi-sim.ts";
import type { SerialReport } from "./bmc/serial-probe.ts";

const simulator = realPart("ipmi_sim", hasIpmiSim, SIM_REMEDY);
const otherUser = realPart(
  "another user",
  () => process.getuid?.() === 0 && hasCommand("setpriv"),
  "run as root, apt-get install util-linux",
);
const RECORDS = 300;
const LIMIT_MS = 90_000;
const WAYS = ["stream", "worker"] as const;

const CODECS: readonly (readonly [SerialMode, "direct" | "terminal", string])[] = [
  ["basic", "direct", "serial-basic"],
  ["terminal", "terminal", "serial-terminal"],
];

interface Line {
  readonly sim: IpmiSim;
  readonly pty: SimPty;
}

async function withLine(
  codec: "direct" | "terminal",
  use: (line: Line) => Promise<void>,
): Promise<void> {
  const sim = await startIpmiSim({ codec, selRecords: RECORDS });
  try {
    const pty = await ptyTo(sim);
    try {
      await use({ sim, pty });
    } finally {
      await pty.stop();
    }
  } finally {
    await sim.stop();
  }
}

async function withConnection<T>(
  line: Line,
  mode: SerialMode,
  way: (typeof WAYS)[number],
  use: (connection: IpmiConnection) => Promise<T>,
): Promise<T> {
  const place = { devicePath: line.pty.path, baudRate: 115_200, mode, userName: null };
  const opened = await openSerial(place, null, { way });
  if (!opened.ok) throw new Error(`${opened.error.kind}: ${opened.error.detail}`);
  try {
    return await use(opened.value);
  } finally {
    await opened.value.close();
  }
}

/** The log as ipmitool reads it over the same line: 16 bytes a record. */
async function rawLogOf(line: Line, wire: string): Promise<readonly string[]> {
  const file = join(line.sim.folder, "sel.raw");
  const argv = ["ipmitool", "-I", wire, "-D", `${line.pty.path}:115200`, "sel", "writeraw", file];
  const child = Bun.spawn(argv, { stdout: "ignore", stderr: "pipe" });
  const complaint = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(complaint);
  const bytes = readFileSync(file);
  return Array.from({ length: bytes.byteLength / 16 }, (_, index) =>
    bytes.subarray(index * 16, index * 16 + 16).toString("hex"),
  );
}

describe.each(CODECS)("%s mode of ipmi_sim", (mode, codec, wire) => {
  simulator(
    "the log is, record by record, what ipmitool reads over the same line, both ways to read",
    () =>
      withLine(codec, async (line) => {
        const theirs = await rawLogOf(line, wire);
        expect(theirs).toHaveLength(RECORDS);
        for (const way of WAYS) {
          const read = await withConnection(line, mode, way, (connection) =>
            runSteps(connection, readSel()),
          );
          if (!read.ok) throw new Error(read.error.detail);
          expect(read.value.records.map((record) => record.bytes.toHex())).toEqual([...theirs]);
        }
      }),
    LIMIT_MS,
  );

  simulator(
    "every byte goes there and back, those that the framing escapes among them",
    () =>
      withLine(codec, (line) =>
        withConnection(line, mode, "stream", async (connection) => {
          for (let first = 0; first < 256; first += 4) {
            const bytes = [first, first + 1, first + 2, first + 3];
            // An OEM record without timestamp: whatever stands in it is kept.
            const record = [0, 0, 0xe0, ...bytes, ...bytes, ...bytes, 0];
            const added = await connection.request(storage(0x44, record));
            expect(added).toMatchObject({ ok: true, value: { completionCode: 0 } });
            const id = added.ok ? [...added.value.data] : [];
            const got = await connection.request(storage(0x43, [0, 0, ...id, 0, 0xff]));
            const data = got.ok ? [...got.value.data] : [];
            expect(data.slice(2)).toEqual([...id, ...record.slice(2)]);
          }
        }),
      ),
    LIMIT_MS,
  );

  simulator(
    "a simulator that dies half way is a timeout or a disconnection, not a hang",
    () =>
      withLine(codec, (line) =>
        withConnection(line, mode, "stream", async (connection) => {
          const asked = Array.from({ length: 20 }, () =>
            connection.request(requestOf(getDeviceId, undefined)),
          );
          await line.sim.stop();
          const answers = await Promise.all([
            ...asked,
            connection.request(requestOf(getDeviceId, undefined)),
          ]);
          const last = answers.at(-1);
          expect(last?.ok).toBe(false);
          if (last?.ok === false) expect(["timeout", "disconnected"]).toContain(last.error.kind);
        }),
      ),
    LIMIT_MS,
  );
});

function storage(command: number, data: readonly number[]): IpmiRequest {
  return { netFn: 0x0a, lun: 0, command, data: Uint8Array.from(data) };
}

/** An executable of a program and of the thread that it may start, as `build.ts` makes one. */
async function compile(program: string, outfile: string): Promise<void> {
  const result = await Bun.build({
    entrypoints: [program, "bmc/serial/io/tty-worker.ts"].map((path) => join(ROOT, path)),
    root: ROOT,
    target: "bun",
    compile: { outfile },
    throw: false,
  });
  if (!result.success) throw new Error(result.logs.map(String).join("\n"));
}

describe("a compiled executable", () => {
  let folder = "";
  let pty: Pty;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "holdfast-serial-"));
    chmodSync(folder, 0o755);
    await compile("test/real/bmc/serial-probe.ts", join(folder, "probe"));
    await compile("bmc/serial/harness/hold-port.ts", join(folder, "hold"));
    pty = openPty();
    void (async () => {
      for (let bytes = await pty.read(); bytes !== null; bytes = await pty.read())
        await pty.write(bytes);
    })();
  }, LIMIT_MS);

  afterAll(async () => {
    await pty.close();
    rmSync(folder, { recursive: true });
  });

  test.each(WAYS)(
    "uses a serial port from an empty folder, read by %s",
    async (way) => {
      const empty = join(folder, `empty-${way}`);
      mkdirSync(empty);
      copyFileSync(join(folder, "probe"), join(empty, "probe"));
      const child = Bun.spawn([join(empty, "probe"), pty.slavePath, way], {
        cwd: empty,
        env: { PATH: "/usr/bin:/bin", HOME: empty },
        stdout: "pipe",
        stderr: "pipe",
      });
      const [text, complaint] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      expect(complaint).toBe("");
      const report = JSON.parse(text) as SerialReport;
      expect(report).toMatchObject({
        lines: { cts: false, dsr: false, dcd: false },
        baudRate: 115_200,
        wrongBytes: 0,
        odd: 250_000,
        rateAfterOdd: 250_000,
        reopened: 20,
      });
      expect(report.descriptorsLeft).toBeLessThanOrEqual(0);
    },
    LIMIT_MS,
  );

  otherUser(
    "is told that it may not open a port of somebody else's",
    async () => {
      chmodSync(pty.slavePath, 0o600);
      const argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
      const child = Bun.spawn([...argv, join(folder, "hold"), pty.slavePath], {
        cwd: "/",
        env: { PATH: "/usr/bin:/bin", HOME: "/" },
        stdout: "pipe",
        stderr: "inherit",
      });
      expect(await new Response(child.stdout).text()).toBe("permission-denied\n");
    },
    LIMIT_MS,
  );
});
