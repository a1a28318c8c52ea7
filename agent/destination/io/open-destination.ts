/**
 * The destination as one thing: store, intake, adapters and both sides of its API, opened and ended together.
 *
 * It is given its identity and adapters; what it reads itself is its data folder. Ends in order: no new connections, then what
 * is under way, then the store.
 */
import { Hono } from "hono";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Upload } from "../../callhome/bundle/io/upload-store.ts";
import { PARCELS_BYTES_MAX } from "../../callhome/protocol.ts";
import type { Identity } from "../../identity/identity.ts";
import type { IdentityService } from "../../identity/io/identity-service.ts";
import { LOCAL_CLUSTER } from "../../identity/names.ts";
import { type Listener, openListener } from "../../net/io/listener.ts";
import { endRefused } from "../../net/io/refused-body.ts";
import { type ServeTls, schemeOf } from "../../net/io/secure.ts";
import { problemResponse } from "../../net/problem.ts";
import { randomHex } from "../../runtime/io/clock.ts";
import type { BindError } from "../../runtime/io/datagrams.ts";
import type { Log } from "../../runtime/log.ts";
import type { DestinationStatus } from "../api.ts";
import { REPLAY_HORIZON_MS } from "../judge.ts";
import type { Adapter } from "./adapter.ts";
import type { BundleDoor } from "./bundle-door.ts";
import { isDamage } from "./database.ts";
import { Forwarder } from "./forwarder.ts";
import { Intake, type Told } from "./intake.ts";
import { databaseEvent } from "./own-events.ts";
import { parcelRoutes } from "./parcel-routes.ts";
import { openStore, type Store, type StoreLimits } from "./store.ts";
import { ticketRoutes } from "./ticket-routes.ts";
import { TicketStream } from "./ticket-stream.ts";
import { type TrustedClusters, trustedVerifier } from "./trusted.ts";

export interface DestinationSettings {
  readonly identity: Identity;
  readonly address: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly dataFolder: string;
  readonly version: string;
  readonly trusted: TrustedClusters;
  /** Take nodes without an authority, each by the key it comes with first. */
  readonly takesLocal: boolean;
  readonly adapters: readonly Adapter[];
  /** Where people reach it, without a slash at the end; null: links are left out. */
  readonly publicUrl: string | null;
  readonly log: Log;
  readonly onTold?: (told: readonly Told[]) => void;
  readonly limits?: Partial<StoreLimits>;
  readonly nowMs?: () => number;
  /** For tests: what stands before every route. */
  readonly before?: Hono;
  /** Takes service data too; ended with the destination. */
  readonly bundles?: BundleDoor;
  /** What keeps the identity good, with its routes; ended with the destination. */
  readonly service?: IdentityService;
}

export interface Destination {
  readonly port: number;
  readonly scheme: "http" | "https";
  readonly store: Store;
  readonly intake: Intake;
  status(): DestinationStatus;
  stop(): Promise<void>;
}

/** Ids and tickets above the bounds are forgotten little by little. */
const PRUNE_MS = 60_000;
const PRUNE_NEXT_MS = 100;
const IDLE_SECONDS = 30;
/** Above what any route takes, so that it is the route that says why. */
const BODY_BYTES_MAX: number = PARCELS_BYTES_MAX + 1;

interface Parts {
  readonly settings: DestinationSettings;
  readonly store: Store;
  readonly intake: Intake;
  readonly forwarder: Forwarder;
  readonly stream: TicketStream;
  readonly startedMs: number;
}

function statusOf(parts: Parts): DestinationStatus {
  const { settings, store, intake, forwarder, startedMs } = parts;
  const { accepted, merged, duplicates, refused } = intake.counts;
  const { name, cluster } = settings.identity.principal;
  const nowMs = (settings.nowMs ?? Date.now)();
  return {
    destination: name,
    cluster,
    version: settings.version,
    startedMs,
    tickets: store.tickets.counts(),
    ids: {
      count: store.idCount,
      floorMs: Math.max(nowMs, store.floorMs) - REPLAY_HORIZON_MS,
    },
    accepted,
    merged,
    duplicates,
    refused,
    isWriting: intake.failure === null,
    complaint: intake.failure?.detail ?? store.complaint,
    adapters: forwarder.reports(),
  };
}

