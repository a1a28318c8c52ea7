/**
 * How events leave this node, put together: the sending side, the report to managers, what is done for peers, standing in for
 * dead nodes.
 *
 * Made only where a manager or a destination is named.
 */
import { join } from "node:path";
import { Hono } from "hono";
import { ok, type Result } from "../../../core/result.ts";
import type { Identity, Verifier } from "../../identity/identity.ts";
import type { NodeId } from "../../membership/membership.ts";
import { randomHex, realClock } from "../../runtime/io/clock.ts";
import { type BundleDuty, type BundleSettings, openBundleDuty } from "../bundle/io/duty.ts";
import type { PeerOrder, ReachableBmc } from "../peers.ts";
import type { ReportedBmc } from "../report.ts";
import { BmcInventory } from "./bmc-inventory.ts";
import type { BmcWatcher } from "./bmc-watcher.ts";
import type { EventKeeper } from "./event-keeper.ts";
import type { HostWatch } from "./host-watch.ts";
import type { CallhomeHost, WatchedBmc } from "./open-callhome.ts";
import { openStores } from "./open-stores.ts";
import { Outgoing, type OutgoingSettings } from "./outgoing.ts";
import type { Caller } from "./parcels-client.ts";
import { relayRoutes } from "./relay-routes.ts";
import { StandInKnown, sharableUrl } from "./stand-in-known.ts";
import { StandInWatch } from "./stand-in-watch.ts";
import { StatusReport } from "./status-report.ts";

const FOLDER = "callhome";
/** Counts of events change with each of them; a state, or the cluster, seldom. */
const COUNTS_WITHIN_MS = 1_000;

export interface AwaySettings extends OutgoingSettings {
  readonly identity: Identity;
  /** Of receipts: the destination may be of another cluster. */
  readonly receiptVerifier: Verifier;
  readonly caller: Caller;
  /** Of another agent. */
  readonly agentUrl: (member: { readonly address: string; readonly port: number }) => string;
  readonly order: PeerOrder;
  /** How others reach this machine's BMC; null: they do not. */
  readonly bmcLan: string | null;
  /** How this node reaches the BMCs of others, by node. */
  readonly standIn: ReadonlyMap<string, string>;
  readonly watchedBmc: (url: string) => WatchedBmc;
  /** Service data of grave events; null: none is gathered. */
  readonly bundles: BundleSettings | null;
}

export interface AwayParts {
  readonly settings: AwaySettings;
  readonly host: CallhomeHost;
  readonly keeper: EventKeeper;
  /** Of this node's own BMCs, the first of this machine. */
  readonly watchers: readonly BmcWatcher[];
  /** What those watch, in the same order. */
  readonly bmcs: readonly WatchedBmc[];
  readonly hostWatch: HostWatch;
  readonly pollMs: number;
}

export interface Away {
  readonly routes: Hono;
  begin(): void;
  stop(): Promise<void>;
  onBmcChange(): void;
}

/** What another node needs to watch this machine's BMC as this one does. */
function reachable(
  { bmcLan }: AwaySettings,
  [own]: readonly BmcWatcher[],
): readonly ReachableBmc[] {
  const url = bmcLan === null ? null : sharableUrl(bmcLan);
  if (url === null) return [];
  return [{ url, system: own?.guid ?? null, memory: own?.memory ?? null }];
}

function reportedBmcs(
  node: string,
  watchers: readonly BmcWatcher[],
  inventory: BmcInventory,
  standIn: StandInWatch,
): readonly ReportedBmc[] {
  const own = watchers.map((watcher): ReportedBmc => {
    const { state, detail, sinceMs } = watcher.state;
    const { isPoweredOn, faults } = inventory.powerOf(watcher);
    const common = { url: watcher.name, system: watcher.guid, node };
    return { ...common, state, detail: detail.slice(0, 2_000), sinceMs, isPoweredOn, faults };
  });
  const others = standIn.list().map((one): ReportedBmc => {
    const { url, system, state, detail, sinceMs } = one;
    const common = { url, system, node: one.node, state, detail: detail.slice(0, 2_000), sinceMs };
    return { ...common, isPoweredOn: null, faults: [] };
  });
  return [...own, ...others];
}

