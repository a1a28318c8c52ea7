/**
 * Event filtering, alerts and their destinations of the emulated BMC (IPMI 2.0 §30, and the LAN parameters of §23.2 that alerts
 * need).
 *
 * Decides completion codes and layouts of parameters; what a filter means is `pef.ts`, what an alert does `alerts.ts`. A PET
 * Acknowledge is taken without a session, as the standard wants. Parameters in 12-byte order as in a trap, reversed.
 */
import { NET_FN } from "../../ipmi/ipmi.ts";
import type { BmcState } from "../bmc-state.ts";
import { FILTER_BYTES, FILTERS, POLICIES, POLICY_BYTES } from "../pef.ts";
import { CODE, type CommandRow, done, fail, readU16, table, u16, u32 } from "./command.ts";

const PARAMETER_REVISION = 0x11;
const UNSUPPORTED = 0x80;
const IN_PROGRESS = 0x81;
const READ_ONLY = 0x82;
const ALERT_BUSY = 0x81;
const PEF_VERSION = 0x51;
/** Alert, off, reset, cycle, diagnostic interrupt. */
const ACTIONS = 0x2f;
const TRAP_PORT = 162;

type Answer = CommandRow["answer"];

const getPefParameter: Answer = (bmc, data) => {
  const parameter = (data[0] ?? 0) & 0x7f;
  const isRevisionOnly = ((data[0] ?? 0) & 0x80) !== 0;
  const value = pefParameter(bmc, parameter, data[1] ?? 0);
  if (value === null) return fail(UNSUPPORTED);
  if (value === "range") return fail(CODE.outOfRange);
  return done(isRevisionOnly ? [PARAMETER_REVISION] : [PARAMETER_REVISION, ...value]);
};

function pefParameter(
  { pef }: BmcState,
  parameter: number,
  set: number,
): readonly number[] | "range" | null {
  switch (parameter) {
    case 0:
      return [pef.setInProgress];
    case 1:
      return [pef.control];
    case 2:
      return [pef.globalActions];
    case 3:
    case 4:
      return [pef.startDelays[parameter - 3] ?? 0];
    case 5:
      return [FILTERS];
    case 6:
    case 7: {
      const filter = pef.filters[set - 1];
      if (filter === undefined) return "range";
      return [set, ...(parameter === 6 ? filter : filter.subarray(0, 1))];
    }
    case 8:
      return [POLICIES];
    case 9: {
      const policy = pef.policies[set - 1];
      return policy === undefined ? "range" : [set, ...policy];
    }
    case 10:
      return [...pef.guid];
    case 11:
      return [0];
    default:
      return null;
  }
}

const setPefParameter: Answer = (bmc, data) => {
  const { pef } = bmc;
  const parameter = (data[0] ?? 0) & 0x7f;
  const value = data.subarray(1);
  const [first = 0] = value;
  switch (parameter) {
    case 0:
      if (first === 1 && pef.setInProgress === 1) return fail(IN_PROGRESS);
      pef.setInProgress = first & 0x03;
      return done();
    case 1:
      pef.control = first;
      return done();
    case 2:
      pef.globalActions = first;
      return done();
    case 3:
      pef.startDelays = [first, pef.startDelays[1]];
      return done();
    case 4:
      pef.startDelays = [pef.startDelays[0], first];
      return done();
    case 6:
    case 7:
    case 9:
      return setTableEntry(bmc, parameter, value);
    case 10:
      if (value.length !== 17) return fail(CODE.wrongLength);
      pef.guid = value.slice();
      return done();
    default:
      return fail(parameter === 5 || parameter === 8 ? READ_ONLY : UNSUPPORTED);
  }
};

function setTableEntry({ pef }: BmcState, parameter: 6 | 7 | 9, value: Uint8Array) {
  const entries = parameter === 9 ? pef.policies : pef.filters;
  const bytes = { 6: FILTER_BYTES, 7: 1, 9: POLICY_BYTES }[parameter];
  const entry = entries[(value[0] ?? 0) - 1];
  if (entry === undefined) return fail(CODE.outOfRange);
  if (value.length !== 1 + bytes) return fail(CODE.wrongLength);
  entry.set(value.subarray(1));
  return done();
}

const armPostpone: Answer = ({ pef }, data) => {
  const value = data[0] ?? 0;
  if (value !== 0xff) pef.postpone = value;
  return done([pef.postpone]);
};

const setLastProcessed: Answer = ({ pef }, data) => {
  const id = readU16(data, 1);
  if (((data[0] ?? 0) & 1) === 0) pef.lastSoftwareId = id;
  else pef.lastBmcId = id;
  return done();
};

const getLastProcessed: Answer = ({ pef, sel }) => {
  const last = sel.records().at(-1);
  const lastId = last === undefined ? 0xffff : readU16(last, 0);
  return done([
    ...u32(sel.info().addSeconds),
    ...u16(lastId),
    ...u16(pef.lastSoftwareId),
    ...u16(pef.lastBmcId),
  ]);
};

