/**
 * `holdfast bmc emulate`: a BMC of our own, for tests and for trying things, with the faults that real ones show.
 *
 * What it takes is here; what runs it is `run-emulator.ts`, which the other commands need not load.
 */
import { Command, InvalidArgumentError, Option } from "commander";

const HELP = `
Lines on standard input drive it, each is answered by a line: event memory 0, sensor "CPU0 Temp" 99, fault drop on 20,
fault list, power off, sel fill 1000, reset, help. With --control a Unix socket takes the same lines, such as from
socat - UNIX:PATH. It ends with Ctrl-C or SIGTERM. --fault help lists the faults.
The user is admin and the password emulated, unless a password is given by HOLDFAST_BMC_PASSWORD or --password-file.

Examples:
  holdfast bmc emulate --lan 127.0.0.1:9623 --pty ./bmc-tty
  export HOLDFAST_BMC_PASSWORD=emulated
  holdfast bmc sel --bmc lan://admin@127.0.0.1:9623
  holdfast bmc sel --bmc "serial:$PWD/bmc-tty?mode=basic"
  ipmitool -I lanplus -C 17 -H 127.0.0.1 -p 9623 -U admin -P emulated sel list
  holdfast bmc emulate --lan 127.0.0.1:9623 --fault drop=20 --fault rakp2-tag-zero --seed 7
  holdfast bmc emulate --redfish 127.0.0.1:9443 --lan 127.0.0.1:9623

Exit codes: 0 ended by a signal; 2 wrong command line; 73 an address or path cannot be had; 78 no password.
`;

export interface EmulateFlags {
  readonly lan?: Endpoint;
  readonly pty?: string;
  readonly mode: "basic" | "terminal" | "auto";
  readonly redfish?: Endpoint;
  readonly plainHttp?: boolean;
  readonly trap?: Endpoint;
  readonly control?: string;
  readonly user: string;
  readonly passwordFile?: string;
  readonly seed: number;
  readonly selFill: number;
  /** `name` or `name=value`. */
  readonly fault?: readonly string[];
  readonly json?: boolean;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Port 0 takes a free one. */
function endpoint(text: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host !== undefined && port <= 65_535) return { host, port };
  throw new InvalidArgumentError("must be ADDRESS:PORT, such as 127.0.0.1:9623");
}

function whole(text: string): number {
  const value = Number(text);
  if (/^\d{1,9}$/.test(text)) return value;
  throw new InvalidArgumentError("must be a whole number");
}

function append(text: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), text];
}

export function emulateCommand(run: (flags: EmulateFlags) => Promise<void>): Command {
  return new Command("emulate")
    .description("be a BMC, on LAN, a serial line and Redfish")
    .option("--lan <address:port>", "IPMI over LAN there (UDP); port 0 takes a free one", endpoint)
    .option("--pty <path>", "a serial line: a link to a terminal is made there")
    .addOption(
      new Option("--mode <mode>", "how the serial line is spoken to")
        .choices(["basic", "terminal", "auto"])
        .default("auto"),
    )
    .option("--redfish <address:port>", "Redfish there, with a certificate of its own", endpoint)
    .option("--plain-http", "Redfish without TLS")
    .option("--trap <address:port>", "send a trap of each event there", endpoint)
    .option("--control <path>", "a Unix socket that takes the lines of standard input")
    .option("--user <name>", "administrator's name", "admin")
    .option("--password-file <file>", "file of mode 0600 with the password")
    .option("--seed <number>", "of all that is drawn: the same gives the same run", whole, 1)
    .option("--sel-fill <count>", "entries in the log at the start", whole, 0)
    .option("--fault <name[=value]>", "a fault that is on from the start; may be repeated", append)
    .option("--json", "print what there is as JSON first")
    .addHelpText("after", HELP)
    .action(run);
}
