/**
 * Service data of one node, opened on its data folder: gathered when told, kept, reviewed, taken away; and kept for others.
 *
 *   FOLDER/own/        bundles of this node (`bundle-shelf.ts`)      FOLDER/passing/   of others, on their way (`upload-store.ts`)
 *
 * One bundle is gathered at a time, and some may wait; what is beyond that is said and skipped: the next grave event of that component
 * brings another. Events never wait for any of it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Hono } from "hono";
import type { Bmc, BmcEvent, Severity } from "../../../../bmc/bmc.ts";
import type { BmcError } from "../../../../bmc/bmc-error.ts";
import { err, ok, type Result } from "../../../../core/result.ts";
import type { Log } from "../../../runtime/log.ts";
import type { BundleRecord, Manifest } from "../bundle.ts";
import { BundleGate, componentOf } from "../bundle-gate.ts";
import {
  AFTER_MS,
  agentItem,
  BEFORE_MS,
  BMC_ITEMS,
  BUNDLE_BYTES_MAX,
  BUNDLE_TIME_MS,
  EVENT_ITEM,
  HOST_ITEMS,
  type PlanItem,
} from "../bundle-plan.ts";
import type { Window } from "../log-window.ts";
import { Redactor } from "../redact.ts";
import { readUserRules, type UserRules } from "../redact-rules.ts";
import { type ShelfEntry, whyNot } from "../shelf.ts";
import { BundlePost, type Consignment } from "./bundle-post.ts";
import { BundleShelf } from "./bundle-shelf.ts";
import { gatherBundle } from "./gather.ts";
import { hostSources } from "./host-sources.ts";
import { Passing } from "./passing.ts";
import { type BundleError, verifyBundle } from "./read-bundle.ts";
import { serviceDataRoutes } from "./service-data-routes.ts";
import type { DocumentSource, Source } from "./source.ts";
import { fileEnd } from "./sources-files.ts";
import type { BundleTarget } from "./upload-client.ts";
import { uploadRoutes } from "./upload-routes.ts";
import { UploadStore } from "./upload-store.ts";

export interface ServiceDataSettings {
  /** `DATA/bundles`; made if it is not there. */
  readonly folder: string;
  readonly cluster: string;
  readonly node: string;
  readonly log: Log;
  readonly nowMs: () => number;
  /** A connection of its own, closed afterwards; null: no BMC is known for that system. */
  readonly openBmc: (system: string) => Promise<Result<Bmc, BmcError> | null>;
  /** Files of the agent: name in the bundle, such as `log.jsonl`, → path. */
  readonly agentFiles: () => Readonly<Record<string, string>>;
  /** Documents of the agent: name in the bundle, such as `jobs.json`, → what is written as JSON. */
  readonly agentDocuments: () => Readonly<Record<string, unknown>>;
  /** In the order in which they are tried. */
  readonly targets: () => readonly BundleTarget[];
  /** For whoever asks for a bundle by an event's id. */
  readonly findEvent: (id: string) => BmcEvent | null;
  /** A person must approve each one. */
  readonly hasReview: boolean;
  /** The least that is worth a bundle. */
  readonly least?: Severity;
  readonly bytesMax?: number;
  readonly timeMs?: number;
  /** TOML of further rules of what is taken out. */
  readonly redactFile?: string | null;
  /** Texts that are secrets wherever they stand. */
  readonly secrets?: () => readonly string[];
  readonly lookEveryMs?: number;
}

export type ReviewError =
  | { readonly kind: "unknown"; readonly detail: string }
  | { readonly kind: "refused"; readonly detail: string };

export interface ServiceData {
  /** Uploads of others, and `/v1/callhome/service-data` for people. */
  readonly routes: Hono;
  /** Whether this event is grave enough and its component had none in the last hour; begins if so. Never throws. */
  consider(event: BmcEvent): void;
  /** Gathers now, whatever the rate. */
  collect(event: BmcEvent): Promise<Result<BundleRecord, string>>;
  list(): readonly BundleRecord[];
  show(
    id: string,
  ): Promise<Result<{ record: BundleRecord; manifest: Manifest | null }, ReviewError>>;
  approve(id: string): Promise<Result<BundleRecord, ReviewError>>;
  discard(id: string): Promise<Result<BundleRecord, ReviewError>>;
  begin(): void;
  stop(): Promise<void>;
}

/** Waiting to be gathered. */
const QUEUE_MAX = 8;
const EXPIRE_EVERY_MS: number = 10 * 60_000;
/** A peer's help has an end. */
const PASSING_BYTES_MAX: number = 512 * 1024 * 1024;

export function recordOf(entry: ShelfEntry): BundleRecord {
  const { id, event, state, begunMs, bytes, digest, detail } = entry;
  return { id, event, state, begunMs, bytes, digest, detail };
}

