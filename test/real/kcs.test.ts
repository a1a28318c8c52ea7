/**
 * Goal: holdfast's own binary does on real drivers what it says. Method: a guest with a kernel of Debian, in which it talks to
 * ipmi_sim through /dev/ipmi0, while the host looks at the same simulator over LAN; and to a second one over a real UART.
 *
 * One guest for all; each test makes what it needs, so their order does not matter. Emulated in software, a start of the
 * binary takes seconds in there, so what a test measures begins later.
 */
import { afterAll, describe, expect } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { realPart } from "../real-part.ts";
import { Guest, type GuestRun } from "./bmc/guest.ts";
import { missingForGuest } from "./bmc/guest-kernel.ts";
import {
  hasIpmiSim,
  type IpmiSim,
  SIM_PASSWORD,
  SIM_REMEDY,
  SIM_USER,
  startIpmiSim,
} from "./bmc/ipmi-sim.ts";
import type { SerialReport } from "./bmc/serial-probe.ts";

const ROOT = join(import.meta.dir, "../..");
const BINARY = join(ROOT, "dist/holdfast");
const LIMIT_MS = 120_000;

const missing = [
  ...missingForGuest(),
  ...(hasIpmiSim() ? [] : [SIM_REMEDY]),
  ...(existsSync(BINARY) ? [] : ["the binary: bun build.ts"]),
];
const inGuest = realPart("qemu guest", () => missing.length === 0, missing.join("; "));

/** The optimising compiler costs an emulated processor more than a command of a second can gain by it. */
const QUICK = "BUN_JSC_useDFGJIT=0 holdfast";
const KCS = "--bmc kcs:/dev/ipmi0";
const SERIAL = "--bmc 'serial:/dev/ttyS1?baud=115200&mode=basic'";

interface World {
  readonly guest: Guest;
  /** Behind /dev/ipmi0. */
  readonly kcs: IpmiSim;
  /** Behind ttyS1, in Basic Mode. */
  readonly serial: IpmiSim;
  stop(): Promise<void>;
}

function echo(): { readonly port: number; stop(): void } {
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data: (socket, bytes) => {
        socket.write(bytes);
      },
    },
  });
  return { port: server.port, stop: () => server.stop(true) };
}

/** `reconnect`: without it QEMU connects before its devices are there, and a BMC that speaks then ends it with a fault. */
function client(id: string, port: number): readonly string[] {
  return ["-chardev", `socket,id=${id},host=127.0.0.1,port=${port},reconnect=1`];
}

async function makeWorld(): Promise<World> {
  const kcs = await startIpmiSim({ codec: "vm", selRecords: 5 });
  const serial = await startIpmiSim({ codec: "direct" });
  const echoes = [echo(), echo()] as const;
  const stopPeers = async (): Promise<void> => {
    for (const one of echoes) one.stop();
    await Promise.all([kcs.stop(), serial.stop()]);
  };
  try {
    const guest = await Guest.boot({
      files: {
        "/bin/holdfast": BINARY,
        "/src/bmc": join(ROOT, "bmc"),
        "/src/core": join(ROOT, "core"),
        "/src/test/real/bmc/serial-probe.ts": join(ROOT, "test/real/bmc/serial-probe.ts"),
      },
      modules: ["ipmi_devintf", "ipmi_si", "xhci_pci", "ftdi_sio"],
      devices: [
        // QEMU's own BMC becomes /dev/ipmi1: the one at the usual address is first.
        ...["-device", "ipmi-bmc-sim,id=own"],
        ...["-device", "isa-ipmi-kcs,bmc=own,ioport=0xd00,irq=10"],
        ...client("vm", kcs.serialPort),
        ...["-device", "ipmi-bmc-extern,id=extern,chardev=vm"],
        ...["-device", "isa-ipmi-kcs,bmc=extern,irq=5"],
        ...client("direct", serial.serialPort),
        ...["-serial", "chardev:direct"],
        ...client("uart", echoes[0].port),
        ...["-serial", "chardev:uart"],
        ...["-device", "qemu-xhci", ...client("ftdi", echoes[1].port)],
        ...["-device", "usb-serial,chardev=ftdi"],
      ],
    });
    const stop = async (): Promise<void> => {
      await guest.stop();
      await stopPeers();
    };
    return { guest, kcs, serial, stop };
  } catch (error) {
    await stopPeers();
    throw error;
  }
}

let made: Promise<World> | null = null;

function world(): Promise<World> {
  made ??= makeWorld();
  return made;
}

afterAll(async () => {
  await (await made?.catch(() => null))?.stop();
});

async function json<T>(command: string): Promise<T> {
  const { guest } = await world();
  const run = await guest.run(`${QUICK} bmc ${command} --json`);
  expect({ exitCode: run.exitCode, stderr: run.stderr }).toEqual({ exitCode: 0, stderr: "" });
  return JSON.parse(run.stdout);
}

