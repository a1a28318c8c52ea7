/**
 * Sensors, FRU and identity of OpenIPMI's simulator over LAN, field by field beside what ipmitool and FreeIPMI print.
 *
 * The simulator is given records of its own for each formula, number format and unit, so that what is compared is conversion,
 * naming and thresholds of two programs that share no code with ours. Where they differ by choice, the difference is named here.
 */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import type { Bmc, FruDevice, SensorReading } from "../../bmc/bmc.ts";
import type { BmcError } from "../../bmc/bmc-error.ts";
import { sdrOf } from "../../bmc/ipmi/harness/scripted-sdrs.ts";
import { openBmc } from "../../bmc/link/io/open-bmc.ts";
import { PASSWORD_VARIABLE } from "../../bmc/link/io/password.ts";
import type { Result } from "../../core/result.ts";
import { realPart } from "../real-part.ts";
import {
  hasIpmiSim,
  type IpmiSim,
  SIM_GUID,
  SIM_PASSWORD,
  SIM_REMEDY,
  SIM_USER,
  startIpmiSim,
} from "./bmc/ipmi-sim.ts";

const simulator = realPart("ipmi_sim", hasIpmiSim, SIM_REMEDY);

/** A full record, and the raw value that the simulator's sensor has. */
interface FullSensor {
  readonly number: number;
  readonly name: string;
  readonly type: number;
  readonly unit: number;
  readonly raw: number;
  readonly format?: number;
  readonly formula?: number;
  readonly m?: number;
  readonly b?: number;
  readonly rExponent?: number;
  readonly bExponent?: number;
  readonly units1?: number;
  readonly modifier?: number;
}

const FAN = { type: 4, unit: 18 };
const TEMPERATURE = { type: 1, unit: 1 };

/** Formulas 4 to 6 grow fast: their raw values are small. */
const FORMULAS: readonly FullSensor[] = Array.from({ length: 11 }, (_, index) => ({
  number: 30 + index,
  name: `Formula ${index + 1}`,
  type: 11,
  unit: 19,
  formula: index + 1,
  raw: index >= 3 && index <= 5 ? 5 : 64,
}));

const FULL: readonly FullSensor[] = [
  { number: 3, name: "Fan1A", ...FAN, m: 120, raw: 44 },
  { number: 4, name: "Inlet", ...TEMPERATURE, b: -128, raw: 0x99 },
  { number: 5, name: "P12V", type: 2, unit: 4, m: 51, b: 219, rExponent: -3, raw: 231 },
  { number: 6, name: "Twos", ...TEMPERATURE, format: 2, raw: 0xf6 },
  { number: 7, name: "Ones", ...TEMPERATURE, format: 1, raw: 0xf6 },
  { number: 8, name: "Load", type: 11, unit: 0, units1: 0x01, raw: 55 },
  { number: 9, name: "Watts", type: 3, unit: 6, m: 2, b: 3, bExponent: 1, rExponent: 1, raw: 21 },
  { number: 10, name: "Traffic", type: 11, unit: 70, modifier: 22, units1: 0x02, raw: 9 },
  { number: 11, name: "Cold", ...TEMPERATURE, raw: 0x08 },
  { number: 12, name: "Hot", ...TEMPERATURE, raw: 0xd8 },
  { number: 13, name: "Burning", ...TEMPERATURE, raw: 0xf8 },
  ...FORMULAS,
];

/** The units' texts of ipmitool; ours are symbols. It leaves out rates, and says `percent`. */
const UNIT_OF: Readonly<Record<string, string>> = {
  RPM: "RPM",
  "°C": "degrees C",
  V: "Volts",
  Hz: "Hz",
  W: "Watts",
  "%": "percent",
  "byte/s": "byte/second",
};

const STATUS_OF: Readonly<Record<string, string>> = {
  ok: "ok",
  "lower-non-critical": "nc",
  "upper-non-critical": "nc",
  "lower-critical": "cr",
  "upper-critical": "cr",
  "lower-non-recoverable": "nr",
  "upper-non-recoverable": "nr",
};

