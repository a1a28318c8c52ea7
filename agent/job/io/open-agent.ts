/**
 * Brings an agent up: claims its data folder and address, ends what a dead agent left, opens the store, joins or founds.
 *
 * Each step that can fail for a reason outside holdfast fails with one line that names the thing and what to do; what was
 * claimed before is let go, and nothing on disk is changed by an agent that cannot start.
 */
import { mkdirSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Hono } from "hono";
import { createCore } from "../../../core/core.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import { shardRoutes } from "../../checkpoint/io/shard-routes.ts";
import { openStore, type StoreClient, StoreOpenError } from "../../checkpoint/io/store-client.ts";
import type { NodeId, Role } from "../../membership/membership.ts";
import type { SavedMembership } from "../../membership/membership-events.ts";
import { Membership } from "../../membership/membership-machine.ts";
import { keepPass } from "../../net/io/pass.ts";
import { installSdk } from "../../proxy/io/sdk-install.ts";
import type { Endpoint } from "../../runtime/datagrams.ts";
import type { Disk } from "../../runtime/disk.ts";
import { randomHex, randomSeed, realClock } from "../../runtime/io/clock.ts";
import { folderDisk } from "../../runtime/io/disk.ts";
import { ProcessNotes, processOwner } from "../../runtime/io/leftovers.ts";
import type { Log } from "../../runtime/log.ts";
import { prng } from "../../runtime/prng.ts";
import type { JobRecord } from "../job.ts";
import type { NodeConfig } from "../node-events.ts";
import { NodeMachine } from "../node-machine.ts";
import { orderByCore } from "../placement.ts";
import { hooksOrigin, openPorts, type PortSettings, whyNotStarted } from "./agent-ports.ts";
import { AgentProcess } from "./agent-process.ts";
import { agentApi } from "./api.ts";
import type { ClusterWatch } from "./cluster-watch.ts";
import { type DataFolder, openDataFolder } from "./data-folder.ts";
import { readRecord } from "./wire.ts";
import { MEMBERSHIP_DOCUMENT, RECORD_PREFIX } from "./world.ts";

/** A program that does not reach a call of the SDK within this time after a fault is ended and started anew. */
const IDLE_WITHIN_MS = 10_000;
/** A recovery without progress for this long begins again under a higher epoch. */
const PHASE_WITHIN_MS = 5_000;
/** When all leave at once there is nobody to agree with. */
const LEAVE_WITHIN_MS = 1_500;

export interface AgentSettings extends PortSettings {
  readonly id: NodeId;
  readonly role: Role;
  readonly dataFolder: string;
  /** On tmpfs; the agent makes a folder of its own in it. */
  readonly sharedMemory: string;
  readonly seeds: readonly Endpoint[];
  readonly found: boolean;
  /** What this agent does besides; null: nothing. */
  readonly companion: OpenCompanion | null;
}

/** Lives as long as the agent, on its data folder and its port; sees the cluster, and decides nothing of it. */
export interface Companion {
  readonly routes: Hono;
  begin(): void;
  stop(): Promise<void>;
}

export interface CompanionHost {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  /** Where hooks, and BMCs that push, reach this agent. */
  readonly hooksOrigin: string;
  readonly dataFolder: string;
  readonly disk: Disk;
  readonly log: Log;
  readonly cluster: ClusterWatch;
  readonly onDefect: (detail: string) => void;
}

/** Opened once the data folder is the agent's own. The error is one line for the user: the agent does not start. */
export type OpenCompanion = (host: CompanionHost) => Promise<Result<Companion, string>>;

export interface OpenAgent {
  /** Leaves the cluster, then ends everything. */
  stop(): Promise<void>;
}

/** One line for the user. */
export type OpenFailure = string;

/** What its folders in shared memory begin with, the same at every start with this data folder. */
function sharedMemoryPrefix(settings: AgentSettings): string {
  const digest = Bun.hash.xxHash3(realpathSync(settings.dataFolder)).toString(16).padStart(16, "0");
  return `holdfast-${digest.slice(0, 8)}-`;
}

/** A fresh folder for this run; those of earlier runs go. */
function makeSharedMemory(settings: AgentSettings, incarnation: number): Result<string, string> {
  const prefix = sharedMemoryPrefix(settings);
  try {
    mkdirSync(settings.sharedMemory, { recursive: true });
    for (const name of readdirSync(settings.sharedMemory)) {
      if (!name.startsWith(prefix)) continue;
      rmSync(join(settings.sharedMemory, name), { recursive: true, force: true });
    }
    const folder = join(settings.sharedMemory, `${prefix}${incarnation}`);
    mkdirSync(folder, { mode: 0o700 });
    return ok(folder);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return err(
      `shared memory ${settings.sharedMemory} cannot be used (${why}): choose another with --shm`,
    );
  }
}

function readMembership(
  disk: Disk,
  settings: AgentSettings,
): Result<SavedMembership | null, string> {
  const read = disk.read(MEMBERSHIP_DOCUMENT);
  if (read.kind === "absent") return ok(null);
  if (read.kind === "damaged") {
    // A voter that has forgotten its promises must not vote under its old name: as a wiped node it is another voter.
    settings.log.say(
      "fault",
      `membership state is damaged (${read.detail}): joining as a new node`,
    );
    return ok(null);
  }
  const saved = read.document as SavedMembership;
  if (saved.id === settings.id) return ok(saved);
  return err(
    `data folder ${settings.dataFolder} belongs to node ${saved.id}, not ${settings.id}: give --id ${saved.id}, or another folder with --data`,
  );
}

