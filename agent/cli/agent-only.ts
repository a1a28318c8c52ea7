/**
 * `holdfast agent` by an entry of its own: the other commands need nothing of what an agent is made of.
 */
import { agentCommand } from "./agent.ts";
import { runProgram } from "./program.ts";

export function runAgentCommand(args: readonly string[]): Promise<void> {
  return runProgram({ shown: [agentCommand()] }, args);
}