/** Sends the event given in bytes 4 to 11, or an empty one, to one destination (§30.7). */
const alertImmediate: Answer = (bmc, data, nowMs) => {
  const operation = (data[1] ?? 0) >> 6;
  const destination = (data[1] ?? 0) & 0x0f;
  if (operation !== 0) return done([0x01]);
  if (bmc.alerts.destination(destination) === null) return fail(CODE.invalidField);
  const event = data.subarray(3);
  const record = new Uint8Array(16);
  record.set([event[0] ?? 0x20, 0, 0x04, event[2] ?? 0, event[3] ?? 0, event[4] ?? 0], 7);
  record.set(event.length >= 8 ? event.subarray(5, 8) : [0xff, 0xff, 0xff], 13);
  const entry = { step: 0, channel: (data[0] ?? 0) & 0x0f, destination };
  const severity = event[1] ?? 0x02;
  const isStarted = bmc.alerts.start([entry], (sequence) =>
    bmc.petOf(record, severity, sequence, nowMs),
  );
  return isStarted ? done() : fail(ALERT_BUSY);
};

const petAcknowledge: Answer = (bmc, data) => {
  bmc.alerts.acknowledge(readU16(data, 0));
  return done();
};

function ipBytes(address: string): readonly number[] {
  const parts = address.split(".").map(Number);
  return parts.length === 4 ? parts : [0, 0, 0, 0];
}

function lanParameter(bmc: BmcState, parameter: number, set: number): readonly number[] | null {
  const destination = bmc.alerts.destination(set);
  const community = [...bmc.config.trapCommunity.padEnd(18, "\0").slice(0, 18)];
  switch (parameter) {
    case 0:
      return [0];
    case 1:
      return [0x80];
    case 2:
      return [0x80, 0x80, 0x80, 0x80, 0];
    case 3:
      return [127, 0, 0, 1];
    case 4:
      return [1];
    case 5:
      return [0x02, 0, 0, 0, 0, 1];
    case 6:
      return [255, 0, 0, 0];
    case 12:
      return [0, 0, 0, 0];
    case 16:
      return community.map((one) => one.charCodeAt(0));
    case 17:
      return [bmc.alerts.destinationCount];
    case 18: {
      if (destination === null) return [set, 0, 0, 0];
      const { isAcknowledged, timeoutMs, retries } = destination;
      const seconds = Math.max(0, Math.ceil(timeoutMs / 1000) - 1);
      return [set, isAcknowledged ? 0x80 : 0, seconds, retries];
    }
    case 19:
      return [set, 0, 0, ...ipBytes(destination?.address ?? "0.0.0.0"), 0, 0, 0, 0, 0, 0];
    case 22:
      return [bmc.config.suites.length];
    case 23:
      return [0, ...bmc.config.suites];
    case 24:
      return [0, ...Array.from({ length: 8 }, () => 0x44)];
    default:
      return null;
  }
}

const getLanParameter: Answer = (bmc, data) => {
  const value = lanParameter(bmc, data[1] ?? 0, data[2] ?? 0);
  if (value === null) return fail(UNSUPPORTED);
  const isRevisionOnly = ((data[0] ?? 0) & 0x80) !== 0;
  return done(isRevisionOnly ? [PARAMETER_REVISION] : [PARAMETER_REVISION, ...value]);
};

/** Only destinations of alerts can be set (18, 19), as far as an alert needs them. */
const setLanParameter: Answer = (bmc, data) => {
  const value = data.subarray(2);
  const number = (value[0] ?? 0) & 0x0f;
  const before = bmc.alerts.destination(number) ?? {
    address: "0.0.0.0",
    port: TRAP_PORT,
    isAcknowledged: false,
    timeoutMs: 3_000,
    retries: 0,
  };
  switch (data[1]) {
    case 0:
      return done();
    case 18:
      if (value.length < 4) return fail(CODE.wrongLength);
      bmc.alerts.setDestination(number, {
        ...before,
        isAcknowledged: ((value[1] ?? 0) & 0x80) !== 0,
        timeoutMs: ((value[2] ?? 0) + 1) * 1000,
        retries: (value[3] ?? 0) & 0x07,
      });
      return done();
    case 19:
      if (value.length < 13) return fail(CODE.wrongLength);
      bmc.alerts.setDestination(number, { ...before, address: value.subarray(3, 7).join(".") });
      return done();
    default:
      return fail(lanParameter(bmc, data[1] ?? 0, 0) === null ? UNSUPPORTED : READ_ONLY);
  }
};

export const PEF_COMMANDS: readonly (readonly [number, CommandRow])[] = [
  ...table(NET_FN.sensorEvent, [
    [0x10, "Get PEF Capabilities", 2, 0, () => done([PEF_VERSION, ACTIONS, FILTERS])],
    [0x11, "Arm PEF Postpone Timer", 4, 1, armPostpone],
    [0x12, "Set PEF Configuration Parameters", 4, [1, 23], setPefParameter],
    [0x13, "Get PEF Configuration Parameters", 3, 3, getPefParameter],
    [0x14, "Set Last Processed Event ID", 4, 3, setLastProcessed],
    [0x15, "Get Last Processed Event ID", 2, 0, getLastProcessed],
    [0x16, "Alert Immediate", 4, [3, 11], alertImmediate],
    [0x17, "PET Acknowledge", 0, 12, petAcknowledge],
  ]),
  ...table(NET_FN.transport, [
    [0x01, "Set LAN Configuration Parameters", 4, [3, 40], setLanParameter],
    [0x02, "Get LAN Configuration Parameters", 3, 4, getLanParameter],
    [0x10, "Set Serial Configuration", 4, [2, 40], () => fail(UNSUPPORTED)],
  ]),
];
