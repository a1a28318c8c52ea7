/**
 * Commands with an entry of their own (`agent/main.ts`), as the overview of all commands names them.
 *
 * They load what no other command needs, or are called so often that what the others load would count. In the overview stands
 * only their name and this line.
 */
import { Command } from "commander";

export const APART = {
  agent: "run the agent of this node",
  manager: "run the management server: API, store, relay of errors, page",
  destination: "run the receiving end of call home: tickets",
  init: "make this cluster's authority and this node's identity",
  join: "get an identity from a cluster's authority by a one-time token",
  identity: "tokens, certificates, revocation, rotation",
  bmc: "talk to a BMC: event log, sensors, inventory, power, watchdog",
  hook: "tell this machine's agent of an error; for scripts",
} as const;

/** Never run: the entry does. */
export function namedOnly(name: keyof typeof APART): Command {
  return new Command(name).description(APART[name]);
}
