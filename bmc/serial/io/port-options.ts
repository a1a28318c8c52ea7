/**
 * Options of a serial port, made whole and checked before anything is opened.
 *
 * Decides what is allowed; a wrong value is `bad-request` and names the option. Defaults are those of the interface.
 */
import type { OpenOptions } from "@serialport/bindings-interface";
import { PortError } from "./port-error.ts";
import type { LineSettings, Parity } from "./termios.ts";

export interface LinuxOpenOptions extends OpenOptions {
  readonly parity?: Parity;
  /** Bytes that must be there before a read comes back, 1 to 255. Not 0: then a quiet line looks like a hang-up. */
  readonly vmin?: number;
  /** Tenths of a second that a read waits for the next byte once one has come. */
  readonly vtime?: number;
  /** Which way bytes are read, see `fd-reader.ts`. */
  readonly way?: "stream" | "worker";
  /** Where lock files are; null finds the system's. */
  readonly lockFolder?: string | null;
}

/** No UART is known to be faster than this by an order of magnitude; a typing error may well be. */
const BAUD_RATE_MAX = 100_000_000;

const ALLOWED = {
  dataBits: [5, 6, 7, 8],
  stopBits: [1, 1.5, 2],
  parity: ["none", "even", "odd", "mark", "space"],
  way: ["stream", "worker"],
} as const;

export function completeOptions(options: LinuxOpenOptions): Required<LinuxOpenOptions> {
  const complete: Required<LinuxOpenOptions> = {
    dataBits: 8,
    lock: true,
    stopBits: 1,
    parity: "none",
    rtscts: false,
    xon: false,
    xoff: false,
    xany: false,
    hupcl: true,
    vmin: 1,
    vtime: 0,
    way: "stream",
    lockFolder: null,
    ...withoutUndefined(options),
  };
  if (complete.path === "") throw new PortError("bad-request", "path: an empty one names no port");
  checkBaudRate(complete.baudRate);
  for (const [name, values] of Object.entries(ALLOWED)) {
    const value = complete[name as keyof typeof ALLOWED];
    if (!(values as readonly unknown[]).includes(value)) {
      throw new PortError("bad-request", `${name}: ${value} is none of ${values.join(", ")}`);
    }
  }
  checkByte("vmin", complete.vmin, 1);
  checkByte("vtime", complete.vtime, 0);
  return complete;
}

/** An option given as undefined is one that was not given. */
function withoutUndefined(options: LinuxOpenOptions): LinuxOpenOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as unknown as LinuxOpenOptions;
}

export function checkBaudRate(baudRate: number): void {
  // 0 is a rate too, of a sort: it hangs up.
  if (Number.isInteger(baudRate) && baudRate > 0 && baudRate <= BAUD_RATE_MAX) return;
  throw new PortError("bad-request", `baudRate: ${baudRate} is no rate from 1 to ${BAUD_RATE_MAX}`);
}

function checkByte(name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least && value <= 255) return;
  throw new PortError("bad-request", `${name}: ${value} is no whole number from ${least} to 255`);
}

export function lineSettingsOf(options: Required<LinuxOpenOptions>): LineSettings {
  return options;
}

/**
 * Whether what the driver made of a rate will do. An adapter tells what its divisor gives, such as 115384; a UART samples in
 * the middle of ten bits, so both sides together bear 5 %, and the kernel itself calls 2 % the same rate.
 */
export function isSameRate(wanted: number, got: number): boolean {
  return Math.abs(got - wanted) * 50 <= wanted;
}
