/**
 * Identity, watchdog, messages and users of the emulated BMC (IPMI 2.0 §20, §22, §27, NetFn App).
 *
 * Decides completion codes and layouts. What concerns a session (privilege, closing, cipher suites, authentication) belongs to the
 * wire that holds the session: `lan-session-commands.ts`, `serial-server.ts`.
 */
import { NET_FN } from "../../ipmi/ipmi.ts";
import { SUPPORTS } from "../bmc-state.ts";
import { CODE, type CommandRow, done, doneBytes, fail, table, u16 } from "./command.ts";

const IPMI_2_0 = 0x02;
const NOT_INITIALISED = 0x80;
const NOTHING_THERE = 0x80;
const SELF_TEST_PASSED = 0x55;
const NAME_BYTES = 16;

type Answer = CommandRow["answer"];

const getDeviceId: Answer = ({ config }) =>
  done([
    config.deviceId,
    config.deviceRevision & 0x0f,
    config.firmwareMajor & 0x7f,
    // BCD (§20.1).
    (Math.floor(config.firmwareMinor / 10) << 4) | (config.firmwareMinor % 10),
    IPMI_2_0,
    SUPPORTS,
    config.manufacturerId & 0xff,
    (config.manufacturerId >> 8) & 0xff,
    (config.manufacturerId >> 16) & 0x0f,
    ...u16(config.productId),
    0,
    0,
    0,
    0,
  ]);

const reset: Answer = (bmc, _data, nowMs) => {
  bmc.reset(nowMs);
  return done();
};

const readEventMessageBuffer: Answer = (bmc) => {
  const event = bmc.eventBuffer.take();
  return event === null ? fail(NOTHING_THERE) : doneBytes(event);
};

/** Channel 1 is the LAN, 2 the serial line, Fh the system interface; Eh asks for one's own (§22.24). */
const getChannelInfo: Answer = (_bmc, data, _nowMs, asker) => {
  const asked = (data[0] ?? 0) & 0x0f;
  const channel = asked === 0x0e ? asker.channel : asked;
  // Medium, protocol, b7:6 session support.
  const kinds: Readonly<Record<number, readonly [number, number, number]>> = {
    1: [0x04, 0x01, 0x80],
    2: [0x05, 0x01, 0x40],
    15: [0x0c, 0x05, 0x00],
  };
  const kind = kinds[channel];
  if (kind === undefined) return fail(CODE.invalidField);
  // Vendor: IPMI forum, IANA 7154 (§22.24).
  return done([channel, ...kind, 0xf2, 0x1b, 0x00, 0, 0]);
};

/** Always available, at administrator's limit (§22.23). */
const getChannelAccess: Answer = () => done([0x02, 0x04]);

const getUserAccess: Answer = ({ config }, data) => {
  const id = (data[1] ?? 0) & 0x3f;
  const user = config.users.find((one) => one.id === id);
  const mostId = Math.max(...config.users.map((one) => one.id), 1);
  const access = user === undefined ? 0x0f : 0x30 | user.privilege;
  if (id === 0) return fail(CODE.invalidField);
  return done([mostId, config.users.length, 0, access]);
};

const getUserName: Answer = ({ config }, data) => {
  const user = config.users.find((one) => one.id === ((data[0] ?? 0) & 0x3f));
  if (user === undefined) return fail(CODE.invalidField);
  const name = new Uint8Array(NAME_BYTES);
  new TextEncoder().encodeInto(user.name, name);
  return doneBytes(name);
};

const setWatchdog: Answer = (bmc, data, nowMs) =>
  bmc.watchdog.set(data, nowMs) ? done() : fail(CODE.invalidField);

const resetWatchdog: Answer = (bmc, _data, nowMs) => {
  if (!bmc.watchdog.reset(nowMs)) return fail(NOT_INITIALISED);
  // A countdown of 0 acts at once (§27.5).
  bmc.tick(nowMs);
  return done();
};

const setGlobalEnables: Answer = (bmc, data) => {
  bmc.eventBuffer.globalEnables = data[0] ?? 0;
  return done();
};

export const APP_COMMANDS: readonly (readonly [number, CommandRow])[] = table(NET_FN.app, [
  [0x01, "Get Device ID", 2, 0, getDeviceId],
  [0x02, "Cold Reset", 4, 0, reset],
  [0x03, "Warm Reset", 4, 0, reset],
  [0x04, "Get Self Test Results", 2, 0, () => done([SELF_TEST_PASSED, 0])],
  [0x08, "Get Device GUID", 2, 0, (bmc) => doneBytes(bmc.guid)],
  [0x22, "Reset Watchdog Timer", 3, 0, resetWatchdog],
  [0x24, "Set Watchdog Timer", 3, 6, setWatchdog],
  [0x25, "Get Watchdog Timer", 2, 0, (bmc, _data, nowMs) => done(bmc.watchdog.read(nowMs))],
  [0x2e, "Set BMC Global Enables", 4, 1, setGlobalEnables],
  [0x2f, "Get BMC Global Enables", 2, 0, (bmc) => done([bmc.eventBuffer.globalEnables])],
  [0x30, "Clear Message Flags", 4, 1, () => done()],
  [0x31, "Get Message Flags", 4, 0, (bmc) => done([bmc.eventBuffer.flags()])],
  [0x35, "Read Event Message Buffer", 4, 0, readEventMessageBuffer],
  [0x37, "Get System GUID", 0, 0, (bmc) => doneBytes(bmc.guid)],
  [0x41, "Get Channel Access", 2, 2, getChannelAccess],
  [0x42, "Get Channel Info", 2, 1, getChannelInfo],
  [0x44, "Get User Access", 3, 2, getUserAccess],
  [0x46, "Get User Name", 3, 1, getUserName],
]);