function routesOf(parts: Parts): Hono {
  const { settings, store, intake, stream } = parts;
  const { identity, trusted, takesLocal, log } = settings;
  const nowMs = settings.nowMs ?? Date.now;
  const pin = (signer: string, keyid: string): string => {
    const pinned = store.transact(() => store.pin(signer, keyid, nowMs()));
    return pinned.ok ? pinned.value : "";
  };
  const app = new Hono();
  if (settings.before !== undefined) app.route("/", settings.before);
  app.route(
    "/",
    parcelRoutes({
      epoch: randomHex(8),
      signer: identity.signer,
      provesReceipts: identity.principal.cluster !== LOCAL_CLUSTER,
      verifier: trustedVerifier({ identity, trusted, pin: takesLocal ? pin : null }),
      store,
      intake,
      log,
      nowMs,
    }),
  );
  const status = (): DestinationStatus => statusOf(parts);
  const { bundles } = settings;
  const bundlesOf = (isWanted: (event: string) => boolean): readonly Upload[] =>
    bundles?.of(isWanted) ?? [];
  app.route("/", ticketRoutes({ identity, store, intake, stream, status, bundlesOf, nowMs }));
  if (bundles !== undefined) app.route("/", bundles.routes);
  if (settings.service !== undefined) app.route("/", settings.service.routes);
  app.notFound((context) =>
    problemResponse({ kind: "not-found", detail: `no such path: ${context.req.path}` }),
  );
  app.onError((error) => {
    if (isDamage(error) && store.mend()) {
      const detail = "the database was damaged and is whole again: ask once more";
      return problemResponse({ kind: "busy", detail });
    }
    log.say("fault", `a defect: ${error.stack ?? error.message}`);
    return problemResponse({ kind: "internal", detail: "a defect; the destination's log has it" });
  });
  return app;
}

/**
 * A TLS stack that is given one revocation list wants one of every authority. Where a trusted one has none, connections are
 * not checked for revocation; signatures always are, and they are what events are taken by.
 */
function withTrusted(tls: ServeTls, { authorities, crls }: TrustedClusters): ServeTls {
  const foreign = [...authorities.values()].flat();
  const { crl = [], ...rest } = tls;
  const all = [...crl, ...crls];
  const ca = [...tls.ca, ...foreign];
  return { ...rest, ca, ...(all.length < ca.length ? {} : { crl: all }) };
}

function listen(parts: Parts, app: Hono): Result<Listener, BindError> {
  const { settings } = parts;
  const { identity, address, port, trusted, log } = settings;
  return openListener({
    at: { hostname: address, port },
    identity,
    onComplaint: (detail) => log.say("fault", detail),
    serve: ({ tls, ...at }) =>
      Bun.serve({
        ...at,
        idleTimeout: IDLE_SECONDS,
        // Routes bound themselves; without a bound here Bun goes on to read a body that was refused.
        maxRequestBodySize: BODY_BYTES_MAX,
        ...(tls === undefined ? {} : { tls: withTrusted(tls, trusted) }),
        fetch: endRefused((request, server) => app.fetch(request, server)),
      }),
  });
}

function whyNotBound(error: BindError, { address, port }: DestinationSettings): string {
  const at = `${address}:${port}`;
  switch (error.kind) {
    case "in-use":
      return `${at} is in use by another program: stop that one, or choose another with --listen`;
    case "no-address":
      return `${at}: that is no address of this machine; choose one with --listen`;
    case "io":
      return `${at} cannot be listened on: ${error.detail}`;
  }
}

/** A piece of it at a time, so that nobody waits long for an answer. Gives what ends it. */
function startPruning({ store, settings }: Parts): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const run = (): void => {
    const nowMs = (settings.nowMs ?? Date.now)();
    const pruned = store.transact(() => store.prune(nowMs));
    wait(pruned.ok && pruned.value ? PRUNE_NEXT_MS : PRUNE_MS);
  };
  const wait = (ms: number): void => {
    timer = setTimeout(run, ms);
    timer.unref();
  };
  wait(PRUNE_MS);
  return () => clearTimeout(timer);
}

/** The error is one line for the user. */
export function openDestination(settings: DestinationSettings): Result<Destination, string> {
  const { log, identity, adapters, dataFolder, publicUrl } = settings;
  const nowMs = settings.nowMs ?? Date.now;
  const opened = openStore(dataFolder, log, settings.limits);
  if (!opened.ok) return opened;
  const store = opened.value;
  const stream = new TicketStream();
  const link = publicUrl === null ? null : `${publicUrl}/v1/tickets/`;
  const forwarder = new Forwarder(adapters, { store, log, link, nowMs, random: Math.random });
  const intake = new Intake({
    store,
    destination: identity.principal.name,
    adapters: forwarder.names,
    log,
    onTold: (told) => {
      stream.tell(told);
      settings.onTold?.(told);
      forwarder.look();
    },
  });
  const parts: Parts = { settings, store, intake, forwarder, stream, startedMs: nowMs() };
  const app = routesOf(parts);
  const listening = listen(parts, app);
  if (!listening.ok) {
    store.close();
    return err(whyNotBound(listening.error, settings));
  }
  const endPruning = startPruning(parts);
  const tellDamage = (complaint: string): void => {
    void intake.take([databaseEvent(identity, complaint, nowMs())]);
  };
  store.onComplaint = tellDamage;
  if (store.complaint !== null) tellDamage(store.complaint);
  forwarder.look();
  return ok({
    port: listening.value.port,
    scheme: schemeOf(identity),
    store,
    intake,
    status: () => statusOf(parts),
    stop: async () => {
      endPruning();
      stream.close();
      settings.bundles?.stop();
      await listening.value.stop();
      await Promise.all([forwarder.stop(), settings.service?.close()]);
      store.close();
    },
  });
}
