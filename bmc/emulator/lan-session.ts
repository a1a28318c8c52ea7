/**
 * One RMCP+ session as the BMC has it: from Open Session to its end, with the window of sequence numbers (IPMI 2.0 §13, §6.12).
 *
 * Decides which packets of a session are new. The window takes what is up to 16 ahead of the highest seen or among the 15
 * below it and not seen yet; 0 is for packets outside of sessions. Nothing here knows of sockets or commands.
 */
import type { CipherSuite } from "../ipmi/rmcp/cipher-suite.ts";
import type { RakpExchange, SessionKeys } from "../ipmi/rmcp/session-keys.ts";
import type { PacketCipher } from "../ipmi/rmcp/session-packet.ts";
import type { Level } from "./commands/command.ts";
import type { UserConfig } from "./config.ts";

const WINDOW = 16;
const SEQUENCE_MAX = 0xffff_ffff;

export class SequenceWindow {
  #highest = 0;
  /** Bit n: highest − n was seen. */
  #seen = 1;

  /** False: seen before, too old, or too far ahead. */
  take(sequence: number): boolean {
    if (sequence === 0) return false;
    const ahead = sequence - this.#highest;
    if (ahead > WINDOW || ahead <= -WINDOW) return false;
    if (ahead > 0) {
      this.#highest = sequence;
      this.#seen = ((this.#seen << ahead) | 1) & 0xffff;
      return true;
    }
    const bit = 1 << -ahead;
    if ((this.#seen & bit) !== 0) return false;
    this.#seen |= bit;
    return true;
  }
}

/** What RAKP 1 led to, kept so that a repeated RAKP 1 or 3 gets the same answer. */
export interface Handshake {
  readonly user: UserConfig;
  readonly userKey: Uint8Array;
  readonly exchange: RakpExchange;
  readonly keys: SessionKeys;
  /** Of the payload that it answers. */
  readonly rakp1: Uint8Array;
  readonly rakp2: Uint8Array;
}

export class LanSession {
  readonly bmcId: number;
  readonly consoleId: number;
  readonly suite: CipherSuite;
  /** What Open Session asked for; 4 where it left that open. */
  readonly levelMax: Level;
  handshake: Handshake | null = null;
  /** From RAKP 4 on. */
  cipher: PacketCipher | null = null;
  /** Begins at user (§22.18). */
  level: Level = 2;
  readonly window: SequenceWindow = new SequenceWindow();
  lastMs: number;
  requestCount = 0;
  #sequence = 0;

  constructor(
    of: { readonly bmcId: number; readonly consoleId: number; readonly levelMax: Level },
    suite: CipherSuite,
    nowMs: number,
  ) {
    this.bmcId = of.bmcId;
    this.consoleId = of.consoleId;
    this.levelMax = of.levelMax;
    this.suite = suite;
    this.lastMs = nowMs;
  }

  nextSequence(): number {
    this.#sequence = this.#sequence === SEQUENCE_MAX ? 1 : this.#sequence + 1;
    return this.#sequence;
  }
}
