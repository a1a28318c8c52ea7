/**
 * The event log of OpenIPMI's simulator over LAN, field by field beside what `ipmi-sel` and `ipmitool` print.
 *
 * The log gets one record for every sensor type and offset, and for every generic event type and offset, whether the standard
 * defines it or not. Ids, times, names and directions have to be equal. Texts are our own words, so of each of theirs it is
 * asked which of our texts of that type is the most alike: it must be the one of the same offset, and where they have none
 * we must have none. Event data are compared by pairs of texts.
 */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import type { Bmc, BmcEvent, LogEntry } from "../../bmc/bmc.ts";
import type { BmcError } from "../../bmc/bmc-error.ts";
import { THRESHOLD_NAMES } from "../../bmc/ipmi/event/generic-events.ts";
import { sensorTypeName } from "../../bmc/ipmi/event/sensor-type.ts";
import { stateText } from "../../bmc/ipmi/event/severity.ts";
import { openBmc } from "../../bmc/link/io/open-bmc.ts";
import { PASSWORD_VARIABLE } from "../../bmc/link/io/password.ts";
import type { Result } from "../../core/result.ts";
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
const SENSOR = 0x77;
const SENSOR_SPECIFIC = 0x6f;
const SENSOR_TYPE_MAX = 0x2c;
const EVENT_TYPE_MAX = 0x0c;

interface Case {
  readonly eventType: number;
  readonly sensorType: number;
  readonly offset: number;
  readonly isAssertion: boolean;
}

/** Bytes 7-15 of a record. */
type Tail = readonly number[];

function tailOf({ eventType, sensorType, offset, isAssertion }: Case): Tail {
  const direction = (isAssertion ? 0 : 0x80) | eventType;
  return [0x20, 0, 4, sensorType, SENSOR, direction, offset, 0xff, 0xff];
}

/** Each generic type with a sensor type for which it is usual, each sensor type with its own offsets. */
function everyCase(): readonly Case[] {
  const cases: Case[] = [];
  for (let offset = 0; offset < 16; offset++) {
    for (let eventType = 1; eventType <= EVENT_TYPE_MAX; eventType++) {
      const sensorType = eventType === 1 ? 0x01 : 0x08;
      cases.push({ eventType, sensorType, offset, isAssertion: offset % 2 === 0 });
    }
    for (let sensorType = 1; sensorType <= SENSOR_TYPE_MAX; sensorType++) {
      const isAssertion = (offset + sensorType) % 2 === 0;
      cases.push({ eventType: SENSOR_SPECIFIC, sensorType, offset, isAssertion });
    }
  }
  return cases;
}

const CASES = everyCase();

