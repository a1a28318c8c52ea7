/**
 * Platform event traps: what FreeIPMI's `ipmi-pet` reads out of a trap that we wrote, field by field.
 *
 * `ipmi-pet` names sensors by the records of a BMC, so it is given the simulator.
 */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { wordsOf } from "../../bmc/ipmi/event/event-text.ts";
import {
  decodePet,
  encodePet,
  type Pet,
  recordOfPet,
  specificTrapOf,
} from "../../bmc/ipmi/pef/pet.ts";
import { realPart } from "../real-part.ts";
import {
  hasIpmiSim,
  type IpmiSim,
  SIM_PASSWORD,
  SIM_REMEDY,
  SIM_USER,
  startIpmiSim,
} from "./bmc/ipmi-sim.ts";

const simulator = realPart("ipmi_sim", hasIpmiSim, SIM_REMEDY);
const LIMIT_MS = 60_000;
/** 2024-03-01 12:34:56 UTC. */
const WHEN_SECONDS = 1_709_296_496;

const MEMORY: Pet = {
  sensorType: 0x0c,
  eventType: 0x6f,
  isAssertion: true,
  offset: 1,
  guid: "44454c4c360010448035b3c04f333453",
  sequence: 7,
  timestamp: WHEN_SECONDS - 883_612_800,
  utcOffsetMinutes: 0,
  trapSource: 0x20,
  eventSource: 0x20,
  severity: 0x10,
  sensorDevice: 0x20,
  sensorNumber: 2,
  entityId: 0x20,
  entityInstance: 1,
  eventData: Uint8Array.of(0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
  language: 0x19,
  manufacturerId: 0x1291,
  systemId: 0x0f02,
  oem: new Uint8Array(0),
};

let sim: IpmiSim | null = null;

beforeAll(async () => {
  if (hasIpmiSim()) sim = await startIpmiSim();
}, LIMIT_MS);

afterAll(async () => {
  await sim?.stop();
});

interface FreeIpmiPet {
  readonly date: string;
  readonly time: string;
  readonly name: string;
  readonly type: string;
  readonly severity: string;
  readonly direction: string;
  readonly event: string;
}

function ipmiPet(pet: Pet): FreeIpmiPet {
  if (sim === null) throw new Error("the simulator was not started");
  const host = ["-h", `127.0.0.1:${sim.lanPort}`, "-u", SIM_USER, "-p", SIM_PASSWORD];
  const link = ["-D", "LAN_2_0", "-I", "3", "-l", "admin", "-W", "opensesspriv", ...host];
  const output = ["--comma-separated-output", "--output-event-severity", "--quiet-cache", "-v"];
  const bytes = [...encodePet(pet)].map((byte) => `0x${byte.toString(16)}`);
  const argv = ["ipmi-pet", ...link, ...output, String(specificTrapOf(pet)), ...bytes];
  const env = { ...process.env, HOME: sim.folder, TZ: "UTC" };
  const { stdout, stderr, exitCode } = Bun.spawnSync(argv, { env, timeout: LIMIT_MS });
  if (exitCode !== 0) throw new Error(`ipmi-pet: ${stderr.toString()}`);
  const [head = "", line = ""] = stdout.toString().trim().split("\n").slice(-2);
  const names = head.split(",");
  const fields = line.split(",");
  const of = (name: string): string => fields[names.indexOf(name)] ?? `no ${name} in ${head}`;
  return {
    date: of("Date"),
    time: of("Time"),
    name: of("Name"),
    type: of("Type"),
    severity: of("Severity"),
    direction: of("Event Direction"),
    event: fields.slice(names.indexOf("Event")).join(","),
  };
}

describe("a trap that we wrote", () => {
  simulator("is to FreeIPMI the event that it is to us", () => {
    const read = ipmiPet(MEMORY);
    expect(read).toMatchObject({
      date: "Mar-01-2024",
      time: "12:34:56",
      name: "DIMM A1",
      type: "Memory",
      severity: "Critical condition",
      direction: "Assertion Event",
      event: "Uncorrectable memory error",
    });
    const decoded = decodePet(specificTrapOf(MEMORY), encodePet(MEMORY));
    if (!decoded.ok) throw new Error("our own trap");
    const words = wordsOf(recordOfPet(decoded.value));
    expect(words.text).toBe("memory sensor 0x02: uncorrectable memory error (ECC)");
  });

  simulator("tells direction, threshold and reading", () => {
    const hot: Pet = {
      ...MEMORY,
      sensorType: 0x01,
      eventType: 0x01,
      isAssertion: false,
      offset: 9,
      sensorNumber: 1,
      severity: 0x04,
      eventData: Uint8Array.of(0x59, 0x70, 0x60, 0xff, 0xff, 0xff, 0xff, 0xff),
    };
    const read = ipmiPet(hot);
    expect(read).toMatchObject({
      name: "CPU0 Temp",
      type: "Temperature",
      direction: "Deassertion Event",
      severity: "Ok",
    });
    expect(read.event).toContain("Upper Critical - going high");
    expect(read.event).toContain("Sensor Reading = 112.00 C | Threshold = 96.00 C");
  });
});
