/**
 * Runs a BMC of our own: binds the UDP port, makes the terminal, keeps the timer, and does what the pure machine says.
 *
 * Nothing is decided here. Everything started is ended by `stop`.
 */
import { realCrypto } from "../../ipmi/io/crypto.ts";
import { openPty, type Pty } from "../../serial/io/pty.ts";
import type { ModelEffect } from "../bmc-state.ts";
import type { BmcConfig, FaultSetting, SerialConfig } from "../config.ts";
import { bmcConfig } from "../default-bmc.ts";
import { type EmulatorEffect, EmulatorMachine, type ReceivedRequest } from "../machine.ts";
import type { BmcModel } from "../model.ts";
import { type ControlSocket, openControlSocket } from "./control-socket.ts";
import { Later } from "./later.ts";

export interface EmulatorConfig {
  /** null: no LAN. Port 0 takes a free one. */
  readonly lan: { readonly host: string; readonly port: number } | null;
  /** null: no serial line. `path`: where a link to the terminal is made; null: none, see `Emulator.ptyPath`. */
  readonly pty: ({ readonly path: string | null } & Partial<SerialConfig>) | null;
  /** A Unix socket that takes lines of the control protocol; null: none. */
  readonly controlPath?: string | null;
  /** What is to be otherwise than in `DEFAULT_BMC`. */
  readonly bmc?: Partial<BmcConfig>;
  /** Records in the log at the start. */
  readonly selFill?: number;
  readonly faults?: readonly FaultSetting[];
  /** Of everything that is drawn; the same gives the same run. */
  readonly seed?: number;
  /** What happens, a line each, for people: events, power, traps, resets. */
  readonly onNotice?: (line: string) => void;
}

export interface Emulator {
  /** null without LAN. */
  readonly lanPort: number | null;
  /** The terminal to open, `/dev/pts/N` or the link to it; null without a serial line. */
  readonly ptyPath: string | null;
  /** For another front; after using it, `touched` lets what it told be done. */
  readonly model: BmcModel;
  touched(): void;
  /** What the model tells, for another front. */
  onModel(handler: (effect: ModelEffect) => void): void;
  /** One line of the control protocol, such as `event memory 0`; one line back. `help` lists them. */
  control(line: string): string;
  /** The last requests, oldest first; at most some thousands are kept. */
  requests(): readonly ReceivedRequest[];
  stop(): Promise<void>;
}

const SERIAL_DEFAULT: SerialConfig = {
  mode: "auto",
  needsSession: false,
  hasEcho: false,
  hasHandshake: false,
  newline: "crlf",
  lineCharsMax: 122,
  sendsPing: false,
};

