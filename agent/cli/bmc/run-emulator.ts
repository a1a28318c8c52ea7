/**
 * Runs the emulated BMC of `holdfast bmc emulate` until it is told to stop, driven by lines on standard input.
 */
import { resolve } from "node:path";
import { BMC_ERRORS } from "../../../bmc/bmc-error.ts";
import type { BmcConfig, FaultSetting } from "../../../bmc/emulator/config.ts";
import { DEFAULT_BMC } from "../../../bmc/emulator/default-bmc.ts";
import { FAULT_NAMES, FAULTS, FaultTable, isFaultName } from "../../../bmc/emulator/faults.ts";
import { type Emulator, startEmulator } from "../../../bmc/emulator/io/emulator.ts";
import { RedfishServer } from "../../../bmc/emulator/io/redfish-server.ts";
import { readPassword } from "../../../bmc/link/io/password.ts";
import { LineSplitter } from "../../runtime/io/lines.ts";
import { CliError, EXIT_USAGE } from "../cli-error.ts";
import type { EmulateFlags, Endpoint } from "./emulate.ts";
import type { BmcWorld } from "./world.ts";

/** sysexits.h EX_CANTCREAT. */
const EXIT_NOT_HAD = 73;
/** As the standard recommends for acknowledged traps. */
const TRAP_TIMEOUT_MS = 3_000;
const TRAP_RETRIES = 3;

function describeFaults(): string {
  const width = Math.max(...FAULT_NAMES.map((name) => name.length));
  return FAULT_NAMES.map((name) => {
    const { unit, byDefault, what } = FAULTS[name];
    const value = unit === null ? "" : ` (=${byDefault} ${unit})`;
    return `${name.padEnd(width)}  ${what}${value}`;
  }).join("\n");
}

function faultOf(text: string): FaultSetting {
  const [name = "", value] = text.split("=");
  if (!isFaultName(name)) {
    throw new CliError(`--fault ${name} is not known`, EXIT_USAGE, "--fault help lists them");
  }
  const number = value === undefined ? null : Number(value);
  const checked = new FaultTable().setOn(name, number);
  if (!checked.ok) throw new CliError(`--fault ${text}: ${checked.error}`, EXIT_USAGE);
  return number === null ? { name } : { name, value: number };
}

async function passwordOf(world: BmcWorld, flags: EmulateFlags): Promise<string | null> {
  const read = await readPassword(flags.passwordFile ?? null, world.env);
  if (read.ok) return read.value;
  throw new CliError(read.error.detail, BMC_ERRORS[read.error.kind].exitCode);
}

function configOf(flags: EmulateFlags, password: string | null): Partial<BmcConfig> {
  const users = DEFAULT_BMC.users.map((user, index) => ({
    ...user,
    ...(index === 0 ? { name: flags.user } : {}),
    ...(password === null ? {} : { password }),
  }));
  if (flags.trap === undefined) return { users };
  const { host: address, port } = flags.trap;
  const retrying = { isAcknowledged: true, timeoutMs: TRAP_TIMEOUT_MS, retries: TRAP_RETRIES };
  return { users, trapDestinations: [{ address, port, ...retrying }] };
}

interface Running {
  readonly emulator: Emulator;
  readonly redfish: RedfishServer | null;
}

function isLoopback({ host }: Endpoint): boolean {
  return host.startsWith("127.") || host === "::1" || host === "localhost";
}

/** Whoever reads this help text may switch such a BMC off. */
function warnIfOpen(world: BmcWorld, flags: EmulateFlags, password: string | null): void {
  const open = [flags.lan, flags.redfish].find((one) => one !== undefined && !isLoopback(one));
  if (password !== null || open === undefined) return;
  world.say(
    `holdfast: ${open.host} is not this machine alone, and the password is the one of the help text: give another with --password-file`,
  );
}

async function start(world: BmcWorld, flags: EmulateFlags): Promise<Running> {
  const password = await passwordOf(world, flags);
  warnIfOpen(world, flags, password);
  const faults = (flags.fault ?? []).map(faultOf);
  let emulator: Emulator | null = null;
  try {
    emulator = await startEmulator({
      lan: flags.lan ?? null,
      pty: flags.pty === undefined ? null : { path: resolve(flags.pty), mode: flags.mode },
      bmc: configOf(flags, password),
      selFill: flags.selFill,
      faults,
      seed: flags.seed,
      controlPath: flags.control === undefined ? null : resolve(flags.control),
      onNotice: (line) => world.say(line),
    });
    const { redfish } = flags;
    const isTls = flags.plainHttp !== true;
    const server =
      redfish === undefined ? null : new RedfishServer(emulator, { ...redfish, isTls });
    return { emulator, redfish: server };
  } catch (cause) {
    await emulator?.stop();
    const { message, cause: inner } = cause as Error;
    const why = inner instanceof Error ? ` (${inner.message})` : "";
    throw new CliError(`${message}${why}`, EXIT_NOT_HAD, "choose another address or path");
  }
}

function at({ host }: Endpoint, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** As `--bmc` takes them. */
function urlsOf(flags: EmulateFlags, { emulator, redfish }: Running): readonly string[] {
  const urls: string[] = [];
  if (flags.lan !== undefined && emulator.lanPort !== null) {
    urls.push(`lan://${flags.user}@${at(flags.lan, emulator.lanPort)}`);
  }
  if (emulator.ptyPath !== null) {
    urls.push(
      `serial:${emulator.ptyPath}?mode=${flags.mode === "terminal" ? "terminal" : "basic"}`,
    );
  }
  if (flags.redfish !== undefined && redfish !== null) {
    const scheme = redfish.fingerprint === null ? "redfish+http" : "redfish+https";
    const pin = redfish.fingerprint === null ? "" : `?fingerprint=${redfish.fingerprint}`;
    urls.push(`${scheme}://${flags.user}@${at(flags.redfish, redfish.port)}${pin}`);
  }
  return urls;
}

function whenRaised(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener("abort", () => done(), { once: true });
  });
}

/** The end of standard input is not the end: a service has none. */
async function obey(world: BmcWorld, emulator: Emulator): Promise<void> {
  const lines = new LineSplitter((line) => {
    if (line.trim() !== "") world.print(emulator.control(line.trim()));
  });
  for await (const chunk of Bun.stdin.stream()) lines.push(chunk);
  lines.end();
}

export async function runEmulator(world: BmcWorld, flags: EmulateFlags): Promise<void> {
  if (flags.fault?.includes("help") === true) {
    world.print(describeFaults());
    return;
  }
  if (flags.lan === undefined && flags.pty === undefined && flags.redfish === undefined) {
    const remedy = "give --lan ADDRESS:PORT, --pty PATH or --redfish ADDRESS:PORT";
    throw new CliError("nothing to answer on", EXIT_USAGE, remedy);
  }
  const running = await start(world, flags);
  const urls = urlsOf(flags, running);
  if (flags.json === true) world.print(JSON.stringify({ urls }));
  else for (const url of urls) world.print(`ready: ${url}`);
  obey(world, running.emulator).catch((error: unknown) =>
    world.say(`standard input cannot be read: ${String(error)}`),
  );
  await whenRaised(world.interrupted);
  await running.redfish?.stop();
  await running.emulator.stop();
}