/** null: none is gathered here. The error is one line. */
async function openBundles({
  settings,
  host,
  keeper,
  watchers,
  bmcs,
}: AwayParts): Promise<Result<BundleDuty | null, string>> {
  if (settings.bundles === null) return ok(null);
  const { managers, destination, caller, agentUrl } = settings;
  const { id: node, dataFolder, log, cluster } = host;
  return await openBundleDuty({
    ...{ settings: settings.bundles, dataFolder, node, log, keeper, cluster },
    ...{ caller, managers, destination, agentUrl, nowMs: () => realClock().wallMs() },
    clusterName: settings.identity.principal.cluster,
    bmcs: () =>
      bmcs.map(({ name, open }, index) => ({
        system: watchers[index]?.guid ?? null,
        open: () => open((text) => log.say("detail", `bmc ${name}: ${text}`)),
      })),
  });
}

/** The error is one line. */
export async function openAway(parts: AwayParts): Promise<Result<Away, string>> {
  const bundles = await openBundles(parts);
  if (!bundles.ok) return bundles;
  const { settings, host, keeper, watchers, hostWatch, pollMs } = parts;
  const { identity, receiptVerifier, caller, agentUrl, watchedBmc } = settings;
  const { destination, managers } = settings;
  const { id: node, disk, log, cluster, onDefect } = host;
  const clock = realClock();
  const run = randomHex(8);
  const touch = (withinMs?: number): void => report.touch(withinMs);
  const known = new StandInKnown({ disk, caller, log, overrides: settings.standIn });
  const standIn = new StandInWatch({
    ...{ self: node as NodeId, cluster, known, caller, agentUrl, watchedBmc, keeper, pollMs },
    ...{ disk, clock, log, onChange: () => touch() },
  });
  const inventory = new BmcInventory(watchers, clock, () => touch());
  const bmcs = (): readonly ReportedBmc[] => reportedBmcs(node, watchers, inventory, standIn);
  const outgoing = await Outgoing.open({
    ...{ node, settings, identity, receiptVerifier, caller, keeper },
    ...{ host: hostWatch, cluster, agentUrl, bmcs },
    ...{ order: settings.order, disk, clock, log, onDefect },
    openStores: (handlers) =>
      openStores(join(host.dataFolder, FOLDER), { handlers, signer: identity.signer, log }),
    onChange: () => touch(COUNTS_WITHIN_MS),
  });
  const report = new StatusReport({
    ...{ node, run, managers, caller, clock, log, cluster, bmcs },
    inventory: () => inventory.inventory(),
    callhome: () => outgoing.report(),
  });
  const relay = relayRoutes({
    ...{ node, destination, caller, verifier: identity.verifier, clock, epoch: run },
    way: () => ({ ...outgoing.way(), standsInFor: reached(standIn) }),
    bmcs: () => reachable(settings, watchers),
  });
  const routes = new Hono();
  routes.route("/", relay);
  routes.route("/", outgoing.routes);
  if (bundles.value !== null) routes.route("/", bundles.value.service.routes);
  return ok({
    routes,
    begin: () => {
      bundles.value?.begin();
      outgoing.begin();
      standIn.begin();
      inventory.begin();
      report.begin();
    },
    stop: async () => {
      report.stop();
      inventory.stop();
      await standIn.stop();
      await outgoing.stop();
      await bundles.value?.stop();
    },
    onBmcChange: () => touch(),
  });
}

function reached(standIn: StandInWatch): readonly string[] {
  const watched = standIn.list().filter(({ state }) => state === "watched");
  return [...new Set(watched.map(({ node }) => node))];
}