/** Rejects with an `Error` that names the address or path that could not be had. */
export async function startEmulator(config: EmulatorConfig): Promise<Emulator> {
  const machine = new EmulatorMachine(
    {
      bmc: bmcConfig(config.bmc ?? {}),
      serial: config.pty === null ? null : { ...SERIAL_DEFAULT, ...config.pty },
      seed: config.seed ?? 1,
      selFill: config.selFill ?? 0,
      faults: config.faults ?? [],
    },
    realCrypto,
    Date.now(),
  );
  const running = new RunningEmulator(machine, config.onNotice ?? (() => undefined));
  try {
    if (config.pty !== null) running.attachPty(openPty(config.pty.path), config.pty.path);
    if (config.lan !== null) await running.bind(config.lan.host, config.lan.port);
    const controlPath = config.controlPath ?? null;
    if (controlPath !== null) running.listen(controlPath);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return running;
}

type UdpSocket = Bun.udp.Socket<"buffer">;

class RunningEmulator implements Emulator {
  readonly #machine: EmulatorMachine;
  readonly #notice: (line: string) => void;
  readonly #later = new Later();
  readonly #handlers: ((effect: ModelEffect) => void)[] = [];
  #socket: UdpSocket | null = null;
  #pty: Pty | null = null;
  #reading: Promise<void> | null = null;
  #control: ControlSocket | null = null;
  #timer: Timer | null = null;
  ptyPath: string | null = null;
  #isStopped = false;

  constructor(machine: EmulatorMachine, notice: (line: string) => void) {
    this.#machine = machine;
    this.#notice = notice;
    this.#schedule();
  }

  get lanPort(): number | null {
    return this.#socket?.port ?? null;
  }

  get model(): BmcModel {
    return this.#machine.model;
  }

  async bind(host: string, port: number): Promise<void> {
    try {
      this.#socket = await Bun.udpSocket({
        hostname: host,
        port,
        socket: {
          data: (_socket, buffer, peerPort, address) => {
            const peer = { address, port: peerPort };
            // A Buffer's `slice`, by which what is kept is copied, would be a view.
            const bytes = new Uint8Array(buffer);
            this.#do(this.#machine.step({ kind: "datagram", bytes, peer }, Date.now()));
          },
          // A console that has gone: its port refuses what is still on the way. Without a handler it would end the process.
          error: () => undefined,
        },
      });
    } catch (error) {
      throw new Error(`cannot bind UDP ${host}:${port}`, { cause: error });
    }
  }

  attachPty(pty: Pty, linkPath: string | null): void {
    this.#pty = pty;
    this.ptyPath = linkPath ?? pty.slavePath;
    this.#reading = this.#read(pty);
  }

  async #read(pty: Pty): Promise<void> {
    for (let bytes = await pty.read(); bytes !== null; bytes = await pty.read()) {
      this.#do(this.#machine.step({ kind: "serial", bytes }, Date.now()));
    }
  }

  listen(path: string): void {
    this.#control = openControlSocket(path, (line) => this.control(line));
  }

  control(line: string): string {
    const effects = this.#machine.step({ kind: "control", line }, Date.now());
    this.#do(effects);
    return effects.find((effect) => effect.kind === "answer")?.line ?? "error: no answer";
  }

  requests(): readonly ReceivedRequest[] {
    return this.#machine.requests();
  }

  touched(): void {
    this.#do(this.#machine.step({ kind: "tick" }, Date.now()));
  }

  onModel(handler: (effect: ModelEffect) => void): void {
    this.#handlers.push(handler);
  }

  #do(effects: readonly EmulatorEffect[]): void {
    if (this.#isStopped) return;
    for (const effect of effects) {
      switch (effect.kind) {
        case "datagram":
          this.#after(effect.delayMs, () => {
            this.#sendTo(effect.peer, effect.bytes);
          });
          break;
        case "serial":
          this.#after(effect.delayMs, () => {
            void this.#pty?.write(effect.bytes);
          });
          break;
        case "notice":
          this.#notice(effect.line);
          break;
        case "model":
          for (const handler of this.#handlers) handler(effect.effect);
          break;
        case "answer":
          break;
      }
    }
    this.#schedule();
  }

  #sendTo(peer: { readonly address: string; readonly port: number }, bytes: Uint8Array): void {
    try {
      this.#socket?.send(bytes, peer.port, peer.address);
    } catch {
      // What the kernel says here may be about an earlier datagram, to a console that has gone. Once said it is forgotten.
      try {
        this.#socket?.send(bytes, peer.port, peer.address);
      } catch {}
    }
  }

  #after(delayMs: number, act: () => void): void {
    if (delayMs === 0) act();
    else this.#later.add(delayMs, act);
  }

  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const dueMs = this.#machine.dueMs();
    if (dueMs === null || this.#isStopped) return;
    const waitMs = Math.min(Math.max(0, dueMs - Date.now()), 2 ** 31 - 1);
    this.#timer = setTimeout(() => this.touched(), waitMs);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#later.clear();
    this.#socket?.close();
    this.#control?.close();
    await this.#pty?.close();
    await this.#reading;
  }
}
