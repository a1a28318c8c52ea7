/**
 * `holdfast identity`: who this process is, and what the cluster's authority does.
 */
import { Command, Option } from "commander";
import { ROLES } from "../identity/identity.ts";
import { REVOCATION_REASONS } from "../identity/trust.ts";
import { list, revoke, rotateAuthority, rotateKey, serve, token } from "./identity/office.ts";
import { adopt, bundle, renew, show } from "./identity/own.ts";

const HELP = `
Everyone has two certificates, one for TLS and one for signatures, of the cluster's authority, for 90 days; a running process
renews them by itself. show, renew, bundle and adopt are about one identity: --identity FOLDER, or --data FOLDER for DATA/identity,
or else ~/.config/holdfast/identity. The others work on the machine with the authority, and take its folder from --data too.

Examples:
  holdfast identity show
  holdfast identity token --role agent --ttl 1h --data /var/lib/holdfast
  holdfast identity revoke n3 --data /var/lib/holdfast

A new authority in place of the old one, without anybody being cut off; let a minute pass between the steps:
  holdfast identity rotate begin && holdfast identity rotate switch && holdfast identity rotate end

The authority was moved away, and a node is to be revoked: there, and then at any machine of the cluster:
  holdfast identity revoke n3 --authority /media/safe/authority
  holdfast identity bundle --authority /media/safe/authority > bundle.json
  holdfast identity adopt bundle.json --data /var/lib/holdfast
`;

function ofIdentity(command: Command): Command {
  return command
    .option("--identity <folder>", "folder of the identity")
    .option("--data <folder>", "data folder whose identity it is");
}

function ofAuthority(command: Command): Command {
  return ofIdentity(command).option("--authority <folder>", "folder of the authority");
}

function ownCommands(): readonly Command[] {
  return [
    ofIdentity(new Command("show"))
      .description("whose identity it is, how long it holds, whom it believes, who is revoked")
      .option("--json", "print one JSON object")
      .action(show),
    ofAuthority(new Command("renew"))
      .description("get new keys and certificates now, from the door, or straight from --authority")
      .option("--door <address:port>", "door of the cluster; the one it joined by")
      .action(renew),
    ofAuthority(new Command("bundle"))
      .description("print what the authority says of whom to believe, to be carried by hand")
      .action(bundle),
    ofIdentity(new Command("adopt"))
      .description("take such a bundle, if the authority signed it and it is newer")
      .argument("<file>", "the bundle; - for standard input")
      .action(adopt),
  ];
}

function officeCommands(): readonly Command[] {
  const role = new Option("--role <role>", "role").choices(ROLES);
  const reason = new Option("--reason <reason>", "retired: what it signed before is still believed")
    .choices(REVOCATION_REASONS)
    .default("compromised");
  return [
    ofAuthority(new Command("token"))
      .description("print a one-time token by which somebody joins")
      .addOption(new Option("--role <role>", "what it joins as").choices(ROLES).default("agent"))
      .option("--name <name>", "the only name it is for; takes it over from who has it")
      .option("--ttl <time>", "how long it may be used", "1h")
      .action(token),
    ofAuthority(new Command("list"))
      .description("everybody who has certificates")
      .option("--json", "print JSON lines")
      .action(list),
    ofAuthority(new Command("revoke"))
      .description("put somebody out of the cluster")
      .argument("<name>", "name, of a node its id")
      .addOption(role)
      .addOption(reason)
      .action(revoke),
    ofAuthority(new Command("serve"))
      .description("open the cluster's door here, until it is told to end")
      .requiredOption("--listen <address:port>", "where to listen, such as 10.0.0.1:7401")
      .action(serve),
  ];
}

function rotateCommand(): Command {
  const rotate = new Command("rotate").description("a new authority, or a new key for datagrams");
  rotate.addCommand(
    ofAuthority(new Command("begin"))
      .description("step 1: make a new authority, which everybody comes to believe")
      .action((flags) => rotateAuthority("begin", flags)),
  );
  rotate.addCommand(
    ofAuthority(new Command("switch"))
      .description("step 2: let it issue; everybody renews")
      .action((flags) => rotateAuthority("switch", flags)),
  );
  rotate.addCommand(
    ofAuthority(new Command("end"))
      .description("step 3: believe the old one no more")
      .option("--force", "also while somebody has not renewed, and is cut off by it")
      .action((flags) => rotateAuthority("end", flags)),
  );
  rotate.addCommand(
    ofAuthority(new Command("key"))
      .description("make a new key for datagrams between agents")
      .action(rotateKey),
  );
  return rotate;
}

export function identityCommand(): Command {
  const identity = new Command("identity")
    .description("certificates: who has them, tokens, revocation, renewal")
    .addHelpText("after", HELP);
  for (const command of [...ownCommands(), ...officeCommands(), rotateCommand()]) {
    identity.addCommand(command);
  }
  return identity;
}
