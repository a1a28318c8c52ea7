/**
 * Service data of an agent, put together: which events are looked at, whose BMC is asked, by which ways bundles leave.
 *
 * It follows the book of events from where that stands at the start: what happened before has its bundle or has lost its moment.
 */
import { join } from "node:path";
import type { Bmc, BmcEvent, Severity } from "../../../../bmc/bmc.ts";
import type { BmcError } from "../../../../bmc/bmc-error.ts";
import { err, ok, type Result } from "../../../../core/result.ts";
import type { Log } from "../../../runtime/log.ts";
import type { ClusterWatch } from "../../cluster.ts";
import type { EventKeeper } from "../../io/event-keeper.ts";
import type { Caller } from "../../io/parcels-client.ts";
import { openServiceData, type ServiceData } from "./open-service-data.ts";
import type { BundleTarget } from "./upload-client.ts";

export interface BundleSettings {
  /** The least that is worth a bundle. */
  readonly least: Severity;
  readonly hasReview: boolean;
  readonly redactFile: string | null;
}

/** A BMC that this node watches, as far as service data goes. */
export interface KnownBmc {
  /** GUID, or what stands for it; null: not known yet. */
  readonly system: string | null;
  readonly open: () => Promise<Result<Bmc, BmcError>>;
}

export interface DutyParts {
  readonly settings: BundleSettings;
  readonly dataFolder: string;
  readonly clusterName: string;
  readonly node: string;
  readonly log: Log;
  readonly nowMs: () => number;
  readonly keeper: EventKeeper;
  readonly cluster: ClusterWatch;
  readonly caller: Caller;
  readonly managers: readonly string[];
  readonly destination: string | null;
  readonly agentUrl: (member: { readonly address: string; readonly port: number }) => string;
  /** The first is this machine's own. */
  readonly bmcs: () => readonly KnownBmc[];
}

const READ_AT_ONCE = 256;
/** Peers that are asked to pass a bundle on. */
const PEERS_MAX = 3;
/** The agent's own files in its data folder, by their names in a bundle. */
const AGENT_FILES: Readonly<Record<string, string>> = {
  "decisions.log": "decisions.log",
  "decisions-before.log": "decisions.log.1",
  "events.journal": "events/journal",
};

function targetsOf(parts: DutyParts): readonly BundleTarget[] {
  const { managers, destination, cluster, node, caller, agentUrl } = parts;
  const of = (kind: BundleTarget["kind"], name: string, url: string): BundleTarget => {
    const role = kind === "peer" ? "agent" : kind;
    return { kind, name, url, fetch: (at, init = {}) => caller(role, at, init) };
  };
  const peers = cluster
    .status()
    .members.filter(({ id, standing }) => id !== node && standing === "alive")
    .slice(0, PEERS_MAX);
  return [
    ...managers.map((url) => of("manager", url, url)),
    ...(destination === null ? [] : [of("destination", destination, destination)]),
    ...peers.map((member) => of("peer", member.id, agentUrl(member))),
  ];
}

/** An event of the host itself, or of a BMC whose GUID is not known yet, is looked for at this machine's own. */
async function openBmcOf(
  bmcs: readonly KnownBmc[],
  system: string,
): Promise<Result<Bmc, BmcError> | null> {
  const known = bmcs.find((one) => one.system === system) ?? bmcs[0];
  return known === undefined ? null : await known.open();
}

/** Of this run's book: the newest that is or begins so. */
function findEvent(keeper: EventKeeper, id: string): BmcEvent | null {
  let found: BmcEvent | null = null;
  let seq = 0;
  for (;;) {
    const lines = keeper.after(seq, READ_AT_ONCE);
    for (const line of lines) {
      if (line.kind === "event" && line.event.id.startsWith(id)) found = line.event;
    }
    const last = lines.at(-1);
    if (last === undefined) return found;
    seq = last.seq;
  }
}

export interface BundleDuty {
  readonly service: ServiceData;
  begin(): void;
  stop(): Promise<void>;
}

/** The error is one line. */
export async function openBundleDuty(parts: DutyParts): Promise<Result<BundleDuty, string>> {
  const { settings, dataFolder, clusterName, node, log, nowMs, keeper, cluster } = parts;
  const opened = await openServiceData({
    ...{ folder: join(dataFolder, "bundles"), cluster: clusterName, node, log, nowMs },
    ...{ hasReview: settings.hasReview, redactFile: settings.redactFile, least: settings.least },
    openBmc: (system) => openBmcOf(parts.bmcs(), system),
    agentFiles: () =>
      Object.fromEntries(
        Object.entries(AGENT_FILES).map(([name, path]) => [name, join(dataFolder, path)]),
      ),
    agentDocuments: () => ({
      "cluster.json": cluster.status(),
      // As one text: a password is seen to be one by what stands before it.
      "jobs.json": cluster.records().map((record) => ({
        ...record,
        spec: { ...record.spec, argv: record.spec.argv.join(" ") },
      })),
    }),
    targets: () => targetsOf(parts),
    findEvent: (id) => findEvent(keeper, id),
  });
  if (!opened.ok) return err(opened.error);
  const service = opened.value;
  const stop = new AbortController();
  let following: Promise<void> = Promise.resolve();
  const follow = async (): Promise<void> => {
    let seq = keeper.lastSeq;
    while (!stop.signal.aborted) {
      const lines = keeper.after(seq, READ_AT_ONCE);
      for (const line of lines) if (line.kind === "event") service.consider(line.event);
      seq = lines.at(-1)?.seq ?? seq;
      if (lines.length === 0) await keeper.changed(stop.signal);
    }
  };
  return ok({
    service,
    begin: () => {
      service.begin();
      following = follow();
    },
    stop: async () => {
      stop.abort();
      await following;
      await service.stop();
    },
  });
}
