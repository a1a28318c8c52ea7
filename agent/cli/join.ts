/**
 * `holdfast join`: this node's certificates, or a person's, by a one-time token, from the cluster's door.
 */
import { Command } from "commander";
import { joinCluster } from "../identity/io/credentials.ts";
import { type JoinToken, parseJoinToken } from "../identity/join-token.ts";
import { CliError, EXIT_CONFIG, EXIT_USAGE } from "./cli-error.ts";
import {
  checkedName,
  DATA_FOLDER,
  namedFolder,
  nameOfMachine,
  nameOfUser,
  operatorFolder,
  parseListen,
  problemError,
} from "./identity/folders.ts";
import { printJson, printLine } from "./print.ts";

const HELP = `
ADDRESS:PORT is the door of the cluster: beside an agent, a manager or a destination on the machine with the authority (7401
where its port is 7400), or what holdfast identity serve listens at. The token is made there: holdfast identity token.

The door must first show the certificate whose fingerprint stands in the token; nothing is said to any other. Private keys are
made here and stay here. If the answer was lost on its way, the same command may be given again.

Examples:
  holdfast join 10.0.0.1:7401 --token hf1_… --id n2 --data /var/lib/holdfast
  holdfast join 10.0.0.1:7401 --token-file token      # of an operator: into ~/.config/holdfast/identity
`;

interface JoinFlags {
  readonly token?: string;
  readonly tokenFile?: string;
  readonly id?: string;
  readonly data?: string;
  readonly identity?: string;
  readonly json?: boolean;
}

async function readToken({ token, tokenFile }: JoinFlags): Promise<JoinToken> {
  if ((token === undefined) === (tokenFile === undefined)) {
    throw new CliError("give --token TOKEN or --token-file FILE", EXIT_USAGE);
  }
  let text = token ?? "";
  if (tokenFile !== undefined) {
    try {
      text = await (tokenFile === "-" ? Bun.stdin : Bun.file(tokenFile)).text();
    } catch (cause) {
      throw new CliError(`${tokenFile}: ${(cause as Error).message}`, EXIT_CONFIG);
    }
  }
  const parsed = parseJoinToken(text);
  if (parsed !== null) return parsed;
  throw new CliError("the token is not one, or a part of one", EXIT_USAGE, "it begins with hf1_");
}

function folderOf(flags: JoinFlags, { role }: JoinToken): string {
  const named = namedFolder(flags);
  if (named !== null) return named;
  if (role === "operator") return operatorFolder();
  return namedFolder({ data: DATA_FOLDER }) ?? "";
}

async function join(door: string, flags: JoinFlags): Promise<void> {
  parseListen(door);
  const token = await readToken(flags);
  const usual = token.role === "operator" ? nameOfUser() : nameOfMachine();
  const name = checkedName(flags.id ?? token.name ?? usual);
  const folder = folderOf(flags, token);
  const joined = await joinCluster({ door, token, name, folder });
  if (!joined.ok) throw problemError(joined.error);
  const principal = joined.value;
  if (flags.json === true) printJson({ ...principal, folder });
  else printLine(`joined: ${principal.role} ${name} of cluster ${principal.cluster}, in ${folder}`);
}

export function joinCommand(): Command {
  return new Command("join")
    .description("get this node's certificates by a one-time token")
    .argument("<address:port>", "door of the cluster")
    .option("--token <token>", "the token; others on this machine see it while the command runs")
    .option("--token-file <file>", "file with the token; - for standard input")
    .option("--id <id>", "name to join by, of a node its id; the token's, or the machine's")
    .option("--data <folder>", `data folder of this node; ${DATA_FOLDER}`)
    .option("--identity <folder>", "folder of the identity; DATA/identity")
    .option("--json", "print one JSON object")
    .addHelpText("after", HELP)
    .action(join);
}