function nameBytes(name: string): number[] {
  return [0xc0 | name.length, ...new TextEncoder().encode(name)];
}

function fullRecord(recordId: number, sensor: FullSensor): Uint8Array {
  const { m = 1, b = 0, rExponent = 0, bExponent = 0 } = sensor;
  const body = new Array<number>(42).fill(0);
  const put = (offset: number, ...bytes: readonly number[]): void => {
    for (const [index, byte] of bytes.entries()) body[offset - 5 + index] = byte & 0xff;
  };
  put(5, 0x20, 0, sensor.number, 7, 1, 0x7f, 0x68, sensor.type, 1);
  put(14, 0xff, 0x7f, 0xff, 0x7f, 0x3f, 0x3f);
  put(20, ((sensor.format ?? 0) << 6) | (sensor.units1 ?? 0), sensor.unit, sensor.modifier ?? 0);
  put(23, sensor.formula ?? 0, m, (m >> 2) & 0xc0, b, (b >> 2) & 0xc0);
  put(29, ((rExponent & 0x0f) << 4) | (bExponent & 0x0f));
  put(34, 0xff);
  return sdrOf(recordId, 0x01, [...body, ...nameBytes(sensor.name)]);
}

/** Three supplies in one record, from number 50 on: `PSU 1` … `PSU 3`. */
function sharedRecord(recordId: number): Uint8Array {
  const body = new Array<number>(26).fill(0);
  const put = (offset: number, ...bytes: readonly number[]): void => {
    for (const [index, byte] of bytes.entries()) body[offset - 5 + index] = byte;
  };
  put(5, 0x20, 0, 50, 10, 1, 0x67, 0x40, 8, 0x6f);
  put(14, 0x07, 0, 0x07, 0, 0x07, 0);
  put(20, 0xc0, 0, 0, 0x03, 0x81);
  return sdrOf(recordId, 0x02, [...body, ...nameBytes("PSU")]);
}

function emulatorLines(): readonly string[] {
  const sensors = FULL.flatMap(({ number, type, raw }) => [
    `sensor_add 0x20 0 ${number} ${type} 1`,
    `sensor_set_threshold 0x20 0 ${number} settable 111111 0xf0 0xe0 0xd0 0x02 0x03 0x10`,
    `sensor_set_value 0x20 0 ${number} ${raw} 0`,
  ]);
  const mask = "000000000000111";
  const supplies = [50, 51, 52].flatMap((number) => [
    `sensor_add 0x20 0 ${number} 8 0x6f`,
    `sensor_set_event_support 0x20 0 ${number} enable scanning per-state ${[mask, mask, mask, mask].join(" ")}`,
  ]);
  return [...sensors, ...supplies];
}

function must<T>(result: Result<T, BmcError>): T {
  if (!result.ok) throw new Error(`${result.error.kind}: ${result.error.detail}`);
  return result.value;
}

/** Shared by the tests below, which only read it. */
let sim: IpmiSim;
let bmc: Bmc;

function client(argv: readonly string[]): string {
  const env = { ...process.env, HOME: sim.folder };
  const { exitCode, stdout, stderr } = Bun.spawnSync([...argv], { env });
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}

function ipmitool(...command: readonly string[]): string {
  const port = `${sim.lanPort}`;
  const login = ["-H", "127.0.0.1", "-p", port, "-U", SIM_USER, "-P", SIM_PASSWORD, "-C", "3"];
  return client(["ipmitool", "-I", "lanplus", ...login, ...command]);
}

/** They print three digits, and round halves to the even one. */
function isAsPrinted(value: number | null | undefined, printed: string): boolean {
  if (value === null || value === undefined) return printed === "na";
  return Math.abs(value - Number(printed)) <= 0.000_51 + Math.abs(value) * 1e-12;
}

