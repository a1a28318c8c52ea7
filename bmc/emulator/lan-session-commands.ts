/**
 * Commands that a LAN session is made, changed and ended with (IPMI 2.0 §22.13–22.20): they belong to the wire, not to the BMC
 * behind it.
 *
 * Decides completion codes and layouts. Suites 0 to 2 and the sessions of IPMI 1.5 do not exist here: a client that asks for
 * them is refused.
 */
import { NET_FN } from "../ipmi/ipmi.ts";
import {
  CIPHER_SUITES,
  type CipherSuite,
  encodeCipherSuiteRecords,
} from "../ipmi/rmcp/cipher-suite.ts";
import type { BmcState } from "./bmc-state.ts";
import {
  CODE,
  type CommandRow,
  commandKey,
  done,
  fail,
  type Level,
  readU32,
  table,
} from "./commands/command.ts";
import type { LanSession } from "./lan-session.ts";

export const LAN_CHANNEL = 1;
const OWN_CHANNEL = 0x0e;
/** §22.15: the list comes in pieces of this much. */
const SUITE_PIECE_BYTES = 16;
const LEVEL_UNAVAILABLE = 0x80;
const LEVEL_ABOVE_LIMIT = 0x81;
const NO_SUCH_SESSION = 0x87;

/** What the commands may do to the table of sessions. */
export interface SessionTable {
  find(bmcId: number): LanSession | null;
  remove(bmcId: number): void;
  readonly activeCount: number;
}

/** Those that are offered now, in their order. */
export function offeredSuites({ config, faults }: BmcState): readonly CipherSuite[] {
  const only = faults.isOn("suite-3-only") ? 3 : faults.isOn("suite-17-only") ? 17 : null;
  const ids = only === null ? config.suites : [only];
  return ids.flatMap((id) => CIPHER_SUITES.filter((suite) => suite.id === id));
}

function isThisChannel(byte: number): boolean {
  const channel = byte & 0x0f;
  return channel === LAN_CHANNEL || channel === OWN_CHANNEL;
}

const getChannelAuthenticationCapabilities: CommandRow["answer"] = ({ config }, data) => {
  if (!isThisChannel(data[0] ?? 0)) return fail(CODE.invalidField);
  const wantsV2 = ((data[0] ?? 0) & 0x80) !== 0;
  const hasNullUser = config.users.some(({ name }) => name === "");
  const status = (config.kg === "" ? 0 : 0x20) | 0x04 | (hasNullUser ? 0x02 : 0);
  return done([LAN_CHANNEL, wantsV2 ? 0x80 : 0x00, status, 0x02, 0, 0, 0, 0]);
};

const getChannelCipherSuites: CommandRow["answer"] = (bmc, data) => {
  if (!isThisChannel(data[0] ?? 0)) return fail(CODE.invalidField);
  const start = ((data[2] ?? 0) & 0x3f) * SUITE_PIECE_BYTES;
  const records = encodeCipherSuiteRecords(offeredSuites(bmc));
  return done([LAN_CHANNEL, ...records.subarray(start, start + SUITE_PIECE_BYTES)]);
};

function setSessionPrivilege(session: LanSession, wanted: number) {
  const limit = Math.min(session.levelMax, session.handshake?.user.privilege ?? 0);
  if (wanted === 0) return done([session.level]);
  if (wanted === 1 || wanted > 4) return fail(LEVEL_UNAVAILABLE);
  if (wanted > limit) return fail(LEVEL_ABOVE_LIMIT);
  session.level = wanted as Level;
  return done([session.level]);
}

/** Its own, or any for an administrator (§22.19). */
function closeSession(session: LanSession, sessions: SessionTable, bmcId: number) {
  const target = sessions.find(bmcId);
  if (target === null) return fail(NO_SUCH_SESSION);
  if (target !== session && session.level < 4) return fail(CODE.privilege);
  sessions.remove(bmcId);
  return done();
}

function getSessionInfo(session: LanSession, sessions: SessionTable, bmc: BmcState) {
  const user = session.handshake?.user.id ?? 0;
  const counts = [bmc.config.sessionsMax, sessions.activeCount];
  return done([1, ...counts, user, session.level, 0x10 | LAN_CHANNEL]);
}

const BEFORE_SESSION: ReadonlyMap<number, CommandRow> = new Map(
  table(NET_FN.app, [
    [0x38, "Get Channel Authentication Capabilities", 0, 2, getChannelAuthenticationCapabilities],
    [0x54, "Get Channel Cipher Suites", 0, 3, getChannelCipherSuites],
  ]),
);

/** null: not a command of the wire. */
export function lanSessionCommand(
  key: number,
  session: LanSession | null,
  sessions: SessionTable,
): CommandRow | null {
  const before = BEFORE_SESSION.get(key);
  if (before !== undefined || session === null || key >> 8 !== NET_FN.app) return before ?? null;
  const within = new Map(
    table(NET_FN.app, [
      [
        0x3b,
        "Set Session Privilege Level",
        1,
        1,
        (_bmc, data) => setSessionPrivilege(session, (data[0] ?? 0) & 0x0f),
      ],
      [
        0x3c,
        "Close Session",
        1,
        [4, 5],
        (_bmc, data) => closeSession(session, sessions, readU32(data, 0)),
      ],
      [0x3d, "Get Session Info", 2, [1, 5], (bmc) => getSessionInfo(session, sessions, bmc)],
    ]),
  );
  return within.get(key) ?? null;
}

export const CLOSE_SESSION: number = commandKey(NET_FN.app, 0x3c);
