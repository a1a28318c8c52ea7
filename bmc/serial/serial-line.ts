/**
 * Requests onto a serial line and what comes back off it, the same for Basic and Terminal Mode.
 *
 * Decides how a request looks on the line and which frames are replies to a console, the BMC's own requests, texts or handshakes;
 * not which reply answers what. What a line echoes (a terminal, a wrong cable) is a request to the BMC and is dropped here.
 */
import { assert } from "../../core/assert.ts";
import type { IpmiRequest } from "../ipmi/ipmi.ts";
import {
  BMC_ADDRESS,
  CONSOLE_ADDRESS,
  decodeReplyMessage,
  decodeRequestMessage,
  encodeRequestToBmc,
} from "../ipmi/message.ts";
import type { WireReply } from "../ipmi/session/transactor.ts";
import { BasicModeFramer, encodeBasicFrame } from "./basic-mode.ts";
import {
  decodeTerminalMessage,
  encodeTerminalFrame,
  encodeTerminalMessage,
  encodeTerminalText,
  type TerminalMessage,
  TerminalModeFramer,
} from "./terminal-mode.ts";

export type SerialMode = "basic" | "terminal";

export type LineItem =
  | { readonly kind: "reply"; readonly reply: WireReply }
  /** The BMC asks something of the console. */
  | {
      readonly kind: "bmc-request";
      readonly netFn: number;
      readonly command: number;
      readonly data: Uint8Array;
    }
  /** Terminal Mode only, without brackets. */
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "handshake" };

/** What a line has met, for an error that names the cause. */
export interface LineCounts {
  readonly messages: number;
  readonly noiseBytes: number;
  /** Frames that were none: bad checksums, escapes, lengths, characters. */
  readonly badFrames: number;
  readonly echoes: number;
}

export interface SerialLine {
  readonly mode: SerialMode;
  /** Requests outstanding at most; many a BMC has room for one. */
  readonly windowMax: number;
  encode(request: IpmiRequest, sequence: number): Uint8Array;
  encodeText(text: string): Uint8Array;
  push(chunk: Uint8Array): readonly LineItem[];
  readonly counts: LineCounts;
}

/**
 * Data bytes of a message on any serial line. Terminal Mode has 40 bytes in all (§14.7.2); in Basic Mode ipmitool's limits
 * are the same, and BMCs are tested with that.
 */
export const SERIAL_REQUEST_BYTES_MAX = 33;
export const SERIAL_REPLY_BYTES_MAX = 32;

/** Serial/Modem Connection Active, the BMC's own (§25.9). */
export const CONNECTION_ACTIVE = { netFn: 0x0c, command: 0x18 } as const;

class BasicLine implements SerialLine {
  readonly mode = "basic";
  readonly windowMax = 32;
  readonly #framer = new BasicModeFramer();
  #echoes = 0;

  get counts(): LineCounts {
    const { messages, noiseBytes, badChecksums, badEscapes, tooLong, tooShort } =
      this.#framer.counts;
    const badFrames = badChecksums + badEscapes + tooLong + tooShort;
    return { messages, noiseBytes, badFrames, echoes: this.#echoes };
  }

  encode(request: IpmiRequest, sequence: number): Uint8Array {
    return encodeBasicFrame(encodeRequestToBmc(request, sequence));
  }

  encodeText(): Uint8Array {
    assert(false, "Basic Mode has no texts");
  }

  push(chunk: Uint8Array): readonly LineItem[] {
    const items: LineItem[] = [];
    for (const frame of this.#framer.push(chunk)) {
      const item = frame.kind === "handshake" ? frame : this.#itemOf(frame.bytes);
      if (item !== null) items.push(item);
    }
    return items;
  }

  #itemOf(bytes: Uint8Array): LineItem | null {
    const reply = decodeReplyMessage(bytes);
    if (reply.ok) {
      const isOurs = reply.value.requesterAddress === CONSOLE_ADDRESS;
      return isOurs ? { kind: "reply", reply: reply.value } : null;
    }
    const request = decodeRequestMessage(bytes);
    if (!request.ok) return null;
    const { responderAddress, requesterAddress, netFn, command, data } = request.value;
    if (responderAddress === BMC_ADDRESS) {
      this.#echoes++;
      return null;
    }
    return requesterAddress === BMC_ADDRESS ? { kind: "bmc-request", netFn, command, data } : null;
  }
}

class TerminalLine implements SerialLine {
  readonly mode = "terminal";
  readonly windowMax = 4;
  readonly #framer = new TerminalModeFramer({ side: "console" });
  readonly #newline: string;
  #echoes = 0;

  constructor(newline: string) {
    this.#newline = newline;
  }

  get counts(): LineCounts {
    const { messages, texts, noiseBytes, malformed, illegal, tooLong } = this.#framer.counts;
    const badFrames = malformed + illegal + tooLong;
    return { messages: messages + texts, noiseBytes, badFrames, echoes: this.#echoes };
  }

  encode(request: IpmiRequest, sequence: number): Uint8Array {
    const message = encodeTerminalMessage({ ...request, sequence, bridge: 0 });
    return encodeTerminalFrame(message, { newline: this.#newline });
  }

  encodeText(text: string): Uint8Array {
    return encodeTerminalText(text, this.#newline);
  }

  push(chunk: Uint8Array): readonly LineItem[] {
    return this.#framer.push(chunk).flatMap((frame): readonly LineItem[] => {
      if (frame.kind === "handshake") return [frame];
      if (frame.kind === "text") return this.#textOf(frame.text);
      const message = decodeTerminalMessage(frame.bytes);
      const item = message.ok ? this.#itemOf(message.value) : null;
      return item === null ? [] : [item];
    });
  }

  /** Answers begin with OK or ERR; a text that begins with SYS is our own, echoed. */
  #textOf(text: string): readonly LineItem[] {
    if (!text.startsWith("SYS")) return [{ kind: "text", text }];
    this.#echoes++;
    return [];
  }

  #itemOf(message: TerminalMessage): LineItem | null {
    const { netFn, lun, sequence, bridge, command, data } = message;
    if (netFn % 2 === 0) {
      if (netFn === CONNECTION_ACTIVE.netFn && command === CONNECTION_ACTIVE.command) {
        return { kind: "bmc-request", netFn, command, data };
      }
      this.#echoes++;
      return null;
    }
    const [completionCode] = data;
    // A bridged reply (01b) answers what another controller was asked, which is never asked here.
    if (completionCode === undefined || bridge !== 0) return null;
    return {
      kind: "reply",
      reply: { netFn, lun, sequence, command, completionCode, data: data.subarray(1) },
    };
  }
}

/** `newline` ends what is sent in Terminal Mode: CR is the default of BMCs, NUL the other one they can be set to (§25.2). */
export function serialLine(mode: SerialMode, newline = "\r"): SerialLine {
  return mode === "basic" ? new BasicLine() : new TerminalLine(newline);
}
