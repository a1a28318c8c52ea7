/**
 * Line settings of a terminal: `termios2`, its numbers, and the two ways it is written here.
 *
 *   offset  bytes  field
 *        0      4  c_iflag
 *        4      4  c_oflag
 *        8      4  c_cflag
 *       12      4  c_lflag
 *       16      1  c_line
 *       17     19  c_cc       VTIME is 5, VMIN is 6
 *       36      4  c_ispeed   in bit/s where c_cflag says BOTHER
 *       40      4  c_ospeed
 *
 * `termios2` takes any rate, not only those that have a name. A driver may change what it is given without an error (the 8250
 * made 115200 of 250000), so what counts is what is read back.
 */
import { type FfiBuffer, ffiBuffer } from "../../../core/io/native.ts";
import { errno, libc, SystemError } from "./libc.ts";

export const TERMIOS2_BYTES = 44;

export const IOCTL = {
  TCFLSH: 0x540b,
  TIOCEXCL: 0x540c,
  TIOCNXCL: 0x540d,
  TIOCOUTQ: 0x5411,
  TIOCMGET: 0x5415,
  TIOCMSET: 0x5418,
  TIOCSERGETLSR: 0x5459,
  TIOCSBRK: 0x5427,
  TIOCCBRK: 0x5428,
  TCGETS2: 0x802c542a,
  TCSETS2: 0x402c542b,
} as const;

/** What TCFLSH empties. */
export const QUEUE = { input: 0, output: 1, both: 2 } as const;

const OFFSET = {
  iflag: 0,
  oflag: 4,
  cflag: 8,
  lflag: 12,
  vtime: 22,
  vmin: 23,
  ispeed: 36,
  ospeed: 40,
};

const IFLAG = { IGNBRK: 0x1, IGNPAR: 0x4, INPCK: 0x10, IXON: 0x400, IXANY: 0x800, IXOFF: 0x1000 };

const CFLAG = {
  CSTOPB: 0x40,
  CREAD: 0x80,
  PARENB: 0x100,
  PARODD: 0x200,
  HUPCL: 0x400,
  CLOCAL: 0x800,
  BOTHER: 0x1000,
  CMSPAR: 0x40000000,
  CRTSCTS: 0x80000000,
};
const DATA_BITS_FLAG = { 5: 0x00, 6: 0x10, 7: 0x20, 8: 0x30 } as const;

export type Parity = "none" | "even" | "odd" | "mark" | "space";

const PARITY_FLAG: Readonly<Record<Parity, number>> = {
  none: 0,
  even: CFLAG.PARENB,
  odd: CFLAG.PARENB | CFLAG.PARODD,
  mark: CFLAG.PARENB | CFLAG.PARODD | CFLAG.CMSPAR,
  space: CFLAG.PARENB | CFLAG.CMSPAR,
};

export interface LineSettings {
  readonly baudRate: number;
  readonly dataBits: 5 | 6 | 7 | 8;
  /** 1.5 is what hardware makes of two with five data bits. */
  readonly stopBits: 1 | 1.5 | 2;
  readonly parity: Parity;
  readonly rtscts: boolean;
  readonly xon: boolean;
  readonly xoff: boolean;
  readonly xany: boolean;
  readonly hupcl: boolean;
  readonly vmin: number;
  readonly vtime: number;
}

/** Without the rate. */
export function controlFlags(settings: LineSettings): number {
  let flags = CFLAG.CREAD | CFLAG.CLOCAL | DATA_BITS_FLAG[settings.dataBits];
  flags |= PARITY_FLAG[settings.parity];
  if (settings.stopBits !== 1) flags |= CFLAG.CSTOPB;
  if (settings.hupcl) flags |= CFLAG.HUPCL;
  if (settings.rtscts) flags |= CFLAG.CRTSCTS;
  return flags >>> 0;
}

