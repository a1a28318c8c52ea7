/**
 * `holdfast proxy --control SOCKET --host ADDRESS`: started by the agent, never by hand.
 *
 * Its arguments are read without the command line parser, which would cost a recovery some milliseconds.
 */
import { runProxy } from "../proxy/io/proxy-process.ts";
import { EXIT_USAGE } from "./cli-error.ts";

function flagOf(args: readonly string[], flag: string): string | null {
  const index = args.indexOf(flag);
  return index === -1 ? null : (args[index + 1] ?? null);
}

export async function runProxyCommand(args: readonly string[]): Promise<void> {
  const control = flagOf(args, "--control");
  const host = flagOf(args, "--host");
  if (control === null || host === null) {
    process.stderr.write(
      "holdfast: proxy wants --control SOCKET and --host ADDRESS; the agent starts it, you need not\n",
    );
    process.exit(EXIT_USAGE);
  }
  await runProxy({ control, host });
  process.exit(0);
}
