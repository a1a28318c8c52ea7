/**
 * The one session of a serial line: challenge and password, privilege, end by silence (IPMI 2.0 §14.4, §14.7.3, §22.16–22.19).
 *
 * Decides whether commands may come and at which privilege. In Basic Mode a session is made by Get Session Challenge and
 * Activate Session, with the clear password or its MD5 code, in Terminal Mode by `SYS PWD`. After that there is no
 * header: whoever is on the line has the session. A line that needs none gives everything to everybody.
 */
import type { IpmiCrypto } from "../ipmi/crypto.ts";
import { NET_FN } from "../ipmi/ipmi.ts";
import type { BmcState } from "./bmc-state.ts";
import {
  CODE,
  type CommandRow,
  done,
  fail,
  type Level,
  readU32,
  table,
  u32,
} from "./commands/command.ts";
import type { UserConfig } from "./config.ts";

export const SERIAL_CHANNEL = 2;
const OWN_CHANNEL = 0x0e;
const AUTH = { none: 0, md5: 2, password: 4 } as const;
const PASSWORD_BYTES = 16;
const NO_SUCH_USER = 0x81;
const BAD_SESSION_ID = 0x85;
const BAD_PRIVILEGE = 0x86;
const LEVEL_UNAVAILABLE = 0x80;
const LEVEL_ABOVE_LIMIT = 0x81;
const NO_SUCH_SESSION = 0x87;
const SESSION_ID = 0x0001_0002;

interface Challenge {
  readonly user: UserConfig;
  readonly temporaryId: number;
  readonly bytes: Uint8Array;
}

export class SerialSession {
  readonly #bmc: BmcState;
  readonly #crypto: IpmiCrypto;
  readonly #needsSession: boolean;
  readonly #commands: ReadonlyMap<number, CommandRow>;
  #user: UserConfig | null = null;
  #level: Level = 0;
  #levelMax = 0;
  #challenge: Challenge | null = null;
  #lastMs = 0;

  constructor(bmc: BmcState, crypto: IpmiCrypto, needsSession: boolean) {
    this.#bmc = bmc;
    this.#crypto = crypto;
    this.#needsSession = needsSession;
    this.#commands = new Map(
      table(NET_FN.app, [
        [0x38, "Get Channel Authentication Capabilities", 0, 2, (_bmc, d) => this.#capabilities(d)],
        [0x39, "Get Session Challenge", 0, 17, (_bmc, data) => this.#giveChallenge(data)],
        [0x3a, "Activate Session", 0, 22, (_bmc, data) => this.#activate(data)],
        [0x3b, "Set Session Privilege Level", 0, 1, (_bmc, data) => this.#setLevel(data)],
        [0x3c, "Close Session", 0, [4, 5], (_bmc, data) => this.#close(data)],
      ]),
    );
  }

  get isActive(): boolean {
    return this.#user !== null;
  }

  get level(): Level {
    return this.#needsSession || this.#user !== null ? this.#level : 4;
  }

  /** null: not a command of the line. */
  command(key: number): CommandRow | null {
    return this.#commands.get(key) ?? null;
  }

  touch(nowMs: number): void {
    this.#lastMs = nowMs;
  }

  expire(nowMs: number): void {
    const isOver = nowMs - this.#lastMs > this.#bmc.config.sessionTimeoutMs;
    if (this.#user !== null && isOver) this.end();
  }

  end(): void {
    this.#user = null;
    this.#level = 0;
    this.#challenge = null;
  }

  /** `SYS PWD`: `name` empty is the user without one. At once at the user's own privilege (§14.7.6). */
  logIn(name: string, password: string): boolean {
    const user = this.#bmc.config.users.find((one) => one.name === name);
    const isRight = user !== undefined && this.#isPassword(user, padded(password));
    if (user === undefined || !isRight) return false;
    this.#begin(user, user.privilege);
    this.#level = user.privilege;
    return true;
  }

  #begin(user: UserConfig, levelMax: number): void {
    this.#user = user;
    this.#level = 2;
    this.#levelMax = levelMax;
  }

  #isPassword(user: UserConfig, given: Uint8Array): boolean {
    return this.#crypto.isEqual(padded(user.password), given);
  }

  #capabilities(data: Uint8Array) {
    const channel = (data[0] ?? 0) & 0x0f;
    if (channel !== OWN_CHANNEL && channel !== SERIAL_CHANNEL) return fail(CODE.invalidField);
    const types = this.#needsSession ? (1 << AUTH.md5) | (1 << AUTH.password) : 1 << AUTH.none;
    return done([SERIAL_CHANNEL, types, 0x04, 0, 0, 0, 0, 0]);
  }

  #giveChallenge(data: Uint8Array) {
    const name = new TextDecoder().decode(data.subarray(1)).replace(/\0+$/, "");
    const user = this.#bmc.config.users.find((one) => one.name === name);
    if (user === undefined) return fail(NO_SUCH_USER);
    const temporaryId = readU32(this.#crypto.random(4), 0);
    const bytes = this.#crypto.random(16);
    this.#challenge = { user, temporaryId, bytes };
    return done([...u32(temporaryId), ...bytes]);
  }

  #activate(data: Uint8Array) {
    const challenge = this.#challenge;
    if (challenge === null) return fail(BAD_SESSION_ID);
    const type = (data[0] ?? 0) & 0x0f;
    const wanted = (data[1] ?? 0) & 0x0f;
    const given = data.subarray(2, 18);
    const { user } = challenge;
    if (wanted > user.privilege) return fail(BAD_PRIVILEGE);
    if (!this.#isProof(challenge, type, given)) return fail(CODE.privilege);
    this.#challenge = null;
    this.#begin(user, wanted);
    return done([type, ...u32(SESSION_ID), ...u32(1), wanted]);
  }

  #isProof({ user, temporaryId, bytes }: Challenge, type: number, given: Uint8Array): boolean {
    if (type === AUTH.none) return !this.#needsSession;
    if (type === AUTH.password) return this.#isPassword(user, given);
    if (type !== AUTH.md5) return false;
    const password = padded(user.password);
    const text = Uint8Array.of(...password, ...u32(temporaryId), ...bytes, ...password);
    return this.#crypto.isEqual(this.#crypto.md5(text), given);
  }

  #setLevel(data: Uint8Array) {
    const wanted = (data[0] ?? 0) & 0x0f;
    if (this.#user === null) return this.#needsSession ? fail(CODE.privilege) : done([4]);
    if (wanted === 0) return done([this.#level]);
    if (wanted === 1 || wanted > 4) return fail(LEVEL_UNAVAILABLE);
    if (wanted > Math.min(this.#levelMax, this.#user.privilege)) return fail(LEVEL_ABOVE_LIMIT);
    this.#level = wanted as Level;
    return done([wanted]);
  }

  #close(data: Uint8Array) {
    if (this.#user === null || readU32(data, 0) !== SESSION_ID) return fail(NO_SUCH_SESSION);
    this.end();
    return done();
  }
}

/** As passwords on a serial line are: 16 bytes, zeros at the end. */
function padded(password: string): Uint8Array {
  const bytes = new Uint8Array(PASSWORD_BYTES);
  new TextEncoder().encodeInto(password, bytes);
  return bytes;
}
