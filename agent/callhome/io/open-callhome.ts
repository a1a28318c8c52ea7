/**
 * The part of an agent that deals with errors as events: the book, the watches of BMCs, hooks, traps; and how they leave, by the
 * manager, around it, and through peers.
 *
 * It is opened on the agent's own data folder once that is locked, begins when the agent does, and ends with it. Whatever
 * cannot work for a reason outside holdfast (a port in use, a token that others can read) is one line, and the agent does not
 * start: an agent that silently hears nothing would be worse. Nothing of the sending side is made where neither a manager nor a
 * destination is named.
 */
import { Hono } from "hono";
import type { Bmc } from "../../../bmc/bmc.ts";
import type { BmcError } from "../../../bmc/bmc-error.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Endpoint } from "../../runtime/datagrams.ts";
import type { Disk } from "../../runtime/disk.ts";
import { realClock } from "../../runtime/io/clock.ts";
import type { BindError } from "../../runtime/io/datagrams.ts";
import type { Log } from "../../runtime/log.ts";
import type { ClusterWatch } from "../cluster.ts";
import { BmcWatcher } from "./bmc-watcher.ts";
import { type EventKeeper, openEventKeeper } from "./event-keeper.ts";
import { readToken } from "./hook-access.ts";
import { hookRoutes } from "./hook-routes.ts";
import { HookSpool } from "./hook-spool.ts";
import { HostWatch } from "./host-watch.ts";
import { type Away, type AwaySettings, openAway } from "./open-away.ts";
import { PetNames } from "./pet-names.ts";
import { openPetReceiver, type PetReceiver } from "./pet-receiver.ts";
import { PushDoors } from "./push-doors.ts";

export interface WatchedBmc {
  /** Its URL as it may be printed. */
  readonly name: string;
  /** null: not over LAN. */
  readonly lan: Endpoint | null;
  readonly open: (onNotice: (text: string) => void) => Promise<Result<Bmc, BmcError>>;
}

export interface CallhomeSettings {
  /** The first is this machine's own. */
  readonly bmcs: readonly WatchedBmc[];
  readonly pollMs: number;
  /** Where traps are heard; null: nowhere. */
  readonly pet: Endpoint | null;
  readonly petAcknowledges: boolean;
  readonly hooksTokenFile: string | null;
  /** Where `holdfast hook` leaves what it cannot deliver; null: nowhere. */
  readonly spool: string | null;
  /** Name of the cluster, which is part of what makes an event of holdfast itself the same for all who see it. */
  readonly cluster: string;
  /** How events leave; null: they stay here. */
  readonly away: AwaySettings | null;
}

/** What the agent gives: its own, after it has claimed its data folder. */
export interface CallhomeHost {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  /** Where BMCs that push reach it. */
  readonly hooksOrigin: string;
  readonly dataFolder: string;
  readonly disk: Disk;
  readonly log: Log;
  readonly cluster: ClusterWatch;
  readonly onDefect: (detail: string) => void;
}

export interface Callhome {
  readonly routes: Hono;
  begin(): void;
  stop(): Promise<void>;
}

function whyNotHeard(error: BindError, { address, port }: Endpoint): string {
  const at = `--pet ${address}:${port}`;
  switch (error.kind) {
    case "in-use":
      return `${at} (UDP) is in use by another program, such as snmptrapd: stop that one, or choose another port and tell the BMC`;
    case "no-address":
      return `${at}: ${address} is no address of this machine`;
    case "io":
      return `${at} cannot be listened on: ${error.detail}; below port 1024 that needs root or CAP_NET_BIND_SERVICE`;
  }
}

interface Parts {
  readonly keeper: EventKeeper;
  readonly watchers: readonly BmcWatcher[];
  readonly spool: HookSpool | null;
  readonly pet: PetReceiver | null;
  readonly hostWatch: HostWatch;
  readonly away: Away | null;
  readonly routes: Hono;
}

