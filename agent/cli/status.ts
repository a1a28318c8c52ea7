/**
 * `holdfast status`: all nodes, what runs on them, and which states they hold.
 */
import { Command } from "commander";
import type { ClusterStatus, NodeStatus, SilentNode } from "../job/io/status.ts";
import { AgentClient, type AgentFlags, agentOption, identityOption } from "./agent-client.ts";
import { formatTable, formatVersions, printJson, printLine } from "./print.ts";

const EXAMPLES = `
Examples:
  holdfast status
  holdfast status --agent 10.0.0.2:7400
  holdfast status --json | jq '.nodes[] | {id, state, epoch, pid}'
`;

function rowsOf(node: NodeStatus | SilentNode): readonly string[][] {
  const head = [node.id, `${node.address}:${node.port}`, node.state, String(node.epoch || "-")];
  const agent = node.pid === null ? "-" : String(node.pid);
  if (node.ranks.length === 0) return [[...head, agent, "-", "-", "-", "-"]];
  return node.ranks.map(({ job, rank, programPid, proxyPid, sealed }, index) => [
    ...(index === 0 ? head : head.map(() => "")),
    index === 0 ? agent : "",
    `${job}/${rank}`,
    String(programPid),
    String(proxyPid),
    formatVersions(sealed),
  ]);
}

export function formatStatus(status: ClusterStatus): string {
  const table = formatTable(
    ["NODE", "ADDRESS", "STATE", "EPOCH", "AGENT", "JOB/RANK", "PROGRAM", "PROXY", "SEALED"],
    status.nodes.flatMap(rowsOf),
  );
  const lines = [`epoch ${status.epoch}, lead ${status.lead ?? "none"}`, "", table];
  for (const node of status.nodes) {
    if (node.reason !== null && node.reason !== "" && node.state !== "alive") {
      lines.push(`${node.id}: ${node.reason}`);
    }
  }
  return lines.join("\n");
}

export function statusCommand(): Command {
  return new Command("status")
    .description("show all nodes, what runs on them and which states they hold")
    .addOption(agentOption())
    .addOption(identityOption())
    .option("--json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action(async (options: AgentFlags & { readonly json?: boolean }) => {
      const status = await new AgentClient(options).get<ClusterStatus>("/v1/status");
      if (options.json === true) printJson(status);
      else printLine(formatStatus(status));
    });
}