async function failing(command: string): Promise<GuestRun> {
  const run = await (await world()).guest.run(command);
  expect(run.stdout).toBe("");
  // One line, not a stack.
  expect(run.stderr.trim().split("\n").length).toBeLessThanOrEqual(2);
  return run;
}

/** Another program, from outside, over LAN. */
function ipmitool({ lanPort }: IpmiSim, ...argv: readonly string[]): string {
  const lan = ["-I", "lanplus", "-H", "127.0.0.1", "-p", String(lanPort), "-C", "3"];
  const user = ["-U", SIM_USER, "-P", SIM_PASSWORD];
  const child = Bun.spawnSync(["ipmitool", ...lan, ...user, ...argv], { timeout: 20_000 });
  return child.stdout.toString();
}

function fieldOf(text: string, name: string): string {
  return new RegExp(`^ *${name}\\s*: (.*)$`, "m").exec(text)?.[1]?.trim() ?? "";
}

interface Entry {
  readonly recordId: string;
  readonly event: {
    readonly id: string;
    readonly record: string;
    readonly way: string;
    readonly category: string;
    readonly isAssertion: boolean;
  };
}

interface Identity {
  readonly manufacturer: { readonly id: number };
  readonly productId: number;
  readonly protocolVersion: string;
}

describe("the system interface", () => {
  inGuest(
    "tells who the BMC is, as another program reads it over LAN",
    async () => {
      const info = await json<Identity>(`info ${KCS}`);
      const seen = ipmitool((await world()).kcs, "mc", "info");
      expect(String(info.manufacturer.id)).toBe(fieldOf(seen, "Manufacturer ID"));
      expect(String(info.productId)).toBe(fieldOf(seen, "Product ID").split(" ")[0] ?? "");
      expect(info.protocolVersion).toBe(fieldOf(seen, "IPMI Version"));
    },
    LIMIT_MS,
  );

  inGuest(
    "writes a record that is read back in there, and over LAN out here",
    async () => {
      const { kcs } = await world();
      const bytes = "00 00 02 00 00 00 00 41 00 04 0c 02 6f 01 ff ff".split(" ");
      const added = await json<{ completionCode: number; data: string }>(
        `raw 0a 44 ${bytes.join(" ")} ${KCS}`,
      );
      expect(added.completionCode).toBe(0);
      const recordId = Number.parseInt(`${added.data.slice(2, 4)}${added.data.slice(0, 2)}`, 16);
      const log = await json<{ entries: readonly Entry[] }>(`sel ${KCS}`);
      const entry = log.entries.find((one) => Number.parseInt(one.recordId, 16) === recordId);
      // The BMC gives id and time; the rest is as written.
      expect(entry?.event.record.slice(14)).toBe("4100040c026f01ffff");
      expect(entry?.event.category).toBe("memory");
      const outside = ipmitool(kcs, "sel", "get", `0x${recordId.toString(16)}`);
      expect(fieldOf(outside, "Generator ID")).toBe("0041");
      expect(fieldOf(outside, "Description")).toBe("Uncorrectable ECC");
      const listed = ipmitool(kcs, "sel", "list").trim().split("\n");
      expect(log.entries.length).toBe(listed.length);
    },
    LIMIT_MS,
  );

  inGuest(
    "reads sensors and power as another program does over LAN",
    async () => {
      const { kcs } = await world();
      const sensors = await json<readonly { name: string; value: number | null; unit: string }[]>(
        `sensors ${KCS}`,
      );
      const rows = ipmitool(kcs, "sdr", "list")
        .trim()
        .split("\n")
        .map((line) => line.split("|").map((cell) => cell.trim()));
      expect(sensors.map(({ name }) => name).toSorted()).toEqual(
        rows.map(([name]) => name ?? "").toSorted(),
      );
      const temperature = sensors.find(({ value }) => value !== null);
      const row = rows.find(([name]) => name === temperature?.name);
      expect(`${temperature?.value} degrees C`).toBe(row?.[1] ?? "");
      const power = await json<{ isOn: boolean }>(`power ${KCS}`);
      expect(ipmitool(kcs, "chassis", "power", "status").trim()).toBe(
        `Chassis Power is ${power.isOn ? "on" : "off"}`,
      );
    },
    LIMIT_MS,
  );

  inGuest(
    "is told of an event by the driver, at once, and looks at no log for it",
    async () => {
      const { guest, kcs } = await world();
      // Nobody takes this one in there: the driver keeps it, and it is old when the watch begins.
      await kcs.setMemoryError(true);
      // The log would be looked at in an hour: what comes before then was pushed.
      const watch = await guest.stream(`holdfast bmc watch ${KCS} --json --poll 1h`);
      const took: number[] = [];
      try {
        await guest.run(
          "until grep -q 'pushes events (kcs)' /run/stream.err; do usleep 50000; done",
        );
        for (const isAsserted of [false, true, false, true, false, true]) {
          const startMs = performance.now();
          const raised = kcs.setMemoryError(isAsserted);
          const { text, atMs } = await watch.line(10_000);
          took.push(atMs - startMs);
          const event = JSON.parse(text) as Entry["event"];
          expect(event.category).toBe("memory");
          expect(event.isAssertion).toBe(isAsserted);
          expect(event.way).toBe("kcs");
          await raised;
        }
      } finally {
        await watch.stop();
      }
      took.sort((a, b) => a - b);
      process.stdout.write(`event raised → line printed: ${took.map(Math.round).join(", ")} ms\n`);
      // 30 to 80 ms where the machine is quiet; a software-emulated processor on a busy one stalls. A look at the log would take
      // an hour, so these bounds are for a path that has become slow, not for telling a push from a poll.
      expect(took[0]).toBeLessThan(500);
      expect(took.at(-1)).toBeLessThan(5_000);
    },
    LIMIT_MS,
  );

  inGuest(
    "speaks to QEMU's own BMC as well, with its own interrupt",
    async () => {
      const info = await json<Identity>("info --bmc kcs:/dev/ipmi1");
      expect(info.protocolVersion).toBe("2.0");
      expect(info.manufacturer.id).toBe(0);
    },
    LIMIT_MS,
  );

  inGuest(
    "says of a wrong device what is wrong with it, by an exit code of its own",
    async () => {
      const { guest } = await world();
      const other = await failing(`${QUICK} bmc info --bmc kcs:/dev/null`);
      expect(other.exitCode).toBe(94);
      expect(other.stderr).toContain("/dev/null is not a device of the IPMI driver");
      await guest.run("mkdir -p /etc; echo 'nobody:x:65534:65534::/:/bin/sh' > /etc/passwd");
      const denied = await failing(`su nobody -c '${QUICK} bmc info ${KCS}'`);
      expect(denied.exitCode).toBe(77);
      expect(denied.stderr).toContain("/dev/ipmi0 may not be opened");
    },
    LIMIT_MS,
  );

  inGuest(
    "gives a silent BMC up within a limit",
    async () => {
      const { guest, kcs } = await world();
      process.kill(kcs.pid, "SIGSTOP");
      try {
        const run = await failing(`${QUICK} bmc info ${KCS}`);
        // Stopped between two bytes of a message it is a broken exchange to the driver, which says FFh instead of C3h: refused.
        expect([75, 87]).toContain(run.exitCode);
      } finally {
        process.kill(kcs.pid, "SIGCONT");
      }
      const after = await guest.run(`${QUICK} bmc info ${KCS} --json`);
      expect(after.exitCode).toBe(0);
    },
    LIMIT_MS,
  );
});

