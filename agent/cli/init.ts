/**
 * `holdfast init`: the certificate authority of a new cluster, this node's identity, and one for whoever types commands.
 */
import { resolve } from "node:path";
import { Command } from "commander";
import { type InitReport, initCluster, type Made } from "../identity/io/init-cluster.ts";
import { CLUSTER_RULE, isClusterName } from "../identity/names.ts";
import { CliError, EXIT_USAGE } from "./cli-error.ts";
import {
  checkedName,
  DATA_FOLDER,
  namedFolder,
  nameOfMachine,
  nameOfUser,
  operatorFolder,
  problemError,
} from "./identity/folders.ts";
import { printJson, printLine } from "./print.ts";

const HELP = `
It makes what is missing and leaves alone what is there: a second run changes nothing and says what there is.

The authority's private key lies in DATA/identity/authority, on this machine only. Nodes need it to join and to renew their
certificates every two months, not to work: the folder may be moved to a medium in a safe, and be put back, or be named with
--authority, when nodes are to join, to renew or to be revoked.

Example:
  holdfast init --cluster rack1 --id n1 --data /var/lib/holdfast
`;

interface InitFlags {
  readonly cluster?: string;
  readonly id?: string;
  readonly data: string;
  readonly operator?: string;
  readonly operatorName?: string;
  readonly json?: boolean;
}

function describe({ isNew, folder, principal }: Made): string {
  const { role, name } = principal;
  return `${isNew ? "made  " : "there:"} ${role} ${name} in ${folder}`;
}

function print(report: InitReport, data: string): void {
  const { cluster, authorityFolder, fingerprint, isNew, node, operator } = report;
  printLine(`${isNew ? "made  " : "there:"} authority of cluster ${cluster} in ${authorityFolder}`);
  printLine(`       fingerprint ${fingerprint}`);
  printLine(describe(node));
  printLine(
    operator.ok ? describe(operator.value) : `not made: operator: ${operator.error.detail}`,
  );
  printLine("");
  printLine("Next:");
  printLine(
    `  holdfast agent --id ${node.principal.name} --data ${data} --found --address ADDRESS`,
  );
  printLine(`  holdfast identity token --data ${data}      # a one-time token for another node`);
  printLine("  holdfast join ADDRESS:7401 --token TOKEN --data FOLDER      # there");
}

async function init(flags: InitFlags): Promise<void> {
  const cluster = flags.cluster ?? null;
  if (cluster !== null && !isClusterName(cluster)) {
    throw new CliError(`${cluster}: not a name of a cluster: ${CLUSTER_RULE}`, EXIT_USAGE);
  }
  const report = await initCluster({
    cluster,
    identityFolder: namedFolder({ data: flags.data }) ?? "",
    nodeName: checkedName(flags.id ?? nameOfMachine()),
    operatorFolder: flags.operator === undefined ? operatorFolder() : resolve(flags.operator),
    operatorName: checkedName(flags.operatorName ?? nameOfUser()),
  });
  if (!report.ok) throw problemError(report.error);
  if (flags.json === true) {
    const { operator, ...others } = report.value;
    printJson({ ...others, operator: operator.ok ? operator.value : operator.error });
  } else print(report.value, flags.data);
}

export function initCommand(): Command {
  return new Command("init")
    .description("make a cluster's certificate authority, and this node's identity")
    .option("--cluster <name>", "name of the cluster; holdfast where none is given")
    .option("--id <id>", "this node's id, as for holdfast agent; the machine's name")
    .option("--data <folder>", "data folder of this node's agent", DATA_FOLDER)
    .option(
      "--operator <folder>",
      "identity of whoever types commands; ~/.config/holdfast/identity",
    )
    .option("--operator-name <name>", "name of that one; the user's")
    .option("--json", "print one JSON object")
    .addHelpText("after", HELP)
    .action(init);
}
