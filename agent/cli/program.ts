/**
 * A program made of commands: how it is run, and how it ends when something is wrong.
 *
 * A wrong command line is one line and exit code 2; a problem is one line and the code of its kind; a defect of holdfast shows
 * where it happened and ends with 70.
 */
import { Command, CommanderError } from "commander";
import { HOLDFAST_VERSION } from "../job/io/status.ts";
import { CliError, EXIT_BROKEN_PIPE, EXIT_USAGE, isBrokenPipe } from "./cli-error.ts";

const EXIT_DEFECT = 70;

const OVERVIEW = `
Try it: holdfast demo
Each command has examples: holdfast run --help
`;

export interface Commands {
  readonly shown: readonly Command[];
  readonly hidden?: readonly Command[];
}

function pathOf(command: Command): string {
  const { parent } = command;
  return parent === null ? command.name() : `${pathOf(parent)} ${command.name()}`;
}

/** Commander ends the process by itself unless every command is told not to; a suggestion of its is a second line. */
function guard(command: Command): Command {
  command.exitOverride();
  command.configureOutput({
    outputError: (text, write) => {
      const what = text
        .replace(/^error: /, "")
        .trim()
        .replaceAll("\n", " ");
      write(`holdfast: ${what.replace(/\.$/, "")}; see ${pathOf(command)} --help\n`);
    },
  });
  for (const child of command.commands) guard(child);
  return command;
}

function program({ shown, hidden = [] }: Commands): Command {
  const root = new Command("holdfast")
    .description("keeps a cluster's work alive: detect, tell, fence, choose, move, resume")
    .version(HOLDFAST_VERSION)
    .enablePositionalOptions()
    .showSuggestionAfterError(true)
    .addHelpText("after", OVERVIEW);
  for (const command of shown) root.addCommand(command);
  for (const command of hidden) root.addCommand(command, { hidden: true });
  return guard(root);
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  // Whoever read our output has enough, as in `holdfast job list | head -1`.
  if (isBrokenPipe(error)) return EXIT_BROKEN_PIPE;
  if (error instanceof CliError) {
    const remedy = error.remedy === undefined ? "" : `; ${error.remedy}`;
    process.stderr.write(`holdfast: ${error.message}${remedy}\n`);
    return error.exitCode;
  }
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`holdfast: a defect: ${what}\n`);
  return EXIT_DEFECT;
}

export async function runProgram(commands: Commands, args: readonly string[]): Promise<void> {
  const crash = (error: unknown): void => process.exit(exitCodeOf(error));
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  try {
    await program(commands).parseAsync(args, { from: "user" });
  } catch (error) {
    process.exitCode = exitCodeOf(error);
  }
}