describe("a serial line", () => {
  inGuest(
    "on a real UART leads to a BMC in Basic Mode",
    async () => {
      const info = await json<Identity>(`info ${SERIAL}`);
      const seen = ipmitool((await world()).serial, "mc", "info");
      expect(String(info.manufacturer.id)).toBe(fieldOf(seen, "Manufacturer ID"));
      expect(String(info.productId)).toBe(fieldOf(seen, "Product ID").split(" ")[0] ?? "");
    },
    LIMIT_MS,
  );

  inGuest(
    "at a rate that the UART turns into another one is refused",
    async () => {
      const run = await failing(
        `${QUICK} bmc info --bmc 'serial:/dev/ttyS1?baud=250000&mode=basic'`,
      );
      expect(run.exitCode).toBe(81);
      // The 8250 stays at the rate that it had.
      expect(run.stderr).toMatch(/made (9600|115200) of 250000 bit/);
    },
    LIMIT_MS,
  );

  for (const [device, way] of [
    ["ttyS2", "stream"],
    ["ttyS2", "worker"],
    ["ttyUSB0", "stream"],
  ] as const) {
    inGuest(
      `carries every byte on ${device}, read by ${way}, with modem lines and many openings`,
      async () => {
        const { guest } = await world();
        await guest.run(`until [ -c /dev/${device} ]; do usleep 50000; done`);
        const probe = `/src/test/real/bmc/serial-probe.ts /dev/${device} ${way}`;
        const run = await guest.run(`BUN_BE_BUN=1 holdfast ${probe}`);
        expect(run).toMatchObject({ exitCode: 0, stderr: "" });
        const report = JSON.parse(run.stdout) as SerialReport;
        expect(report).toMatchObject({
          isListed: true,
          lines: { cts: true, dsr: true, dcd: true },
          baudRate: 115_200,
          wrongBytes: 0,
          reopened: 20,
        });
        expect(report.descriptorsLeft).toBeLessThanOrEqual(0);
        // An 8250 cannot, and silently takes another one; an FTDI can.
        expect(report.odd).toBe(device === "ttyS2" ? "baud-refused" : 250_000);
        if (device === "ttyS2") expect(report.rateAfterOdd).toBe(115_200);
      },
      LIMIT_MS,
    );
  }
});