/** Event data, our words for them, and those of `ipmi-sel`. */
const DETAILS: readonly (readonly [tail: Tail, ours: string, theirs: string])[] = [
  [
    [0x20, 0, 4, 0x01, 1, 0x01, 0x59, 0x70, 0x60],
    "reading 112 °C, threshold 96 °C",
    "Sensor Reading = 112.00 C ; Threshold = 96.00 C",
  ],
  [
    [0x20, 0, 4, 0x0f, 9, 0x6f, 0xc0, 0x0b, 0xff],
    "firmware (BIOS) ROM corruption detected",
    "Firmware (BIOS) ROM corruption detected",
  ],
  [[0x20, 0, 4, 0x0f, 9, 0x6f, 0xc2, 0x09, 0xff], "video initialization", "Video initialization"],
  [
    [0x20, 0, 4, 0x0f, 9, 0x6f, 0xc1, 0x19, 0xff],
    "primary processor initialization",
    "Primary processor initialization",
  ],
  [
    [0x20, 0, 4, 0x23, 9, 0x6f, 0xc1, 0x24, 0xff],
    "timer use SMS/OS, NMI",
    "Timer use at expiration = SMS/OS ; Interrupt type = NMI",
  ],
  [
    [0x20, 0, 4, 0x2a, 9, 0x6f, 0xf1, 0x02, 0x21],
    "by timeout, channel 1",
    "activated/deactivated = 1 ; Session deactivated by timeout",
  ],
  [
    [0x20, 0, 4, 0x2b, 9, 0x6f, 0xc7, 0x10, 0xff],
    "management software middleware",
    "management software middleware change",
  ],
  [
    [0x20, 0, 4, 0x2c, 9, 0x6f, 0xc7, 0x74, 0xff],
    "before: FRU active, unexpected extraction",
    "Previous State = FRU Active ; Cause of state change = State Change due to unexpected extraction",
  ],
  [
    [0x20, 0, 4, 0x08, 9, 0x6f, 0x36, 0xff, 0x04],
    "voltage rating mismatch",
    "Voltage rating mismatch",
  ],
  [
    [0x20, 0, 4, 0x12, 9, 0x6f, 0xc5, 0x81, 0xff],
    "second of pair, SDR clock",
    "SDR Timestamp Clock updated ; event is second of pair",
  ],
  [
    [0x20, 0, 4, 0x12, 9, 0x6f, 0xc3, 0x11, 0xff],
    "entry added because the event has no standard form (OEM log 1)",
    "entry added because event did not be map to standard IPMI event",
  ],
  [
    [0x20, 0, 4, 0x12, 9, 0x6f, 0xc4, 0x04, 0xff],
    "PEF action, reset", // FreeIPMI leaves the bits as they are.
    "PEF Action ; Event Data2 = 04h",
  ],
  [[0x20, 0, 4, 0x10, 9, 0x6f, 0x35, 0xff, 0x5a], "90 % full", "90% full"],
  [
    [0x20, 0, 4, 0x10, 9, 0x6f, 0xf1, 0x6f, 0x13],
    "event type 0x6f, assertion of offset 3",
    "Event Offset #3 ; assertion event",
  ],
  [[0x20, 0, 4, 0x10, 9, 0x6f, 0xc0, 0x05, 0xff], "memory module 5", "Memory module/device #5"],
  [[0x20, 0, 4, 0x0c, 9, 0x6f, 0x38, 0xff, 0x07], "memory module 7", "Memory module/device #7"],
  [
    [0x20, 0, 4, 0x1d, 9, 0x6f, 0xf7, 0x0b, 0x02],
    "cause power-up by the clock, channel 2",
    "power-up via RTC",
  ],
  [
    [0x20, 0, 4, 0x21, 9, 0x6f, 0xf0, 0x07, 0x0c],
    "DIMM slot, slot 12",
    "DIMM/memory device ; Slot/Connector #12",
  ],
  [
    [0x20, 0, 4, 0x19, 9, 0x6f, 0xf0, 0x03, 0x07],
    "requested S3, sleeping, processor and hardware context lost, memory retained, at the time in G3, mechanical off",
    "G3/Mechanical Off",
  ],
  [
    [0x20, 0, 4, 0x28, 9, 0x6f, 0xf5, 0x80, 0x03],
    "logical FRU device, FRU id or address 0x03",
    "device is logical FRU Device",
  ],
  [[0x20, 0, 4, 0x05, 9, 0x6f, 0xc4, 0x01, 0xff], "network controller 1", "Network controller #1"],
  [
    [0x20, 0, 4, 0x07, 9, 0x6f, 0xa1, 0x12, 0x34],
    "data 2 0x12, data 3 0x34",
    "OEM Event Data2 code = 12h ; OEM Event Data3 code = 34h",
  ],
];

