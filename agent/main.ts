/**
 * The entry of the executable.
 *
 * A proxy is started in the middle of a recovery, when every millisecond counts, and needs none of what the commands load
 * (an HTTP framework, a command line parser, schemas: 40 ms). A delta of small files is made, and a BMC's log is read, in
 * the time that loading the rest would take; most commands need nothing of what an agent is made of. So this file looks at
 * the first argument before it loads anything. Two rooms load late as well what is heavy and seldom needed: certificates
 * (`agent/identity/io/x509.ts`) and links to BMCs (`bmc/link/io/open-bmc.ts`). There are no other dynamic imports in the project;
 * the bundler puts all of them into the executable.
 */
async function main(): Promise<void> {
  const [command, ...args] = process.argv.slice(2);
  const asked = command === "help" ? args[0] : command;
  if (command === "proxy") {
    const { runProxyCommand } = await import("./cli/proxy.ts");
    await runProxyCommand(args);
  } else if (command === "guard") {
    const { runGuardCommand } = await import("./cli/guard.ts");
    await runGuardCommand(args);
  } else if (command === "delta") {
    const { runDeltaCommand } = await import("./cli/delta-only.ts");
    await runDeltaCommand(process.argv.slice(2));
  } else if (command === "bmc" && args[0] === "emulate") {
    const { runEmulateCommand } = await import("./cli/bmc-emulate-only.ts");
    await runEmulateCommand(process.argv.slice(2));
  } else if (asked === "bmc") {
    const { runBmcCommand } = await import("./cli/bmc-only.ts");
    await runBmcCommand(process.argv.slice(2));
  } else if (asked === "agent") {
    const { runAgentCommand } = await import("./cli/agent-only.ts");
    await runAgentCommand(process.argv.slice(2));
  } else if (asked === "hook") {
    const { runHookCommand } = await import("./cli/hook-only.ts");
    await runHookCommand(process.argv.slice(2));
  } else if (asked === "manager") {
    const { runManagerCommand } = await import("./cli/manager-only.ts");
    await runManagerCommand(process.argv.slice(2));
  } else if (asked === "destination") {
    const { runDestinationCommand } = await import("./cli/destination-only.ts");
    await runDestinationCommand(process.argv.slice(2));
  } else if (asked === "init" || asked === "join" || asked === "identity") {
    const { runIdentityCommand } = await import("./cli/identity-only.ts");
    await runIdentityCommand(process.argv.slice(2));
  } else {
    const { runCli } = await import("./cli/cli.ts");
    await runCli(process.argv.slice(2));
  }
}

// Not awaited here: a module without top-level await can be compiled ahead of time.
void main();
