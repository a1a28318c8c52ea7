/**
 * `holdfast delta`: what a checkpoint stores instead of a whole file, for anybody's files.
 */
import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import { Command } from "commander";
import { createCore } from "../../core/core.ts";
import { applyDeltaFile } from "../checkpoint/io/delta-apply.ts";
import {
  DeltaFileError,
  type DeltaFileErrorKind,
  type DeltaSummary,
} from "../checkpoint/io/delta-file.ts";
import { makeDeltaFile } from "../checkpoint/io/delta-make.ts";
import { CliError, EXIT_USAGE } from "./cli-error.ts";

interface DeltaOptions {
  readonly json?: true;
}

/** Exit codes of sysexits.h: data error 65, no input 66, cannot create 73, input/output error 74. */
const ENDS: Readonly<Record<DeltaFileErrorKind, { exitCode: number; remedy?: string }>> = {
  missing: { exitCode: 66, remedy: "check the path" },
  "not-a-file": { exitCode: 66, remedy: "name a file with contents, not a folder, pipe or device" },
  changed: { exitCode: 66, remedy: "take a copy of what is still being written to" },
  "wrong-base": { exitCode: 65, remedy: "use the very file that was BASE when the delta was made" },
  damaged: { exitCode: 65, remedy: "make or copy the delta again" },
  "no-space": { exitCode: 73, remedy: "make room there or write elsewhere; nothing was changed" },
  io: { exitCode: 74 },
};

async function run(job: () => DeltaSummary | Promise<DeltaSummary>): Promise<DeltaSummary> {
  try {
    return await job();
  } catch (error) {
    if (!(error instanceof DeltaFileError)) throw error;
    const { exitCode, remedy } = ENDS[error.kind];
    throw new CliError(error.message, exitCode, remedy);
  }
}

function print(options: DeltaOptions, line: string, fields: object): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(fields)}\n` : `${line}\n`);
}

function percent(part: number, whole: number): string {
  return whole === 0 ? "" : ` (${((part / whole) * 100).toFixed(1)} %)`;
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}

/** An input that is written to would be lost. */
function keepApart(output: string, inputs: Readonly<Record<string, string>>): void {
  for (const [name, input] of Object.entries(inputs)) {
    if (realPath(output) !== realPath(input)) continue;
    throw new CliError(`${output} is to be written and is ${name} too`, EXIT_USAGE, "name another");
  }
}

async function make(
  basePath: string,
  newPath: string,
  patchPath: string,
  options: DeltaOptions,
): Promise<void> {
  keepApart(patchPath, { BASE: basePath, NEW: newPath });
  const made = await run(() => makeDeltaFile(createCore(), basePath, newPath, patchPath));
  const share = percent(made.deltaBytes, made.targetBytes);
  print(options, `${patchPath}: ${made.deltaBytes} bytes for ${made.targetBytes}${share}`, {
    patch: patchPath,
    ...made,
  });
}

async function apply(
  basePath: string,
  newPath: string,
  patchPath: string,
  options: DeltaOptions,
): Promise<void> {
  keepApart(newPath, { PATCH: patchPath });
  const made = await run(() => applyDeltaFile(createCore(), basePath, patchPath, newPath));
  print(options, `${newPath}: ${made.targetBytes} bytes, digest verified`, {
    output: newPath,
    ...made,
  });
}

const HELP = `
A delta holds the bytes in which NEW differs from BASE at the same place: right for images, checkpoints and databases, which
change in place. Content that moves (text with a line inserted) is stored again.

Both take the files in the same order: make reads NEW and writes PATCH, apply reads PATCH and writes NEW.
Outputs appear whole or not at all. Apply verifies BASE, the delta and the result by digest (XXH3-128).

Examples:
  $ holdfast delta make monday.img tuesday.img tuesday.delta
  $ holdfast delta apply monday.img restored.img tuesday.delta
  $ holdfast delta make --json monday.img tuesday.img tuesday.delta | jq .deltaBytes

Exit codes: 0 done, 2 wrong command line, 65 wrong base or damaged delta, 66 no such input, 73 no room, 74 disk error
`;

export function deltaCommand(): Command {
  const delta = new Command("delta")
    .description("write what changed between two files, and apply it")
    .addHelpText("after", HELP);
  delta
    .command("make")
    .summary("write to PATCH what changes BASE into NEW")
    .description("Write to PATCH what changes the file BASE into the file NEW.")
    .argument("<BASE>", "the older file")
    .argument("<NEW>", "the newer file; may be longer or shorter")
    .argument("<PATCH>", "the delta to write; replaced when it exists")
    .option("--json", "print one JSON object: patch, baseBytes, targetBytes, deltaBytes")
    .addHelpText(
      "after",
      "\nExample:\n  $ holdfast delta make monday.img tuesday.img tuesday.delta",
    )
    .action(make);
  delta
    .command("apply")
    .summary("write to NEW what PATCH makes of BASE")
    .description("Write to NEW the file that PATCH makes of BASE. Refuses any other base.")
    .argument("<BASE>", "the file that was BASE when PATCH was made")
    .argument("<NEW>", "the file to write; replaced when it exists; may be BASE itself")
    .argument("<PATCH>", "the delta")
    .option("--json", "print one JSON object: output, baseBytes, targetBytes, deltaBytes")
    .addHelpText(
      "after",
      "\nExample:\n  $ holdfast delta apply monday.img restored.img tuesday.delta",
    )
    .action(apply);
  return delta;
}