/** Raw bytes from offset 2, for what is no system event. */
const OEM_RECORDS: readonly Tail[] = [
  [0xc1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  [0xe1, 9, 8, 7, 6, 1, 2, 3, 4, 5, 6, 7, 8, 9],
];

interface FreeIpmiRow {
  readonly id: number;
  readonly date: string;
  readonly time: string;
  readonly name: string;
  readonly type: string;
  readonly direction: string;
  readonly event: string;
}

interface World {
  readonly sim: IpmiSim;
  readonly bmc: Bmc;
  readonly entries: readonly LogEntry[];
  readonly freeipmi: readonly FreeIpmiRow[];
  readonly ipmitool: readonly (readonly string[])[];
}

let world: World | null = null;

function value<T>(result: Result<T, BmcError>): T {
  if (!result.ok) throw new Error(result.error.detail);
  return result.value;
}

function here(): World {
  if (world === null) throw new Error("the simulator was not started");
  return world;
}

function run(sim: IpmiSim, argv: readonly string[]): string {
  const env = { ...process.env, HOME: sim.folder, TZ: "UTC" };
  const { stdout, stderr, exitCode } = Bun.spawnSync([...argv], { env, timeout: LIMIT_MS });
  if (exitCode !== 0) throw new Error(`${argv[0]}: ${stderr.toString()}`);
  return stdout.toString();
}

function freeIpmiRows(sim: IpmiSim): readonly FreeIpmiRow[] {
  const host = ["-h", `127.0.0.1:${sim.lanPort}`, "-u", SIM_USER, "-p", SIM_PASSWORD];
  const link = ["-D", "LAN_2_0", "-I", "3", "-l", "admin", "-W", "opensesspriv", ...host];
  const output = ["--comma-separated-output", "--output-event-state", "-v", "--quiet-cache"];
  const text = run(sim, ["ipmi-sel", ...link, ...output]);
  return text
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => {
      const [id, date, time, name, type, , direction, ...event] = line.split(",");
      const words = { date, time, name, type, direction };
      const fields = Object.entries(words).map(([key, word]) => [key, word ?? ""]);
      return { id: Number(id), ...Object.fromEntries(fields), event: event.join(",") };
    });
}

function ipmitoolRows(sim: IpmiSim): readonly (readonly string[])[] {
  const host = ["-H", "127.0.0.1", "-p", String(sim.lanPort), "-U", SIM_USER, "-P", SIM_PASSWORD];
  const text = run(sim, ["ipmitool", "-I", "lanplus", "-C", "3", ...host, "-c", "sel", "list"]);
  return text
    .trim()
    .split("\n")
    .map((line) => line.split(","));
}

async function add(bmc: Bmc, fromType: Tail): Promise<void> {
  const reply = value(await bmc.raw(0x0a, 0x44, Uint8Array.of(0, 0, ...fromType)));
  if (reply[0] !== 0) throw new Error(`Add SEL Entry: ${reply.toHex()}`);
}

async function start(): Promise<World> {
  const sim = await startIpmiSim();
  const environment = { [PASSWORD_VARIABLE]: SIM_PASSWORD };
  const bmc = value(await openBmc(sim.lanUrl, { environment }));
  const now = new Uint8Array(4);
  new DataView(now.buffer).setUint32(0, Math.floor(Date.now() / 1000), true);
  expect(value(await bmc.raw(0x0a, 0x49, now))[0]).toBe(0);
  const tails = [...CASES.map(tailOf), ...DETAILS.map(([tail]) => tail)];
  for (const tail of tails) await add(bmc, [0x02, 0, 0, 0, 0, ...tail]);
  for (const record of OEM_RECORDS) await add(bmc, record);
  const log = value(await bmc.log());
  return {
    sim,
    bmc,
    entries: log.entries,
    freeipmi: freeIpmiRows(sim),
    ipmitool: ipmitoolRows(sim),
  };
}

beforeAll(async () => {
  if (hasIpmiSim()) world = await start();
}, LIMIT_MS);

afterAll(async () => {
  await world?.bmc.close();
  await world?.sim.stop();
});

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function freeIpmiDate(ms: number): string {
  const date = new Date(ms);
  const day = String(date.getUTCDate()).padStart(2, "0");
  return `${MONTHS[date.getUTCMonth()]}-${day}-${date.getUTCFullYear()}`;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString().slice(11, 19);
}

/** Date and time as `ipmi-sel` prints them. */
function whenOf(whenMs: number | null): readonly string[] {
  return whenMs === null ? ["N/A", "N/A"] : [freeIpmiDate(whenMs), timeOf(whenMs)];
}

