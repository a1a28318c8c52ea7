/**
 * A small console for tests of the emulator: makes a session with a machine in memory and asks it.
 *
 * Uses the codecs of `bmc/ipmi/rmcp/` but no session of the product, so that the emulator is tested for itself. Each method
 * hands one datagram to the machine and takes what it sends.
 */
import { realCrypto } from "../ipmi/io/crypto.ts";
import type { IpmiReply, IpmiRequest } from "../ipmi/ipmi.ts";
import { decodeReplyMessage, encodeRequestToBmc } from "../ipmi/message.ts";
import { cipherSuiteOf } from "../ipmi/rmcp/cipher-suite.ts";
import {
  decodeOpenSessionResponse,
  encodeOpenSessionRequest,
  type OpenSessionResponse,
} from "../ipmi/rmcp/open-session.ts";
import {
  decodeRakp2,
  decodeRakp4,
  encodeRakp1,
  encodeRakp3,
  type Rakp2,
  type Rakp4,
  type RakpRefusal,
} from "../ipmi/rmcp/rakp.ts";
import {
  paddedKey,
  type RakpExchange,
  rakp2Code,
  rakp3Code,
  rakp4CheckValue,
  sessionKeys,
} from "../ipmi/rmcp/session-keys.ts";
import {
  decodeSessionPacket,
  encodePlainPacket,
  encodeSetupPacket,
  PacketCipher,
} from "../ipmi/rmcp/session-packet.ts";
import type { BmcConfig, FaultSetting, SerialConfig } from "./config.ts";
import type { Datagram } from "./datagram-faults.ts";
import { bmcConfig } from "./default-bmc.ts";
import { type EmulatorEffect, EmulatorMachine } from "./machine.ts";

export const START_MS: number = Date.UTC(2026, 2, 1);
const CONSOLE_ID = 0xa0a2a3a4;
const PEER = { address: "127.0.0.1", port: 40_000 };

export function machineOf(
  bmc: Partial<BmcConfig> = {},
  faults: readonly FaultSetting[] = [],
  serial: Partial<SerialConfig> | null = null,
): EmulatorMachine {
  const line: SerialConfig | null = serial && {
    mode: "auto",
    needsSession: false,
    hasEcho: false,
    hasHandshake: false,
    newline: "crlf",
    lineCharsMax: 122,
    sendsPing: false,
    ...serial,
  };
  const config = { bmc: bmcConfig(bmc), serial: line, seed: 1, selFill: 0, faults };
  return new EmulatorMachine(config, realCrypto, START_MS);
}

export function datagrams(effects: readonly EmulatorEffect[]): readonly Datagram[] {
  return effects.filter((effect) => effect.kind === "datagram");
}

/** Bytes written to the line, as one piece. */
export function written(effects: readonly EmulatorEffect[]): Uint8Array {
  const parts = effects.filter((effect) => effect.kind === "serial");
  return Uint8Array.from(parts.flatMap(({ bytes }) => [...bytes]));
}

export interface Login {
  readonly user: string;
  readonly password: string;
  readonly suite: 3 | 17;
  readonly role: number;
  readonly kg: string;
}

export class TestClient {
  readonly machine: EmulatorMachine;
  nowMs: number = START_MS;
  bmcId = 0;
  sequence = 0;
  cipher: PacketCipher | null = null;
  /** Whether both codes of the BMC were right. */
  isProved = false;
  #messageSequence = 0;
  #tag = 0;

  constructor(machine: EmulatorMachine) {
    this.machine = machine;
  }

  send(bytes: Uint8Array): readonly Datagram[] {
    return datagrams(this.machine.step({ kind: "datagram", bytes, peer: PEER }, this.nowMs));
  }

  payload(sent: readonly Datagram[]): Uint8Array | null {
    const [first] = sent;
    if (first === undefined) return null;
    const packet = decodeSessionPacket(first.bytes);
    if (!packet.ok) throw new Error("the machine sent no packet");
    return packet.value.payload;
  }