function readRecords(disk: Disk, log: Log): readonly JobRecord[] {
  return disk.list(RECORD_PREFIX).flatMap((name) => {
    const read = disk.read(name);
    const record = read.kind === "document" ? readRecord(read.document) : null;
    if (record?.ok === true) return [record.value];
    log.say("fault", `${name} is damaged and left out: another member has the job's record`);
    return [];
  });
}

interface Claimed {
  readonly folder: DataFolder;
  readonly disk: Disk;
  readonly notes: ProcessNotes;
  readonly saved: SavedMembership | null;
  /** Of this run. */
  readonly incarnation: number;
  readonly sharedMemoryFolder: string;
}

async function claim(settings: AgentSettings): Promise<Result<Claimed, OpenFailure>> {
  const opened = await openDataFolder(settings.dataFolder);
  if (!opened.ok) return err(opened.error.detail);
  const folder = opened.value;
  if (folder.notice !== null) settings.log.say("event", folder.notice);
  const disk = folderDisk(folder.state);
  const saved = readMembership(disk, settings);
  if (!saved.ok) {
    folder.release();
    return saved;
  }
  const notes = new ProcessNotes(folder.run, processOwner());
  for (const line of await notes.endAll()) settings.log.say("event", line);
  const incarnation = (saved.value?.incarnation ?? 0) + 1;
  const shared = makeSharedMemory(settings, incarnation);
  if (!shared.ok) {
    folder.release();
    return shared;
  }
  const sharedMemoryFolder = shared.value;
  return ok({ folder, disk, notes, incarnation, saved: saved.value, sharedMemoryFolder });
}

function machineOf(settings: AgentSettings, claimed: Claimed, store: StoreClient): NodeMachine {
  const { id, address, port, role, found } = settings;
  const clock = realClock();
  const membership = new Membership(
    { id, instance: randomHex(8), address, port, role, found },
    claimed.saved,
    prng(randomSeed()),
  );
  const config: NodeConfig = {
    id,
    address,
    role,
    sharedMemoryFolder: claimed.sharedMemoryFolder,
    idleWithinMs: IDLE_WITHIN_MS,
    phaseWithinMs: PHASE_WITHIN_MS,
    wallOffsetMs: clock.wallMs() - clock.nowMs(),
  };
  const savedRecords = readRecords(claimed.disk, settings.log);
  // What this node had heard of before it ended still holds: copies of older plans stay refused.
  for (const record of savedRecords) store.raiseEpoch(record.spec.id, record.epoch);
  return new NodeMachine({
    config,
    membership,
    savedRecords,
    holdings: store.holdings(),
    order: orderByCore(createCore()),
  });
}

function openCompanion(
  settings: AgentSettings,
  { folder, disk }: Claimed,
  agent: AgentProcess,
): Promise<Result<Companion | null, OpenFailure>> {
  const { id, address, port, log, companion } = settings;
  if (companion === null) return Promise.resolve(ok(null));
  const { onDefect } = agent;
  const dataFolder = folder.path;
  const own = { id, address, port, hooksOrigin: hooksOrigin(settings) };
  return companion({ ...own, dataFolder, disk, log, cluster: agent, onDefect });
}

export async function openAgent(settings: AgentSettings): Promise<Result<OpenAgent, OpenFailure>> {
  const why = whyNotStarted(settings);
  if (why !== null) return err(why);
  const claimed = await claim(settings);
  if (!claimed.ok) return claimed;
  const { folder, disk, notes, sharedMemoryFolder, incarnation } = claimed.value;
  let store: StoreClient;
  try {
    store = await openStore({ dataFolder: folder.path });
  } catch (cause) {
    folder.release();
    if (cause instanceof StoreOpenError) return err(cause.message);
    throw cause;
  }
  const endPass = keepPass(settings.identity, "agent", (pass) => store.usePass(pass));
  for (const line of store.damagedAtStart) settings.log.say("fault", line);
  const agent = new AgentProcess({
    machine: machineOf(settings, claimed.value, store),
    own: settings.id,
    clock: realClock(),
    log: settings.log,
    disk,
    folder,
    notes,
    store,
    identity: settings.identity,
    order: orderByCore(createCore()),
    address: settings.address,
    sharedMemoryFolder,
    modulesFolder: installSdk(sharedMemoryFolder),
    owner: processOwner(),
    incarnation,
  });
  const abandon = (line: string): Result<never, OpenFailure> => {
    agent.stop();
    endPass();
    void store.close();
    folder.release();
    return err(line);
  };
  const companion = await openCompanion(settings, claimed.value, agent);
  if (!companion.ok) return abandon(companion.error);
  const routes = agentApi(agent).route("/v1/shards", shardRoutes(store));
  if (companion.value !== null) routes.route("/", companion.value.routes);
  const ports = await openPorts(settings, agent, routes, companion.value?.routes ?? new Hono());
  if (!ports.ok) {
    await companion.value?.stop();
    return abandon(ports.error);
  }
  agent.begin(ports.value.datagrams, settings.seeds);
  companion.value?.begin();
  return ok({
    stop: async () => {
      await Promise.all([agent.leave(LEAVE_WITHIN_MS), companion.value?.stop()]);
      agent.stop();
      await ports.value.stop();
      endPass();
      await store.close();
      folder.release();
    },
  });
}