function readRules(path: string | null | undefined): Result<UserRules, string> {
  if (path === null || path === undefined) return ok({ rules: [], hasAddresses: false });
  let document: unknown;
  try {
    document = Bun.TOML.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    const { code, message } = cause as { code?: string; message?: string };
    return err(`${path} is no TOML that can be read (${code ?? message})`);
  }
  const rules = readUserRules(document);
  return rules.ok ? rules : err(`${path}: ${rules.error}`);
}

/** Local time minus UTC, by the machine's own zone. */
function localOffsetMs(atMs: number): number {
  return -new Date(atMs).getTimezoneOffset() * 60_000;
}

class Service implements ServiceData {
  readonly routes: Hono;
  readonly #settings: ServiceDataSettings;
  readonly #rules: UserRules;
  readonly #shelf: BundleShelf;
  readonly #store: UploadStore;
  readonly #gate: BundleGate;
  readonly #post: BundlePost;
  #gathering: Promise<unknown> = Promise.resolve();
  #queued = 0;
  #expire: ReturnType<typeof setInterval> | null = null;
  #isStopped = false;

  constructor(
    settings: ServiceDataSettings,
    rules: UserRules,
    shelf: BundleShelf,
    store: UploadStore,
  ) {
    this.#settings = settings;
    this.#rules = rules;
    this.#shelf = shelf;
    this.#store = store;
    const passing = new Passing(store);
    this.#gate = new BundleGate(settings.least ?? "critical");
    for (const { component, begunMs } of shelf.list()) this.#gate.remember(component, begunMs);
    const { log, nowMs, targets, lookEveryMs } = settings;
    this.#post = new BundlePost({
      ...{ targets, log, nowMs, random: Math.random },
      ...(lookEveryMs === undefined ? {} : { lookEveryMs }),
      waiting: () => [...this.#ownToSend(), ...passing.consignments()],
    });
    this.routes = uploadRoutes(store).route("/", serviceDataRoutes(this, settings.findEvent));
  }

  begin(): void {
    this.#post.begin();
    this.#expire = setInterval(() => void this.#store.expire(), EXPIRE_EVERY_MS);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#expire !== null) clearInterval(this.#expire);
    await this.#post.stop();
    await this.#gathering;
  }

  consider(event: BmcEvent): void {
    const answer = this.#gate.consider(event, this.#settings.nowMs());
    if (answer.kind === "gather") void this.collect(event);
    else if (answer.why === "storm") {
      const what = `${event.category} ${event.subject}`;
      this.#settings.log.say("detail", `no service data for ${what}: enough was gathered lately`);
    }
  }

  async collect(event: BmcEvent): Promise<Result<BundleRecord, string>> {
    const { log } = this.#settings;
    if (this.#isStopped) return err("the agent is stopping");
    if (this.#queued >= QUEUE_MAX) {
      const why = `${QUEUE_MAX} bundles wait to be gathered already`;
      log.say("fault", `no service data for event ${event.id.slice(0, 12)}: ${why}`);
      return err(why);
    }
    this.#queued++;
    const mine = this.#gathering.then(() => this.#gather(event));
    this.#gathering = mine.catch(() => undefined);
    try {
      return await mine;
    } finally {
      this.#queued--;
    }
  }

  list(): readonly BundleRecord[] {
    return this.#shelf.list().map(recordOf);
  }

  async show(
    id: string,
  ): Promise<Result<{ record: BundleRecord; manifest: Manifest | null }, ReviewError>> {
    const entry = this.#shelf.of(id);
    if (entry === null) return err({ kind: "unknown", detail: `there is no service data ${id}` });
    const read = await verifyBundle(this.#shelf.pathOf(id));
    if (read.ok) return ok({ record: recordOf(entry), manifest: read.value });
    if (read.error.kind === "unreadable") return ok({ record: recordOf(entry), manifest: null });
    return err({ kind: "refused", detail: `${id} is damaged: ${describe(read.error)}` });
  }

  pathOf(id: string): string | null {
    return this.#shelf.of(id) === null ? null : this.#shelf.pathOf(id);
  }

  approve(id: string): Promise<Result<BundleRecord, ReviewError>> {
    return this.#review("approve", id);
  }

  discard(id: string): Promise<Result<BundleRecord, ReviewError>> {
    return this.#review("discard", id);
  }

  async #review(
    verb: "approve" | "discard",
    id: string,
  ): Promise<Result<BundleRecord, ReviewError>> {
    const entry = this.#shelf.of(id);
    if (entry === null) return err({ kind: "unknown", detail: `there is no service data ${id}` });
    const why = whyNot(verb, entry.state);
    if (why === "already-left") {
      return err({ kind: "refused", detail: `${id} has left already: ${entry.detail}` });
    }
    if (why !== null) {
      return err({
        kind: "refused",
        detail: `${id} does not wait for review: it is ${entry.state}`,
      });
    }
    const changed: ShelfEntry =
      verb === "approve"
        ? { ...entry, state: "to-send", detail: "approved", nextMs: 0 }
        : { ...entry, state: "discarded", detail: "discarded by an operator", digest: null };
    await this.#shelf.put(changed);
    if (verb === "discard") await this.#shelf.removeFile(id);
    else this.#post.touch();
    this.#settings.log.say("event", `service data ${id}: ${changed.detail}`);
    return ok(recordOf(changed));
  }

  async #gather(event: BmcEvent): Promise<Result<BundleRecord, string>> {
    const { log, nowMs, cluster, node, hasReview } = this.#settings;
    const begunMs = Math.round(nowMs());
    const id = `${event.id.slice(0, 16)}-${begunMs}`;
    const entry: ShelfEntry = {
      ...{ id, event: event.id, state: "gathering", begunMs, bytes: 0, digest: null, detail: "" },
      ...{ system: event.system, component: componentOf(event), keptBy: null, tries: 0, nextMs: 0 },
    };
    await this.#shelf.put(entry);
    try {
      const { items, sources } = this.#planOf(event);
      const bundle = await gatherBundle({
        ...{ id, event, cluster, node, items, sources, nowMs },
        bytesMax: this.#settings.bytesMax ?? BUNDLE_BYTES_MAX,
        timeMs: this.#settings.timeMs ?? BUNDLE_TIME_MS,
        workFolder: this.#shelf.workFolderOf(id),
        path: this.#shelf.pathOf(id),
        redactor: this.#redactor(),
        openBmc: () => this.#settings.openBmc(event.system),
      });
      const { bytes, digest, manifest } = bundle;
      const detail = hasReview ? "waits for an operator's review" : "on its way";
      const state = hasReview ? "waiting-for-review" : "to-send";
      const done: ShelfEntry = { ...entry, state, bytes, digest, detail };
      await this.#shelf.put(done);
      const present = manifest.items.filter(({ sha256 }) => sha256 !== null).length;
      const about = `${present} of ${manifest.items.length} items, ${bytes} bytes`;
      const took = `${manifest.tookMs} ms`;
      log.say("event", `service data ${id} is gathered in ${took}: ${about}; ${detail}`);
      this.#post.touch();
      return ok(recordOf(done));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const detail = `it cannot be gathered: ${why}`;
      await this.#shelf.put({ ...entry, state: "failed", detail });
      log.say("fault", `service data ${id}: ${detail}`);
      return err(detail);
    }
  }

  #redactor(): Redactor {
    const { rules, hasAddresses } = this.#rules;
    return new Redactor({ rules, hasAddresses, literals: this.#settings.secrets?.() ?? [] });
  }

  #planOf(event: BmcEvent): {
    readonly items: readonly PlanItem[];
    readonly sources: ReadonlyMap<string, Source | DocumentSource>;
  } {
    const atMs = event.seenMs;
    const window: Window = {
      fromMs: atMs - BEFORE_MS,
      toMs: atMs + AFTER_MS,
      localOffsetMs: localOffsetMs(atMs),
    };
    const sources = new Map<string, Source | DocumentSource>(hostSources(window));
    const items: PlanItem[] = [EVENT_ITEM, ...BMC_ITEMS, ...HOST_ITEMS];
    sources.set(EVENT_ITEM.name, { document: () => event });
    for (const [name, path] of Object.entries(this.#settings.agentFiles())) {
      const item = agentItem(name, true);
      items.push(item);
      sources.set(item.name, fileEnd(path));
    }
    const documents = this.#settings.agentDocuments();
    for (const name of Object.keys(documents)) {
      const item = agentItem(name, false);
      items.push(item);
      sources.set(item.name, { document: () => documents[name] });
    }
    return { items, sources };
  }

  #ownToSend(): readonly Consignment[] {
    const { cluster, node } = this.#settings;
    return this.#shelf.list().flatMap((entry): Consignment[] => {
      const { id, event, digest, bytes, state, begunMs, keptBy, tries, nextMs } = entry;
      if (digest === null || (state !== "to-send" && state !== "kept")) return [];
      return [
        {
          path: this.#shelf.pathOf(id),
          offer: { digest, bytes, event, cluster, node },
          ...{ begunMs, keptBy, tries, nextMs, isForOthers: false },
          note: async (standing) => {
            // Somebody may have discarded it meanwhile.
            const now = this.#shelf.of(id);
            if (now === null || now.state === "discarded") return;
            await this.#shelf.put({ ...now, ...standing });
            if (standing.state === "delivered") await this.#shelf.removeFile(id);
          },
        },
      ];
    });
  }
}

function describe({ detail }: BundleError): string {
  return detail;
}

/** The error is one line. */
export async function openServiceData(
  settings: ServiceDataSettings,
): Promise<Result<ServiceData, string>> {
  const rules = readRules(settings.redactFile);
  if (!rules.ok) return err(`--bundle-redact ${rules.error}`);
  const { folder, log, nowMs } = settings;
  try {
    const shelf = new BundleShelf(join(folder, "own"), log);
    const store = await UploadStore.open({
      ...{ folder: join(folder, "passing"), wholeState: "kept", log, nowMs },
      storeBytesMax: PASSING_BYTES_MAX,
    });
    return ok(new Service(settings, rules.value, shelf, store));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return err(`service data in ${folder} cannot be kept: ${why}`);
  }
}