function callhomeOf({ keeper, watchers, spool, pet, hostWatch, away, routes }: Parts): Callhome {
  return {
    routes,
    begin: () => {
      for (const watcher of watchers) watcher.begin();
      spool?.begin();
      hostWatch.begin();
      away?.begin();
    },
    stop: async () => {
      pet?.close();
      await Promise.all([...watchers.map((watcher) => watcher.stop()), spool?.stop()]);
      await hostWatch.stop();
      await away?.stop();
      await keeper.close();
    },
  };
}

function watcherOf(
  bmc: WatchedBmc,
  settings: CallhomeSettings,
  host: CallhomeHost,
  shared: {
    readonly keeper: EventKeeper;
    readonly doors: PushDoors;
    readonly onChange: () => void;
  },
): BmcWatcher {
  const { disk, log } = host;
  return new BmcWatcher({
    name: bmc.name,
    pollMs: settings.pollMs,
    open: () => bmc.open((text) => log.say("event", `bmc ${bmc.name}: ${text}`)),
    keeper: shared.keeper,
    door: shared.doors.make(),
    disk,
    clock: realClock(),
    log,
    onChange: shared.onChange,
  });
}

/** Port of a BMC that is watched over LAN at that address; several at one address cannot be told apart. */
function rmcpPortOf(bmcs: readonly WatchedBmc[], address: string): number | null {
  const at = bmcs.flatMap(({ lan }) => (lan?.address === address ? [lan.port] : []));
  return at.length === 1 ? (at[0] ?? null) : null;
}

async function hear(
  settings: CallhomeSettings,
  host: CallhomeHost,
  keeper: EventKeeper,
  names: PetNames,
): Promise<Result<PetReceiver | null, string>> {
  const listen = settings.pet;
  if (listen === null) return ok(null);
  const opened = await openPetReceiver({
    listen,
    acknowledges: settings.petAcknowledges,
    portOf: (address) => rmcpPortOf(settings.bmcs, address),
    names,
    keeper,
    log: host.log,
    nowMs: () => realClock().wallMs(),
  });
  return opened.ok ? opened : err(whyNotHeard(opened.error, listen));
}

function hostWatchOf(
  { cluster }: CallhomeSettings,
  { id, dataFolder, cluster: watch, log }: CallhomeHost,
  keeper: EventKeeper,
): HostWatch {
  return new HostWatch({ cluster, node: id, dataFolder, watch, keeper, clock: realClock(), log });
}

/** The error is one line for the user. */
export async function openCallhome(
  settings: CallhomeSettings,
  host: CallhomeHost,
): Promise<Result<Callhome, string>> {
  const token = settings.hooksTokenFile === null ? ok(null) : readToken(settings.hooksTokenFile);
  if (!token.ok) return token;
  let keeper: EventKeeper;
  try {
    keeper = await openEventKeeper(host.dataFolder, host.log);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return err(`events in ${host.dataFolder} cannot be read: ${why}`);
  }
  let known: readonly BmcWatcher[] = [];
  const pet = await hear(settings, host, keeper, new PetNames(() => known));
  if (!pet.ok) return pet;
  const doors = new PushDoors(host.hooksOrigin);
  let away: Away | null = null;
  const shared = { keeper, doors, onChange: () => away?.onBmcChange() };
  const watchers = settings.bmcs.map((bmc) => watcherOf(bmc, settings, host, shared));
  known = watchers;
  const nowMs = (): number => realClock().wallMs();
  const ownSystem = (): string => watchers[0]?.guid ?? `node:${host.id}`;
  const { log, onDefect } = host;
  const spool =
    settings.spool === null
      ? null
      : new HookSpool({ folder: settings.spool, keeper, ownSystem, nowMs, log });
  const access = { address: host.address, token: token.value };
  const routes = new Hono();
  routes.route("/", hookRoutes({ keeper, doors, access, ownSystem, nowMs, onDefect }));
  const hostWatch = hostWatchOf(settings, host, keeper);
  if (settings.away !== null) {
    const parts = { settings: settings.away, host, keeper, watchers, hostWatch };
    const opened = await openAway({ ...parts, bmcs: settings.bmcs, pollMs: settings.pollMs });
    if (!opened.ok) return opened;
    away = opened.value;
    routes.route("/", away.routes);
  }
  return ok(callhomeOf({ keeper, watchers, spool, pet: pet.value, hostWatch, away, routes }));
}