/** As `ipmi-sel`, and as `ipmitool` says it. */
function directionOf({ isAssertion }: BmcEvent): string[] {
  return isAssertion ? ["Assertion Event", "Asserted"] : ["Deassertion Event", "Deasserted"];
}

const FILLERS: ReadonlySet<string> = new Set("a an the of or and to is in was by with".split(" "));

/** The words of a text without endings, so that `asserted` and `asserts` are one. */
function stemsOf(text: string): ReadonlySet<string> {
  const words = text.toLowerCase().split(/[^a-z0-9]+/);
  return new Set(
    words
      .filter((word) => word !== "" && !FILLERS.has(word))
      .map((word) => word.replace(/(ing|ion|ed|es|e|s)$/, "").slice(0, 6)),
  );
}

/** How much of theirs is in ours; then how much of ours is in theirs. */
function likeness(theirs: string, ours: string): number {
  const a = stemsOf(theirs);
  const b = stemsOf(ours);
  const common = [...a].filter((stem) => b.has(stem)).length;
  return common / Math.max(1, a.size) + common / Math.max(1, b.size) / 100;
}

/** Position of our text that is most like theirs; two that are equally like it are none. */
function mostAlike(theirs: string, ours: readonly (string | null)[]): number | null {
  // Of `S1` there is one that begins with it, though others tell of it too.
  const begins = ours.flatMap((one, index) => (one?.startsWith(`${theirs},`) ? [index] : []));
  if (begins.length === 1) return begins[0] ?? null;
  const scores = ours.map((one) => (one === null ? -1 : likeness(theirs, one)));
  const best = Math.max(...scores);
  const first = scores.indexOf(best);
  return best > 0 && first === scores.lastIndexOf(best) ? first : null;
}

function textsOf(eventType: number, sensorType: number): readonly (string | null)[] {
  return Array.from({ length: 16 }, (_, offset) => stateText(eventType, sensorType, offset));
}

/** What the two programs print where they have no text. */
function isNoText(text: string): boolean {
  return text === "" || /^(Event Offset = |reserved|Unspecified$|Unknown event)/i.test(text.trim());
}

function nameOf({ eventType, sensorType, offset }: Case): string {
  return `${[eventType, sensorType, offset].map((number) => number.toString(16)).join(" ")}:`;
}

/** Cases in which the most alike of our texts is not the one of the case; `isComplete`: their having none counts too. */
function differencesFrom(theirs: readonly string[], isComplete: boolean): readonly string[] {
  return CASES.flatMap((one, index) => {
    const said = theirs[index] ?? "";
    if (isNoText(said) && !isComplete) return [];
    const texts = textsOf(one.eventType, one.sensorType);
    const found = isNoText(said) ? null : mostAlike(said, texts);
    const wanted = texts[one.offset] === null ? null : one.offset;
    return found === wanted ? [] : [`${nameOf(one)} ${said}`];
  });
}

function eventOfCase(index: number): BmcEvent {
  const entry = here().entries[index];
  if (entry === undefined) throw new Error(`no entry ${index}`);
  return entry.event;
}

