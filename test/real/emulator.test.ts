/**
 * Goal: other people's clients take the emulator for a BMC. Method: ipmitool and FreeIPMI over LAN, ipmitool on a serial line, as
 * processes; each field that they print is compared with what the model holds.
 *
 * The clients share no code with us, so what they accept of RMCP+, of suites 3 and 17, of Basic and Terminal Mode and of our records
 * is right by their reading of the standard. ipmi-pet is asked to read a trap that the emulator sent.
 */
import { afterAll, beforeAll, beforeEach, describe, expect } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SensorConfig } from "../../bmc/emulator/config.ts";
import { type Emulator, startEmulator } from "../../bmc/emulator/io/emulator.ts";
import { specificTrap } from "../../bmc/emulator/pet.ts";
import { decodeSnmpTrap } from "../../bmc/ipmi/pef/snmp-trap.ts";
import { hasCommand, realPart } from "../real-part.ts";

const LIMIT_MS = 60_000;
const USER = "admin";
const PASSWORD = "emulated";
const RECORDS = 40;
const ipmitool = realPart("ipmitool", () => hasCommand("ipmitool"), "apt-get install ipmitool");
const freeipmi = realPart(
  "freeipmi",
  () => ["ipmi-sel", "bmc-info", "ipmi-sensors", "ipmi-fru", "ipmi-pet"].every(hasCommand),
  "apt-get install freeipmi-tools",
);

let emulator: Emulator;
let folder = "";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-foreign-"));
  emulator = await startEmulator({
    lan: { host: "127.0.0.1", port: 0 },
    pty: { path: join(folder, "tty") },
    bmc: { powerDelayMs: 0 },
  });
});

afterAll(async () => {
  await emulator.stop();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  for (const line of ["fault clear", "sel clear", `sel fill ${RECORDS}`, "power on"]) {
    expect(emulator.control(line)).toStartWith("ok");
  }
});

interface Finished {
  readonly code: number | null;
  readonly text: string;
  readonly errors: string;
}