/** Lines `name : value`, by name; a name that comes again keeps its first value. */
function pairsOf(text: string): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).trim();
    if (colon > 0 && !pairs.has(name)) pairs.set(name, line.slice(colon + 1).trim());
  }
  return pairs;
}

describe("a simulated BMC over LAN", () => {
  beforeAll(async () => {
    if (!hasIpmiSim()) return;
    const records = [...FULL.map((one, index) => fullRecord(index + 1, one))];
    const sdrs = [...records, sharedRecord(records.length + 1)];
    sim = await startIpmiSim({ sdrs, emulatorLines: emulatorLines() });
    await sim.console("sensor_set_bit 0x20 0 51 1 1 0");
    const environment = { [PASSWORD_VARIABLE]: SIM_PASSWORD };
    bmc = must(await openBmc(sim.lanUrl, { environment }));
  }, 30_000);

  afterAll(async () => {
    await bmc?.close();
    await sim?.stop();
  });

  simulator("reads every sensor as ipmitool does: value, unit, status and thresholds", async () => {
    const rows = ipmitool("sensor")
      .split("\n")
      .map((line) => line.split("|").map((cell) => cell.trim()))
      .filter((cells) => cells.length >= 10);
    const ours = new Map(must(await bmc.sensors()).map((one) => [one.name, one]));
    let compared = 0;
    for (const [name = "", value, unit, status, ...thresholds] of rows) {
      // It does not change the places of upper and lower for 1/x, and knows nothing of shared records: see below.
      if (name === "Formula 7" || name.startsWith("PSU")) continue;
      const reading = ours.get(name);
      if (reading === undefined) throw new Error(`we do not have ${name}`);
      const { lnr, lc, lnc, unc, uc, unr } = reading.thresholds;
      expect([name, UNIT_OF[reading.unit], STATUS_OF[reading.status]]).toEqual([
        name,
        unit,
        status,
      ]);
      const numbers = [reading.value, lnr, lc, lnc, unc, uc, unr];
      const printed = [value, ...thresholds.slice(0, 6)];
      const differing = numbers.filter((one, index) => !isAsPrinted(one, printed[index] ?? ""));
      expect({ name, printed, differing }).toEqual({ name, printed, differing: [] });
      compared++;
    }
    expect(compared).toBe(FULL.length - 1);
    expect(new Set([...ours.values()].map(({ status }) => status)).size).toBeGreaterThan(3);
  });

  simulator("turns upper and lower round where the formula is 1/x", async () => {
    const rows = ipmitool("sensor").split("\n");
    const cells = rows.find((line) => line.startsWith("Formula 7"))?.split("|") ?? [];
    const theirs = cells.slice(4, 10).map((cell) => cell.trim());
    const reading = must(await bmc.sensors()).find(({ name }) => name === "Formula 7");
    const { lnr = 0, lc = 0, lnc = 0, unc = 0, uc = 0, unr = 0 } = reading?.thresholds ?? {};
    const ours = [unr, uc, unc, lnc, lc, lnr];
    expect(theirs).toHaveLength(6);
    expect(ours.filter((one, index) => !isAsPrinted(one, theirs[index] ?? ""))).toEqual([]);
    expect(reading?.value).toBe(1 / 64);
    expect(lnr).toBeLessThan(unr);
  });

  simulator(
    "names the sensors of a shared record, and their states, as FreeIPMI does",
    async () => {
      const lan = ["-D", "LAN_2_0", "-h", `127.0.0.1:${sim.lanPort}`, "-I", "3", "-l", "admin"];
      const login = ["-u", SIM_USER, "-p", SIM_PASSWORD, "-W", "opensesspriv"];
      const format = ["--shared-sensors", "--comma-separated-output", "--no-header-output"];
      const rows = client(["ipmi-sensors", ...lan, ...login, ...format])
        .split("\n")
        .map((line) => line.split(","))
        .filter(([, name = ""]) => name.startsWith("PSU"));
      const ours = must(await bmc.sensors()).filter(({ name }) => name.startsWith("PSU"));
      expect(ours.map(({ name }) => name)).toEqual(rows.map(([, name = ""]) => name));
      expect(ours.map(({ number, entity }) => `${number} ${entity}`)).toEqual([
        "50 power supply 1",
        "51 power supply 2",
        "52 power supply 3",
      ]);
      const hasStates = rows.map((cells) => !(cells.at(-1) ?? "").includes("OK"));
      expect(ours.map(({ states }) => states.length > 0)).toEqual(hasStates);
      expect(ours[1]?.states).toHaveLength(1);
      expect(ours[1]?.states[0]?.toLowerCase()).toContain("failure");
    },
  );

  simulator("reads the same again from the records that it kept", async () => {
    const stable = ({ name, thresholds, unit }: SensorReading): unknown => [name, thresholds, unit];
    const first = must(await bmc.sensors()).map(stable);
    expect(must(await bmc.sensors()).map(stable)).toEqual(first);
  });

  simulator("reads its FRU as ipmitool does", async () => {
    const theirs = pairsOf(ipmitool("fru"));
    const [device] = must<readonly FruDevice[]>(await bmc.fru());
    const ours = new Map(device?.fields ?? []);
    const names: readonly [string, string][] = [
      ["board.manufacturer", "Board Mfg"],
      ["board.product", "Board Product"],
      ["board.serial", "Board Serial"],
      ["board.part", "Board Part Number"],
      ["product.manufacturer", "Product Manufacturer"],
      ["product.name", "Product Name"],
      ["product.part", "Product Part Number"],
      ["product.version", "Product Version"],
      ["product.serial", "Product Serial"],
      ["product.asset", "Product Asset Tag"],
    ];
    for (const [our, their] of names) {
      const theirValue = theirs.get(their);
      expect(`${our} ${ours.get(our)}`).toBe(`${our} ${theirValue}`);
    }
    const date = new Date(theirs.get("Board Mfg Date") ?? "");
    expect(ours.get("board.date")).toBe(date.toISOString().slice(0, 16).replace("T", " "));
    expect(device?.problems).toEqual([]);
  });

  simulator("says of itself what ipmitool says of it", async () => {
    const theirs = pairsOf(ipmitool("mc", "info"));
    const identity = must(await bmc.identity());
    expect({
      "Device ID": `${identity.deviceId}`,
      "Firmware Revision": identity.firmware,
      "IPMI Version": identity.protocolVersion,
      "Manufacturer ID": `${identity.manufacturer.id}`,
    }).toEqual({
      "Device ID": theirs.get("Device ID") ?? "",
      "Firmware Revision": theirs.get("Firmware Revision") ?? "",
      "IPMI Version": theirs.get("IPMI Version") ?? "",
      "Manufacturer ID": theirs.get("Manufacturer ID") ?? "",
    });
    expect(theirs.get("Manufacturer Name")).toStartWith(identity.manufacturer.name);
    expect(theirs.get("Product ID")).toStartWith(`${identity.productId} `);
    expect(identity.guid).toBe(SIM_GUID);
    expect(identity.productName).toBe("Server X");
    expect(identity.selfTest).toBeNull();
  });

  simulator("knows whether the system is on, as ipmitool does", async () => {
    const theirs = pairsOf(ipmitool("chassis", "status"));
    const power = must(await bmc.power());
    expect(power.isOn ? "on" : "off").toBe(theirs.get("System Power") ?? "");
    expect(`always-${power.restorePolicy}`).toBe(theirs.get("Power Restore Policy") ?? "");
    expect(power.faults).toEqual([]);
  });

  simulator("gives a raw message's reply with its completion code", async () => {
    const reply = must(await bmc.raw(0x06, 0x01, new Uint8Array(0)));
    const theirs = ipmitool("raw", "0x06", "0x01").trim().split(/\s+/).join("");
    expect(reply.toHex()).toBe(`00${theirs}`);
    expect((await bmc.raw(0x07, 0x01, new Uint8Array(0))).ok).toBe(false);
  });
});