describe("a log with every offset of every type", () => {
  simulator("is read whole, in order, with the ids that both programs print", () => {
    const { entries, freeipmi, ipmitool } = here();
    const count = CASES.length + DETAILS.length + OEM_RECORDS.length;
    expect(entries).toHaveLength(count);
    const ids = entries.map(({ recordId }) => Number.parseInt(recordId, 16));
    expect(ids).toEqual(freeipmi.map(({ id }) => id));
    expect(ids).toEqual(ipmitool.map(([id]) => Number.parseInt(id ?? "", 16)));
    expect(new Set(entries.map(({ event }) => event.id)).size).toBe(count);
  });

  simulator("has the times and directions of both programs", () => {
    const { entries, freeipmi, ipmitool } = here();
    for (const [index, { event }] of entries.entries()) {
      const theirs = ipmitool[index] ?? [];
      const row = freeipmi[index];
      const [date, time] = whenOf(event.whenMs);
      expect([row?.date, row?.time]).toEqual([date, time]);
      expect(theirs[2]).toBe(event.whenMs === null ? "" : `${time} UTC`);
      if (event.category !== "oem") {
        expect([row?.direction, theirs.at(-1)]).toEqual(directionOf(event));
      }
    }
  });

  simulator("has their sensor types", () => {
    const names = Array.from({ length: SENSOR_TYPE_MAX + 1 }, (_, type) => sensorTypeName(type));
    const spoken = names.map((name) => name.replaceAll("-", " "));
    for (const [index, { sensorType }] of CASES.entries()) {
      expect(eventOfCase(index).category).toBe(names[sensorType] ?? "");
      const theirs = here().freeipmi[index]?.type ?? "";
      expect([theirs, mostAlike(theirs, spoken)]).toEqual([theirs, sensorType]);
    }
  });

  simulator("says the state that ipmi-sel says, and none where it says none", () => {
    const theirs = here().freeipmi.map(({ event }) => event.split(" ; ")[0] ?? "");
    expect(differencesFrom(theirs, true)).toEqual([
      // Thermal trip: of an erratum that this version of FreeIPMI does not know.
      "6f 19 1: Event Offset = 01h",
    ]);
    for (const [index, { eventType, sensorType, offset }] of CASES.entries()) {
      const text = stateText(eventType, sensorType, offset);
      if (text !== null) expect(eventOfCase(index).text).toContain(text);
    }
  });

  simulator("says the state that ipmitool says, where ipmitool knows it", () => {
    const theirs = here().ipmitool.map((fields) => fields.slice(4, -1).join(","));
    expect(differencesFrom(theirs, false)).toEqual([
      // Of a type, or of all: it does not say.
      "6f 10 1: Event logging disabled",
      // Of the processor, or of a terminator in its place.
      "6f 7 7: Presence detected",
    ]);
    const known = CASES.filter((_, index) => !isNoText(theirs[index] ?? ""));
    expect(known.length).toBeGreaterThan(180);
  });

  simulator("explains event data as ipmi-sel does", () => {
    const differences: string[] = [];
    for (const [position, [, ours, theirs]] of DETAILS.entries()) {
      const index = CASES.length + position;
      const text = here().freeipmi[index]?.event ?? "";
      if (!text.includes(theirs)) differences.push(`${theirs} is ${text}`);
      expect(eventOfCase(index).text).toContain(ours);
    }
    expect(differences).toEqual([]);
  });

  simulator("names sensors as their records do", () => {
    const { freeipmi } = here();
    const first = CASES.length;
    expect(freeipmi[first]?.name).toBe(eventOfCase(first).subject);
    expect(freeipmi[0]?.name).toBe(`Sensor #${SENSOR}`);
    expect(eventOfCase(0).subject).toBe("sensor 0x77");
  });

  simulator("keeps what belongs to a manufacturer as it is", () => {
    const [timed, plain] = here().entries.slice(-2);
    expect(timed?.event.text).toBe("OEM record 0xc1 of manufacturer 197121: 040506070809");
    expect(plain?.event.text).toBe("OEM record 0xe1: 09080706010203040506070809");
    const [their, theirPlain] = here().ipmitool.slice(-2);
    expect(their?.slice(3)).toEqual(["OEM record c1", "030201", "040506070809"]);
    expect(theirPlain?.slice(3)).toEqual(["OEM record e1", "09080706010203040506070809"]);
  });
});

describe("thresholds", () => {
  simulator("have six names, each crossed both ways", () => {
    const rows = CASES.flatMap((one, index) =>
      one.eventType === 1 && one.offset < 12 ? [here().freeipmi[index]?.event ?? ""] : [],
    );
    expect(rows.map((text) => text.toLowerCase().split(" ; ")[0])).toEqual(
      THRESHOLD_NAMES.flatMap((name) => [`${name} - going low`, `${name} - going high`]),
    );
  });
});
