/**
 * `holdfast job list | show | explain | cancel`.
 */
import { Command } from "commander";
import type { JobExplanation } from "../job/io/explain.ts";
import type { JobSummary } from "../job/io/status.ts";
import type { JobRecord } from "../job/job.ts";
import { AgentClient, type AgentFlags, agentOption, identityOption } from "./agent-client.ts";
import { formatTable, formatTime, printJson, printLine } from "./print.ts";

interface Options extends AgentFlags {
  readonly json?: boolean;
}

function withOptions(command: Command): Command {
  return command
    .addOption(agentOption())
    .addOption(identityOption())
    .option("--json", "print JSON");
}

export function formatJobs(jobs: readonly JobSummary[]): string {
  if (jobs.length === 0) return "no jobs; start one with holdfast run";
  return formatTable(
    ["JOB", "STATE", "EPOCH", "RANKS", "SEALED", "EXIT", "ON", "PROGRAM"],
    jobs.map((job) => [
      job.id,
      job.state,
      String(job.epoch),
      String(job.ranks),
      String(job.sealed || "-"),
      job.exitCode === null ? "-" : String(job.exitCode),
      job.placement.join(",") || "-",
      job.argv.join(" ").slice(0, 60),
    ]),
  );
}

export function formatJob(record: JobRecord): string {
  const { spec } = record;
  const lines = [
    `job         ${spec.id}: ${record.state}`,
    `program     ${spec.argv.join(" ")}`,
    `folder      ${spec.cwd}`,
    `ranks       ${spec.ranks}, spares asked for ${spec.spares}`,
    `placement   ${record.placement.map((node, rank) => `${rank} on ${node}`).join(", ") || "-"}`,
    `copies      ${record.partners.map((node, rank) => `${rank} on ${node ?? "-"}`).join(", ") || "-"}`,
    `epoch       ${record.epoch}`,
    `sealed      ${record.sealed || "nothing yet"}`,
  ];
  if (record.exitCode !== null) lines.push(`exit code   ${record.exitCode}`);
  if (record.verdict !== null) lines.push(`verdict     ${record.verdict}`);
  return lines.join("\n");
}

export function formatExplanation(explanation: JobExplanation): string {
  const lines = [`${explanation.job} is ${explanation.state}, epoch ${explanation.epoch}`];
  for (const event of explanation.events) {
    lines.push(`${formatTime(event.atMs)} epoch ${event.epoch}: ${event.what}`);
    for (const why of event.why ?? []) lines.push(`               ${why}`);
  }
  if (explanation.verdict !== null) lines.push(explanation.verdict);
  return lines.join("\n");
}

function list(): Command {
  return withOptions(new Command("list").description("all jobs that the cluster knows")).action(
    async (options: Options) => {
      const jobs = await new AgentClient(options).get<readonly JobSummary[]>("/v1/jobs");
      if (options.json === true) printJson(jobs);
      else printLine(formatJobs(jobs));
    },
  );
}

function show(): Command {
  return withOptions(
    new Command("show").argument("<job>").description("one job: where it runs and how it stands"),
  ).action(async (job: string, options: Options) => {
    const path = `/v1/jobs/${encodeURIComponent(job)}`;
    const record = await new AgentClient(options).get<JobRecord>(path);
    if (options.json === true) printJson(record);
    else printLine(formatJob(record));
  });
}

function explain(): Command {
  return withOptions(
    new Command("explain")
      .argument("<job>")
      .description("why this state, and why not a newer one: the story of a job"),
  ).action(async (job: string, options: Options) => {
    const path = `/v1/jobs/${encodeURIComponent(job)}/explain`;
    const explanation = await new AgentClient(options).get<JobExplanation>(path);
    if (options.json === true) printJson(explanation);
    else printLine(formatExplanation(explanation));
  });
}

function cancel(): Command {
  return withOptions(
    new Command("cancel")
      .argument("<job>")
      .description("end the programs of a job; its sealed states are kept"),
  ).action(async (job: string, options: Options) => {
    const path = `/v1/jobs/${encodeURIComponent(job)}/cancel`;
    const answer = await new AgentClient(options).post<{ readonly job: string }>(path, {});
    if (options.json === true) printJson(answer);
    else printLine(`${answer.job} is cancelled`);
  });
}

const EXAMPLES = `
Examples:
  holdfast job list
  holdfast job explain j-0a1b2c3d
  holdfast job cancel j-0a1b2c3d
  holdfast job show j-0a1b2c3d --json | jq .placement
`;

export function jobCommand(): Command {
  return new Command("job")
    .description("list, show, explain and cancel jobs")
    .addCommand(list())
    .addCommand(show())
    .addCommand(explain())
    .addCommand(cancel())
    .addHelpText("after", EXAMPLES);
}