async function run(argv: readonly string[], withinMs = 30_000): Promise<Finished> {
  const child = Bun.spawn([...argv], {
    env: { ...process.env, HOME: folder, TZ: "UTC", PATH: `${process.env["PATH"]}:/usr/sbin` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), withinMs);
  const [text, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  clearTimeout(timer);
  return { code: child.exitCode, text, errors };
}

type Way = readonly string[];

function lanplus(suite: number, password = PASSWORD): Way {
  const host = ["-H", "127.0.0.1", "-p", String(emulator.lanPort), "-U", USER, "-P", password];
  return ["ipmitool", "-I", "lanplus", ...host, "-C", String(suite)];
}

function serial(mode: "basic" | "terminal"): Way {
  return ["ipmitool", "-I", `serial-${mode}`, "-D", `${emulator.ptyPath}:115200`];
}

function free(command: string, suite = 17): Way {
  const host = ["-h", `127.0.0.1:${emulator.lanPort}`, "-u", USER, "-p", PASSWORD];
  return [command, "-D", "LAN_2_0", "-I", String(suite), "-l", "admin", ...host];
}

/** What it printed; fails where the client does. */
async function told(way: Way, ...command: readonly string[]): Promise<string> {
  const { code, text, errors } = await run([...way, ...command]);
  expect([command.join(" "), code, errors]).toEqual([command.join(" "), 0, expect.any(String)]);
  return text;
}

/** `Name : value` lines. */
function fieldsOf(text: string): Readonly<Record<string, string>> {
  const pairs = [...text.matchAll(/^\s*([^:\n]+?)\s*:\s(.*)$/gm)];
  return Object.fromEntries(pairs.map(([, name = "", value = ""]) => [name, value.trim()]));
}

function sensors(): readonly SensorConfig[] {
  return emulator.model.state.sensors.configs.filter(({ kind }) => kind !== "event-only");
}

/** `sel list -v`: id and the bytes that it shows of each record, against those of the log. */
function expectVerboseLog(text: string): void {
  const shown = text
    .split(/\n(?=SEL Record ID)/)
    .filter((block) => block.includes("SEL Record ID"))
    .map((block) => {
      const fields = fieldsOf(block);
      return [
        fields["SEL Record ID"],
        fields["Sensor Number"],
        fields["Event Direction"],
        fields["Event Data"] ?? fields["Event Data (RAW)"],
      ].join(" ");
    });
  const held = emulator.model.records().map((record) => {
    const id = record.subarray(0, 2).toReversed().toHex();
    const number = (record[11] ?? 0).toString(16).padStart(2, "0");
    const direction = ((record[12] ?? 0) & 0x80) === 0 ? "Assertion Event" : "Deassertion Event";
    return `${id} ${number} ${direction} ${record.subarray(13).toHex()}`;
  });
  expect(held).toHaveLength(RECORDS);
  expect(shown).toEqual(held);
}

function expectDevice(text: string): void {
  expect(fieldsOf(text)).toMatchObject({
    ...{ "Device ID": "32", "Device Revision": "1", "Firmware Revision": "2.31" },
    ...{ "IPMI Version": "2.0", "Manufacturer ID": "32473", "Device Available": "yes" },
  });
  for (const feature of ["SEL", "SDR Repository", "FRU Inventory", "Chassis", "Sensor"]) {
    expect(text).toContain(`${feature} Device`);
  }
  expect(text).not.toContain("Bridge");
}

function expectSensorList(text: string): void {
  const rows = text.split("\n").filter((line) => line.includes("|"));
  const shown = rows.map((row) => {
    const [name = "", number = "", , entity = "", reading = ""] = row
      .split("|")
      .map((one) => one.trim());
    return [name, Number.parseInt(number, 16), entity, Number.parseFloat(reading)];
  });
  const held = sensors().map((sensor) => {
    const value = emulator.model.state.sensors.valueOf(sensor.number) ?? Number.NaN;
    const shownValue = sensor.kind === "threshold" ? Number(value.toFixed(3)) : Number.NaN;
    return [sensor.name, sensor.number, `${sensor.entityId}.${sensor.entityInstance}`, shownValue];
  });
  expect(shown).toEqual(held);
}

function expectFru(text: string): void {
  expect(fieldsOf(text.slice(0, text.indexOf("FRU Device Description : PSU1")))).toMatchObject({
    ...{ "Chassis Type": "Rack Mount Chassis", "Chassis Serial": "CHS-0001" },
    ...{ "Board Mfg": "ACME", "Board Product": "Emulated Board", "Board Serial": "BSN-0001" },
    ...{ "Board Part Number": "BPN-42", "Board Extra": "rack 7" },
    ...{ "Product Name": "Emulated Server", "Product Serial": "PSN-0001" },
    ...{ "Product Asset Tag": "asset-1", "Product Version": "1.0" },
  });
  expect(text).toContain("PSU-0001");
}

for (const suite of [17, 3]) {
  describe(`ipmitool over LAN, suite ${suite}`, () => {
    ipmitool(
      "reads device, log, sensors and inventory as the model holds them",
      async () => {
        const way = lanplus(suite);
        expectDevice(await told(way, "mc", "info"));
        expectVerboseLog(await told(way, "-v", "sel", "list"));
        expect((await told(way, "sel", "elist")).trim().split("\n")).toHaveLength(RECORDS);
        expect(fieldsOf(await told(way, "sel", "info"))["Entries"]).toBe(String(RECORDS));
        expectSensorList(await told(way, "sdr", "elist"));
        expectFru(await told(way, "fru"));
        const p12v = (await told(way, "sensor")).split("\n").find((row) => row.startsWith("P12V"));
        const columns = p12v?.split("|").map((one) => one.trim());
        expect(columns?.slice(1)).toEqual([
          ...["12.060", "Volts", "ok", "na", "10.800", "11.400", "12.600", "13.200", "na"],
        ]);
      },
      LIMIT_MS,
    );

    ipmitool(
      "switches the power, feeds the watchdog, clears the log, sends what it likes",
      async () => {
        const way = lanplus(suite);
        const { state } = emulator.model;
        expect(fieldsOf(await told(way, "chassis", "status"))["System Power"]).toBe("on");
        await told(way, "chassis", "power", "off");
        expect(await told(way, "chassis", "power", "status")).toBe("Chassis Power is off\n");
        expect(state.chassis.isOn).toBe(false);
        expect((await run([...way, "chassis", "power", "reset"])).code).not.toBe(0);
        await told(way, "chassis", "power", "on");
        expect(state.chassis.isOn).toBe(true);
        await told(way, "chassis", "identify", "30");
        expect(state.chassis.isIdentifying).toBe(true);
        await told(way, "raw", "6", "0x24", "0x44", "0x00", "0", "0", "0xe8", "0x03");
        await told(way, "mc", "watchdog", "reset");
        const watchdog = fieldsOf(await told(way, "mc", "watchdog", "get"));
        expect(watchdog["Watchdog Timer Use"]).toContain("SMS/OS");
        expect(watchdog["Watchdog Timer Is"]).toContain("Running");
        expect(watchdog["Initial Countdown"]).toBe("100.0 sec");
        await told(way, "mc", "watchdog", "off");
        expect(state.watchdog.isRunning).toBe(false);
        await told(way, "sel", "clear");
        expect(emulator.model.records()).toHaveLength(0);
        await told(way, "event", "1");
        expect(emulator.model.records()).toHaveLength(1);
        expect((await told(way, "raw", "6", "1")).trim()).toStartWith("20 01 02 31 02 af d9 7e 00");
      },
      LIMIT_MS,
    );
  });
}

describe("ipmitool that is not let in", () => {
  ipmitool(
    "suite 0 and a wrong password are refused, and no session is left",
    async () => {
      for (const way of [lanplus(0), lanplus(17, "wrong"), lanplus(3, "wrong")]) {
        const { code, text, errors } = await run([...way, "mc", "info"]);
        expect([code, text]).toEqual([1, ""]);
        expect(errors).toContain("Unable to establish IPMI v2 / RMCP+ session");
      }
      const other = lanplus(17).map((word) => (word === USER ? "nobody" : word));
      expect((await run([...other, "mc", "info"])).code).toBe(1);
      const info = { netFn: 6, lun: 0, command: 1, data: new Uint8Array(0) };
      const stranger = { channel: 1, level: 0 } as const;
      expect(emulator.model.request(info, stranger, Date.now(), null)?.completionCode).toBe(0xd4);
    },
    LIMIT_MS,
  );

  ipmitool(
    "finds suite 17 by itself where it may choose, and only 3 where only that is offered",
    async () => {
      const way = lanplus(17).slice(0, -2);
      const ciphers = await told(way, "channel", "getciphers", "ipmi", "1");
      expect(ciphers).toMatch(/17 .*hmac_sha256 .*sha256_128 .*aes_cbc_128/);
      expect(ciphers).toMatch(/3 .*hmac_sha1 .*hmac_sha1_96 .*aes_cbc_128/);
      emulator.control("fault suite-3-only on");
      expectDevice(await told(lanplus(3), "mc", "info"));
      expect((await run([...lanplus(17), "mc", "info"])).code).toBe(1);
    },
    LIMIT_MS,
  );
});

describe("ipmitool when things go wrong", () => {
  ipmitool(
    "reads the log whole through lost, doubled and late datagrams",
    async () => {
      emulator.control("fault drop on 5");
      emulator.control("fault duplicate on 20");
      emulator.control("fault delay on 2");
      expectVerboseLog(await told(lanplus(17), "-v", "sel", "list"));
    },
    LIMIT_MS,
  );

  ipmitool(
    "falls back to short reads of records and inventory",
    async () => {
      emulator.control("fault long-read-ca on 20");
      expectSensorList(await told(lanplus(17), "sdr", "elist"));
      expectFru(await told(lanplus(17), "fru"));
    },
    LIMIT_MS,
  );
});

for (const mode of ["basic", "terminal"] as const) {
  describe(`ipmitool on a serial line, ${mode} mode`, () => {
    ipmitool(
      "reads device, log, sensors and inventory as the model holds them",
      async () => {
        const way = serial(mode);
        expect(existsSync(emulator.ptyPath ?? "")).toBe(true);
        expectDevice(await told(way, "mc", "info"));
        expectVerboseLog(await told(way, "-v", "sel", "list"));
        expectSensorList(await told(way, "sdr", "elist"));
        expectFru(await told(way, "fru"));
      },
      LIMIT_MS,
    );
  });
}

describe("FreeIPMI over LAN", () => {
  freeipmi(
    "bmc-info reads who it is, with suite 17 and 3",
    async () => {
      for (const suite of [17, 3]) {
        expect(fieldsOf(await told(free("bmc-info", suite), "--get-device-id"))).toMatchObject({
          ...{ "Device ID": "32", "Firmware Revision": "2.31", "IPMI Version": "2.0" },
          "SEL Device": "supported",
        });
        const guid = await told(free("bmc-info", suite), "--get-system-guid");
        // Least significant byte first, so it prints ours from behind.
        const printed = Object.values(guid).join("").replaceAll("-", "");
        const held = emulator.model.state.guid.toReversed().toHex();
        expect(printed).toContain(held);
      }
    },
    LIMIT_MS,
  );

  freeipmi(
    "ipmi-sel reads each record with its sensor's name and its direction",
    async () => {
      const options = ["--comma-separated-output", "--no-header-output", "--quiet-cache"];
      const text = await told(free("ipmi-sel"), ...options, "--output-event-state", "-v");
      const rows = text.trim().split("\n");
      expect(rows).toHaveLength(RECORDS);
      const names = new Map(
        emulator.model.state.sensors.configs.map((one) => [one.number, one.name]),
      );
      emulator.model.records().forEach((record, index) => {
        const row = rows[index] ?? "";
        expect(row.split(",")[0]).toBe(String((record[0] ?? 0) | ((record[1] ?? 0) << 8)));
        expect(row).toContain(`,${names.get(record[11] ?? 0)},`);
        const isAssertion = ((record[12] ?? 0) & 0x80) === 0;
        expect(row).toContain(isAssertion ? ",Assertion Event," : ",Deassertion Event,");
      });
    },
    LIMIT_MS,
  );

  freeipmi(
    "ipmi-sensors and ipmi-fru read values and fields",
    async () => {
      const options = ["--comma-separated-output", "--no-header-output", "--quiet-cache"];
      const rows = (await told(free("ipmi-sensors"), ...options)).trim().split("\n");
      const shown = rows.map((row) => row.split(",")).map(([, name, , value]) => [name, value]);
      const held = sensors().map(({ name, number, kind }) => {
        const value = emulator.model.state.sensors.valueOf(number) ?? Number.NaN;
        return [name, kind === "threshold" ? value.toFixed(2) : "N/A"];
      });
      expect(shown).toEqual(held);
      const fru = await told(free("ipmi-fru"), "--quiet-cache");
      for (const text of [
        "CHS-0001",
        "BSN-0001",
        "PSN-0001",
        "PSU-0001",
        "rack 7",
        "12/17/21 - 09:36:00",
      ]) {
        expect(fru).toContain(text);
      }
      expect(fru).not.toContain("checksum");
    },
    LIMIT_MS,
  );

  freeipmi(
    "ipmi-fru finds a wrong checksum that the emulator makes",
    async () => {
      emulator.control("fault fru-bad-checksum on");
      const { text, errors } = await run([...free("ipmi-fru"), "--quiet-cache"]);
      expect(`${text}${errors}`).toContain("checksum");
    },
    LIMIT_MS,
  );

  freeipmi(
    "ipmi-pet reads a trap that the emulator sent",
    async () => {
      const traps: Uint8Array[] = [];
      const receiver = await Bun.udpSocket({
        hostname: "127.0.0.1",
        socket: { data: (_socket, bytes) => void traps.push(bytes.slice()) },
      });
      const destination = { address: "127.0.0.1", port: receiver.port, isAcknowledged: false };
      const bmc = { trapDestinations: [{ ...destination, timeoutMs: 1_000, retries: 0 }] };
      const sender = await startEmulator({ lan: { host: "127.0.0.1", port: 0 }, pty: null, bmc });
      try {
        sender.control('event "DIMM A1" 1');
        for (let n = 0; n < 400 && traps.length === 0; n++) await Bun.sleep(5);
      } finally {
        await sender.stop();
        receiver.close();
      }
      const trap = decodeSnmpTrap(traps[0] ?? new Uint8Array(0));
      if (!trap.ok) throw new Error(JSON.stringify(trap.error));
      expect(trap.value.specificTrap).toBe(
        specificTrap(sender.model.records()[0] ?? new Uint8Array(16)),
      );
      const bytes = [...(trap.value.variables[0]?.value ?? [])].map(
        (one) => `0x${one.toString(16)}`,
      );
      const output = ["--comma-separated-output", "--output-event-severity", "--quiet-cache", "-v"];
      const words = [String(trap.value.specificTrap), ...bytes];
      const text = await told(free("ipmi-pet"), ...output, "--", ...words);
      expect(text).toContain("DIMM A1");
      expect(text).toContain("Uncorrectable memory error");
      expect(text).toContain("Critical");
    },
    LIMIT_MS,
  );
});