export function inputFlags(settings: LineSettings): number {
  let flags = IFLAG.IGNBRK;
  flags |= settings.parity === "none" ? IFLAG.IGNPAR : IFLAG.INPCK;
  if (settings.xon) flags |= IFLAG.IXON;
  if (settings.xany) flags |= IFLAG.IXANY;
  if (settings.xoff) flags |= IFLAG.IXOFF;
  return flags;
}

function read(fd: number, memory: FfiBuffer): void {
  if (libc.ioctl(fd, IOCTL.TCGETS2, memory.pointer) < 0) {
    throw new SystemError("cannot read the line settings", errno());
  }
}

function write(fd: number, memory: FfiBuffer): void {
  if (libc.ioctl(fd, IOCTL.TCSETS2, memory.pointer) < 0) {
    throw new SystemError("cannot change the line settings", errno());
  }
}

function putBaudRate(memory: FfiBuffer, baudRate: number): void {
  const { view } = memory;
  // The low half is of both directions unless the upper half, for input, names a rate of its own: so both say BOTHER.
  const flags = view.getUint32(OFFSET.cflag, true) & ~0x100f_100f;
  view.setUint32(OFFSET.cflag, flags | CFLAG.BOTHER | (CFLAG.BOTHER << 16), true);
  view.setUint32(OFFSET.ispeed, baudRate, true);
  view.setUint32(OFFSET.ospeed, baudRate, true);
}

/** Raw, as `settings` say; what the driver made of it is for the caller to read back. Throws a `SystemError`. */
export function applyLine(fd: number, settings: LineSettings): void {
  const memory = ffiBuffer(TERMIOS2_BYTES);
  read(fd, memory);
  const { view } = memory;
  view.setUint32(OFFSET.iflag, inputFlags(settings), true);
  view.setUint32(OFFSET.oflag, 0, true);
  view.setUint32(OFFSET.lflag, 0, true);
  view.setUint32(OFFSET.cflag, controlFlags(settings), true);
  view.setUint8(OFFSET.vmin, settings.vmin);
  view.setUint8(OFFSET.vtime, settings.vtime);
  putBaudRate(memory, settings.baudRate);
  write(fd, memory);
}

/** Leaves everything but the rate. */
export function applyBaudRate(fd: number, baudRate: number): void {
  const memory = ffiBuffer(TERMIOS2_BYTES);
  read(fd, memory);
  putBaudRate(memory, baudRate);
  write(fd, memory);
}

/** In both directions, in bit/s, as the driver has it. */
export function readBaudRate(fd: number): { readonly input: number; readonly output: number } {
  const memory = ffiBuffer(TERMIOS2_BYTES);
  read(fd, memory);
  return {
    input: memory.view.getUint32(OFFSET.ispeed, true),
    output: memory.view.getUint32(OFFSET.ospeed, true),
  };
}

/** A copy of the whole structure: to be given back with `restoreLine`, and for whoever looks at single flags. */
export function readLine(fd: number): Uint8Array {
  const memory = ffiBuffer(TERMIOS2_BYTES);
  read(fd, memory);
  return memory.u8.slice();
}

export function restoreLine(fd: number, line: Uint8Array): void {
  const memory = ffiBuffer(TERMIOS2_BYTES);
  memory.u8.set(line);
  write(fd, memory);
}

/** Raw and without echo, its rate as it is: what a pseudo-terminal needs to carry bytes unchanged. */
export function isolateTerminal(fd: number): void {
  const memory = ffiBuffer(TERMIOS2_BYTES);
  read(fd, memory);
  const { view } = memory;
  view.setUint32(OFFSET.iflag, IFLAG.IGNBRK, true);
  view.setUint32(OFFSET.oflag, 0, true);
  view.setUint32(OFFSET.lflag, 0, true);
  view.setUint8(OFFSET.vmin, 1);
  view.setUint8(OFFSET.vtime, 0);
  write(fd, memory);
}
