/**
 * `holdfast what-if`: asked of a healthy cluster, what would the loss of these nodes mean for each job?
 */
import { Command } from "commander";
import type { JobFate, WhatIfAnswer } from "../job/what-if.ts";
import { AgentClient, type AgentFlags, agentOption, identityOption } from "./agent-client.ts";
import { CliError, EXIT_USAGE } from "./cli-error.ts";
import { printJson, printLine } from "./print.ts";

const EXAMPLES = `
Nothing is changed by asking. The exit code is 0 when every job would survive, 1 when one would not.

Examples:
  holdfast what-if --lose n2
  holdfast what-if --lose n2,n3 --json
`;

/** A job would not survive, or nobody would act. */
const EXIT_WOULD_NOT_SURVIVE = 1;

function formatFate({ job, fate, version, lossMs, placement, why }: JobFate): string {
  const work = lossMs === null ? "" : `, ${(lossMs / 1000).toFixed(1)} s of work lost`;
  const text = {
    untouched: "goes on untouched",
    "rolled-back": `restarts from ${version === 0 ? "its beginning" : `version ${version}`}${work}, on ${placement.join(", ")}`,
    frozen: "freezes until nodes come back",
    lost: "would not survive",
  }[fate];
  return [`${job} ${text}`, ...why.map((line) => `  ${line}`)].join("\n");
}

export function formatWhatIf(answer: WhatIfAnswer): string {
  const head = `without ${answer.lost.join(", ")}: ${answer.survivors.join(", ") || "nobody"} go on`;
  const majority = answer.hasMajority ? "" : ", but they are no majority";
  const jobs = answer.jobs.length === 0 ? ["no job runs"] : answer.jobs.map(formatFate);
  return [`${head}${majority}`, ...jobs].join("\n");
}

export function whatIfCommand(): Command {
  return new Command("what-if")
    .description("what would happen to the jobs if these nodes died now")
    .requiredOption("--lose <nodes>", "ids of the nodes, with commas between")
    .addOption(agentOption())
    .addOption(identityOption())
    .option("--json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action(async (options: AgentFlags & { readonly lose: string; readonly json?: boolean }) => {
      const lose = [...new Set(options.lose.split(",").map((node) => node.trim()))].filter(
        (node) => node !== "",
      );
      if (lose.length === 0) {
        throw new CliError("--lose names no node", EXIT_USAGE, "give ids, such as --lose n2,n3");
      }
      const client = new AgentClient(options);
      const answer = await client.post<WhatIfAnswer>("/v1/what-if", { lose });
      if (options.json === true) printJson(answer);
      else printLine(formatWhatIf(answer));
      const survives = answer.jobs.every(({ fate }) => fate !== "lost" && fate !== "frozen");
      if (!survives) process.exitCode = EXIT_WOULD_NOT_SURVIVE;
    });
}
