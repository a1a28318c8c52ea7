/**
 * OpenIPMI's `ipmi_sim` as a BMC to test against: LAN with suites 1 to 6, and one serial line in Basic Mode, Terminal Mode or
 * the framing that QEMU speaks.
 *
 * Each one runs in a temporary folder of its own on free ports of the loopback address. What it is like, and where it differs
 * from the standard, is said where it matters: it fills `sel` ids 1 to N, one second apart, ending now; two of three records
 * are memory errors, each third is a temperature threshold. Its serial codecs swallow replies until `serfix.c` is loaded.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasCommand } from "../../real-part.ts";

export const SIM_USER = "ipmiusr";
export const SIM_PASSWORD = "test";
export const SIM_GUID = "a123456789abcdefa123456789abcdef";
/** apt-get install … */
export const SIM_REMEDY =
  "apt-get install openipmi ipmitool freeipmi-tools socat gcc libc6-dev libopenipmi-dev";

const FIXTURES = join(import.meta.dir, "fixtures");
const START_WITHIN_MS = 10_000;

/** `direct` is Basic Mode; `vm` is what QEMU's `ipmi-bmc-extern` speaks. */
export type SimCodec = "direct" | "terminal" | "vm";

const CODEC_NAMES: Readonly<Record<SimCodec, string>> = {
  direct: "Direct",
  terminal: "TerminalMode",
  vm: "VM",
};

export interface SimOptions {
  readonly codec?: SimCodec;
  readonly selRecords?: number;
  /** Records of sensors instead of the four that it has, ids counting from 1. */
  readonly sdrs?: readonly Uint8Array[];
  /** Lines of its emulator file, for the sensors of those records. */
  readonly emulatorLines?: readonly string[];
}

export interface IpmiSim {
  readonly folder: string;
  readonly pid: number;
  readonly lanPort: number;
  /** TCP; one client at a time. */
  readonly serialPort: number;
  readonly lanUrl: string;
  /** One command on the simulator's console; its answer. */
  console(command: string): Promise<string>;
  /** The memory sensor's bit 1, uncorrectable error, set or cleared, with an event at once. */
  setMemoryError(isAsserted: boolean): Promise<void>;
  /** Read by the simulator each second; 112, 144, 160 are its thresholds, in °C. */
  setTemperature(celsius: number): void;
  stop(): Promise<void>;
}

export function hasIpmiSim(): boolean {
  return (
    ["ipmi_sim", "sdrcomp", "gcc", "ipmitool", "ipmi-sel", "socat"].every(hasCommand) &&
    existsSync("/usr/include/OpenIPMI/serserv.h")
  );
}

/** Bound and let go: the next to ask may get it too, but the kernel hands out others first. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

function run(argv: readonly string[], cwd: string): void {
  const { exitCode, stderr } = Bun.spawnSync([...argv], { cwd });
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr.toString()}`);
}

/** The records of `N` entries as the simulator stores them: decimal id, type d, sixteen escaped bytes. */
export function selStore(
  count: number,
  endSeconds: number = Math.floor(Date.now() / 1000),
): string {
  const lines: string[] = [];
  for (let id = count; id >= 1; id--) {
    const event = id % 3 === 0 ? [0x01, 1, 0x01, 0x59] : [0x0c, 2, 0x6f, id % 2];
    const record = new Uint8Array(16);
    const view = new DataView(record.buffer);
    view.setUint16(0, id, true);
    record[2] = 2;
    view.setUint32(3, endSeconds - count + id, true);
    record.set([0x20, 0, 4, ...event, 0xff, 0xff], 7);
    lines.push(`${id}:d:${escaped(record)}`);
  }
  return [...lines, "last_erase_time:i:0", `last_add_time:i:${endSeconds}`, ""].join("\n");
}