  open(algorithms: readonly [number, number, number]): OpenSessionResponse | null {
    const [authentication, integrity, confidentiality] = algorithms;
    const request = { authentication, integrity, confidentiality, privilege: 0 };
    this.#tag += 1;
    const bytes = encodeOpenSessionRequest({ ...request, tag: this.#tag, consoleId: CONSOLE_ID });
    const payload = this.payload(this.send(encodeSetupPacket(0x10, bytes)));
    const response = payload && decodeOpenSessionResponse(payload);
    if (response?.ok && response.value.isAccepted) this.bmcId = response.value.bmcId;
    return response?.ok ? response.value : null;
  }

  /** Throws what went wrong, as a word. */
  logIn(with_: Partial<Login> = {}): {
    readonly rakp2: Rakp2 | RakpRefusal;
    readonly rakp4: Rakp4 | RakpRefusal | null;
  } {
    const login = {
      ...{ user: "admin", password: "emulated", suite: 17, role: 0x14, kg: "" },
      ...with_,
    };
    const suite = cipherSuiteOf(login.suite);
    if (suite === null) throw new Error("no suite");
    const { authentication, integrity, confidentiality } = suite;
    const opened = this.open([authentication, integrity, confidentiality]);
    if (opened?.isAccepted !== true) throw new Error(`open refused: ${opened?.status}`);
    const consoleRandom = realCrypto.random(16);
    const user = new TextEncoder().encode(login.user);
    const rakp1 = encodeRakp1({
      ...{ tag: 7, bmcId: this.bmcId, consoleRandom },
      ...{ role: login.role, user },
    });
    const payload2 = this.payload(this.send(encodeSetupPacket(0x12, rakp1)));
    const rakp2 = payload2 && decodeRakp2(payload2, suite.digestBytes);
    if (!rakp2?.ok) throw new Error("no RAKP 2");
    if (!rakp2.value.isAccepted) return { rakp2: rakp2.value, rakp4: null };
    const { bmcRandom, guid } = rakp2.value;
    const exchange: RakpExchange = {
      ...{ consoleId: CONSOLE_ID, bmcId: this.bmcId, consoleRandom, bmcRandom, guid },
      ...{ role: login.role, user },
    };
    const userKey = paddedKey(new TextEncoder().encode(login.password));
    const kg = paddedKey(new TextEncoder().encode(login.kg));
    const keys = sessionKeys(realCrypto, suite, login.kg === "" ? userKey : kg, exchange);
    const code = rakp3Code(realCrypto, suite, userKey, exchange);
    const rakp3 = encodeRakp3({ isAccepted: true, tag: 8, bmcId: this.bmcId, code });
    const payload4 = this.payload(this.send(encodeSetupPacket(0x14, rakp3)));
    const rakp4 = payload4 && decodeRakp4(payload4, suite.codeBytes);
    if (!rakp4?.ok) throw new Error("no RAKP 4");
    this.isProved =
      realCrypto.isEqual(rakp2.value.code, rakp2Code(realCrypto, suite, userKey, exchange)) &&
      rakp4.value.isAccepted &&
      realCrypto.isEqual(
        rakp4.value.checkValue,
        rakp4CheckValue(realCrypto, suite, keys.sik, exchange),
      );
    this.cipher = new PacketCipher(realCrypto, suite, keys);
    return { rakp2: rakp2.value, rakp4: rakp4.value };
  }

  seal(request: IpmiRequest, sequence: number): Uint8Array {
    if (this.cipher === null) throw new Error("log in first");
    this.#messageSequence = (this.#messageSequence + 1) & 0x3f;
    const message = encodeRequestToBmc(request, this.#messageSequence);
    return this.cipher.seal(0, this.bmcId, sequence, message);
  }

  read(datagram: Datagram | undefined): IpmiReply | null {
    if (datagram === undefined || this.cipher === null) return null;
    const packet = decodeSessionPacket(datagram.bytes);
    if (!packet.ok || packet.value.version !== "2.0") return null;
    const plain = this.cipher.open(packet.value);
    const reply = plain.ok ? decodeReplyMessage(plain.value) : null;
    return reply?.ok ? reply.value : null;
  }

  /** In the session; null: no answer. */
  ask(netFn: number, command: number, data: readonly number[] = []): IpmiReply | null {
    this.sequence += 1;
    const request = { netFn, lun: 0, command, data: Uint8Array.from(data) };
    return this.read(this.send(this.seal(request, this.sequence))[0]);
  }

  /** Outside of any session, as IPMI 1.5. */
  askPlain(netFn: number, command: number, data: readonly number[] = []): IpmiReply | null {
    const request = { netFn, lun: 0, command, data: Uint8Array.from(data) };
    const payload = this.payload(this.send(encodePlainPacket(encodeRequestToBmc(request, 1))));
    const reply = payload && decodeReplyMessage(payload);
    return reply?.ok ? reply.value : null;
  }

  passTime(ms: number): readonly EmulatorEffect[] {
    this.nowMs += ms;
    return this.machine.step({ kind: "tick" }, this.nowMs);
  }
}

/** A client with a session at the administrator's privilege. */
export function loggedIn(
  bmc: Partial<BmcConfig> = {},
  faults: readonly FaultSetting[] = [],
): TestClient {
  const client = new TestClient(machineOf(bmc, faults));
  client.logIn();
  client.ask(0x06, 0x3b, [4]);
  return client;
}