/** Bytes as its stores have them. */
function escaped(bytes: Uint8Array): string {
  return [...bytes].map((byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("");
}

function sdrStore(records: readonly Uint8Array[]): string {
  const lines = records.map((bytes, index) => `${index + 1}:d:${escaped(bytes)}`).reverse();
  return ["last_add_time:i:1", ...lines, ""].join("\n");
}

function fruText(text: string): readonly number[] {
  return [0xc0 | text.length, ...new TextEncoder().encode(text)];
}

function fruArea(head: readonly number[], texts: readonly string[]): readonly number[] {
  const body = [...head, ...texts.flatMap(fruText), 0xc1];
  while ((body.length + 1) % 8 !== 0) body.push(0);
  body[1] = (body.length + 1) / 8;
  return [...body, -body.reduce((sum, byte) => sum + byte, 0) & 0xff];
}

export const SIM_FRU = {
  board: ["ACME", "SIMBOARD", "BSN0001", "BPN-42", "fru1"],
  product: ["ACME", "Server X", "PPN-7", "1.0", "PSN0001", "asset1", "fru1"],
} as const;

function fruImage(): Uint8Array {
  const board = fruArea([1, 0, 25, 0x80, 0x5a, 0xd0], SIM_FRU.board);
  const product = fruArea([1, 0, 25], SIM_FRU.product);
  const head = [1, 0, 0, 1, 1 + board.length / 8, 0, 0];
  const image = new Uint8Array(256);
  image.set([...head, -head.reduce((sum, byte) => sum + byte, 0) & 0xff, ...board, ...product]);
  return image;
}

function configuration(lan: number, serial: number, consolePort: number, codec: SimCodec): string {
  const auths = "none md2 md5 straight";
  return `name "sim"
loadlib "./serfix.so" ""
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 ${lan}
    priv_limit admin
    allowed_auths_callback ${auths}
    allowed_auths_user ${auths}
    allowed_auths_operator ${auths}
    allowed_auths_admin ${auths}
    guid ${SIM_GUID}
  endlan
  serial 15 127.0.0.1 ${serial} codec ${CODEC_NAMES[codec]}
  startnow false
  user 1 true "" "${SIM_PASSWORD}" user 10 ${auths}
  user 2 true "${SIM_USER}" "${SIM_PASSWORD}" admin 10 ${auths}
console 127.0.0.1 ${consolePort}
`;
}

function prepare(folder: string, options: SimOptions): void {
  cpSync(FIXTURES, folder, { recursive: true });
  writeFileSync(join(folder, "fru.bin"), fruImage());
  writeFileSync(join(folder, "temp.val"), "48\n");
  // -8: without it short names are packed to 6 bits and read as garbage.
  run(["sdrcomp", "-8", "-o", "sim1.sdr.bin", "sim1.sdrs"], folder);
  run(["gcc", "-shared", "-fPIC", "serfix.c", "-o", "serfix.so"], folder);
  const state = join(folder, "state/ipmi_sim/sim");
  mkdirSync(state, { recursive: true });
  cpSync(join(folder, "sim1.sdr.bin"), join(state, "sdr.20.main"));
  if (options.sdrs !== undefined) {
    writeFileSync(join(state, "sdr.20.main"), sdrStore(options.sdrs));
  }
  if (options.emulatorLines !== undefined) {
    const emulator = readFileSync(join(folder, "bmc.emu"), "utf8");
    const lines = `${options.emulatorLines.join("\n")}\nmc_enable 0x20`;
    writeFileSync(join(folder, "bmc.emu"), emulator.replace("mc_enable 0x20", lines));
  }
  const count = options.selRecords ?? 0;
  if (count > 0) writeFileSync(join(state, "sel.20"), selStore(count));
}

/** Connects, says the line, and takes what comes until nothing more does for a moment. */
function consoleCommand(port: number, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    let text = "";
    socket.setTimeout(150);
    socket.on("connect", () => socket.write(`${command}\n`));
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    socket.on("timeout", () => socket.end());
    socket.on("close", () => resolve(text));
    socket.on("error", reject);
  });
}

/** Its ports listen before it is ready; its console speaks when it is. */
function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on("data", () => {
      resolve(true);
      socket.destroy();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(false));
  });
}

export async function startIpmiSim(options: SimOptions = {}): Promise<IpmiSim> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-sim-"));
  const [lanPort, serialPort, consolePort] = [await freePort(), await freePort(), await freePort()];
  prepare(folder, options);
  const codec = options.codec ?? "direct";
  writeFileSync(join(folder, "sim.conf"), configuration(lanPort, serialPort, consolePort, codec));
  const argv = ["ipmi_sim", "-c", "sim.conf", "-f", "bmc.emu", "-s", join(folder, "state"), "-n"];
  const child = Bun.spawn(argv, {
    cwd: folder,
    stdin: "ignore",
    stdout: Bun.file(join(folder, "sim.log")),
    stderr: Bun.file(join(folder, "sim.err")),
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await child.exited;
    rmSync(folder, { recursive: true, force: true });
  };
  const limitMs = Date.now() + START_WITHIN_MS;
  while (!(await isReady(consolePort))) {
    if (child.exitCode !== null || Date.now() > limitMs) {
      const log = await Bun.file(join(folder, "sim.err")).text();
      await stop();
      throw new Error(`ipmi_sim does not start: ${log}`);
    }
    await Bun.sleep(20);
  }
  const command = (text: string): Promise<string> => consoleCommand(consolePort, text);
  return {
    folder,
    pid: child.pid,
    lanPort,
    serialPort,
    lanUrl: `lan://${SIM_USER}@127.0.0.1:${lanPort}?cipher=3`,
    console: command,
    setMemoryError: async (isAsserted) => {
      await command(`sensor_set_bit 0x20 0 2 1 ${isAsserted ? 1 : 0} 1`);
    },
    setTemperature: (celsius) => writeFileSync(join(folder, "temp.val"), `${celsius}\n`),
    stop,
  };
}

export interface SimPty {
  readonly path: string;
  stop(): Promise<void>;
}

/** A PTY whose other side is the simulator's serial line. */
export async function ptyTo(sim: IpmiSim, baud = 115_200): Promise<SimPty> {
  const path = join(sim.folder, "tty");
  const child = Bun.spawn(
    ["socat", `PTY,link=${path},raw,echo=0,b${baud}`, `TCP:127.0.0.1:${sim.serialPort},nodelay`],
    { stdin: "ignore", stdout: "ignore", stderr: "ignore" },
  );
  const limitMs = Date.now() + START_WITHIN_MS;
  while (!existsSync(path)) {
    if (child.exitCode !== null || Date.now() > limitMs) throw new Error("socat makes no PTY");
    await Bun.sleep(10);
  }
  return {
    path,
    stop: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
