/**
 * Brings a manager up: its store, its port for the cluster, its port for people.
 *
 * The cluster's port asks every caller for a certificate, and by a token which principal it is; what a route gives depends on
 * that role. Metrics and the description are for whoever has a certificate of the cluster. Each step that can fail for a
 * reason outside holdfast fails with one line that names the thing and what to do.
 */
import { isIP } from "node:net";
import { join } from "node:path";
import { Hono } from "hono";
import { err, ok, type Result } from "../../../core/result.ts";
import { openBundlePort } from "../../callhome/bundle/io/open-bundle-port.ts";
import type { BundleTarget } from "../../callhome/bundle/io/upload-client.ts";
import type { Caller } from "../../callhome/io/parcels-client.ts";
import { PARCELS_BYTES_MAX } from "../../callhome/protocol.ts";
import type { Identity, Verifier } from "../../identity/identity.ts";
import type { IdentityService } from "../../identity/io/identity-service.ts";
import { allow, identify, rateLimit } from "../../net/io/access.ts";
import { type Listener, openListener } from "../../net/io/listener.ts";
import { endRefused } from "../../net/io/refused-body.ts";
import { isSecure, serveTls } from "../../net/io/secure.ts";
import { problemResponse } from "../../net/problem.ts";
import { realClock } from "../../runtime/io/clock.ts";
import type { BindError } from "../../runtime/io/datagrams.ts";
import type { Log } from "../../runtime/log.ts";
import { ApiApp } from "./api-app.ts";
import { addCallhomeRoutes } from "./callhome-routes.ts";
import { addDocuments } from "./documents.ts";
import { addListRoutes } from "./list-routes.ts";
import { KEPT_MAX, Manager, SETTLED_MAX, StoreEar } from "./manager.ts";
import { readSecret } from "./page-access.ts";
import { type PageAnswer, peopleDoor } from "./people-door.ts";
import { openPostgres, openSqlite } from "./store.ts";

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface OpenManagerSettings {
  readonly identity: Identity;
  readonly listen: Endpoint;
  /** null: no door for people. */
  readonly pageListen: Endpoint | null;
  readonly dataFolder: string;
  /** URL of a PostgreSQL; null: SQLite in the data folder. */
  readonly store: string | null;
  readonly destination: string | null;
  readonly caller: Caller;
  /** Of receipts; default: the own cluster's. */
  readonly receiptVerifier?: Verifier;
  readonly retentionDays: number;
  readonly version: string;
  readonly page: PageAnswer | null;
  readonly log: Log;
  readonly settledMax?: number;
  readonly keptMax?: number;
  /** Of `agent/identity`: bundles for the cluster's port, and where the authority lies its door. */
  readonly service: IdentityService | null;
}

export interface OpenManager {
  readonly manager: Manager;
  readonly port: number;
  readonly pagePort: number | null;
  stop(): Promise<void>;
}

export const STORE_FILE = "manager.sqlite";
export const SECRET_FILE = "page-secret";
const IDLE_SECONDS = 30;
/** For the ends of streams to leave before their connections are cut. */
const LAST_LINES_MS = 50;
/** Without TLS callers are known by address only, and a whole cluster that is tried out has one. */
const LOCAL_RATE_FACTOR = 1_000;

export function isLoopback(address: string): boolean {
  return address === "::1" || /^127\./.test(address);
}

export function textOf({ address, port }: Endpoint): string {
  return `${isIP(address) === 6 ? `[${address}]` : address}:${port}`;
}

function whyNotBound(error: BindError, at: Endpoint, flag: string): string {
  const what = `${flag} ${textOf(at)}`;
  switch (error.kind) {
    case "in-use":
      return `${what} is in use by another program: stop that one, or choose another port`;
    case "no-address":
      return `${what}: ${at.address} is no address of this machine: choose one of \`ip address\``;
    case "io":
      return `${what} cannot be listened on: ${error.detail}`;
  }
}

export interface ClusterAppParts {
  readonly manager: Manager;
  readonly identity: Identity;
  readonly page: PageAnswer | null;
  readonly service: IdentityService | null;
  /** Service data on its way. */
  readonly bundles?: Hono;
  readonly onDefect: (detail: string) => void;
}

/** What is answered at the cluster's port. */
export function clusterApp(parts: ClusterAppParts): Hono {
  const { manager, identity, page, service, bundles, onDefect } = parts;
  const app = new Hono();
  const isProved = isSecure(identity);
  const api = new ApiApp(({ roles, rate }) => {
    const factor = isProved ? 1 : LOCAL_RATE_FACTOR;
    const limits = { perSecond: rate.perSecond * factor, burst: rate.burst * factor };
    return [identify(identity), rateLimit(limits), allow(...roles)];
  });
  addCallhomeRoutes(api, manager);
  addListRoutes(api, manager);
  addDocuments(api, manager, []);
  app.get("/", (context) => page?.(context.req.raw) ?? context.redirect("/docs"));
  app.route("/", api.app);
  if (service !== null) app.route("/", service.routes);
  if (bundles !== undefined) app.route("/", bundles);
  app.notFound((context) =>
    problemResponse({ kind: "not-found", detail: `no such path: ${context.req.path}` }),
  );
  app.onError((error) => {
    onDefect(error.stack ?? error.message);
    return problemResponse({ kind: "internal", detail: "see the manager's log" });
  });
  return app;
}

function listen(
  app: Hono,
  at: Endpoint,
  identity: Identity,
  options: { readonly asksCertificate: boolean; readonly isTls: boolean; readonly log: Log },
): Result<Listener, BindError> {
  return openListener({
    at: { hostname: at.address, port: at.port },
    identity: options.isTls ? identity : null,
    serve: ({ tls, ...bind }) => {
      const open = tls === undefined ? {} : { tls: { cert: tls.cert, key: tls.key } };
      return Bun.serve({
        ...bind,
        ...(options.asksCertificate && tls !== undefined ? { tls } : open),
        idleTimeout: IDLE_SECONDS,
        // Routes with less bound themselves; what is more is cut before it is in memory.
        maxRequestBodySize: PARCELS_BYTES_MAX + 1,
        fetch: endRefused((request, server) => app.fetch(request, server)),
      });
    },
    onComplaint: (detail) => options.log.say("fault", detail),
  });
}

/** Bundles go where events go. */
function bundleTargets(destination: string | null, caller: Caller): readonly BundleTarget[] {
  if (destination === null) return [];
  const fetch = (url: string, init: RequestInit = {}): Promise<Response> =>
    caller("destination", url, init);
  return [{ kind: "destination", name: destination, url: destination, fetch }];
}

function openPeopleDoor(
  settings: OpenManagerSettings,
  manager: Manager,
  onDefect: (detail: string) => void,
): Result<Listener | null, string> {
  const { pageListen, identity, page, dataFolder, log } = settings;
  if (pageListen === null) return ok(null);
  const isOpen = isLoopback(pageListen.address);
  // On loopback nothing leaves the machine, and a browser would not know the certificate.
  const isTls = !isOpen && serveTls(identity) !== undefined;
  if (!isOpen && !isTls) {
    const what = `--page-listen ${textOf(pageListen)}: without an identity people are let in on loopback only`;
    return err(`${what}: make one (holdfast init, holdfast join), or listen on 127.0.0.1`);
  }
  try {
    const secret = isOpen ? null : readSecret(join(dataFolder, SECRET_FILE));
    const nowMs = (): number => Date.now();
    const app = peopleDoor({ manager, page, secret, isTls, nowMs, onDefect });
    const opened = listen(app, pageListen, identity, { asksCertificate: false, isTls, log });
    return opened.ok ? opened : err(whyNotBound(opened.error, pageListen, "--page-listen"));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return err(`${join(dataFolder, SECRET_FILE)} cannot be used: ${why}`);
  }
}

export async function openManager(
  settings: OpenManagerSettings,
): Promise<Result<OpenManager, string>> {
  const { identity, log, destination, caller, retentionDays, version } = settings;
  const ear = new StoreEar(log);
  const opened =
    settings.store === null
      ? await openSqlite(join(settings.dataFolder, STORE_FILE), ear)
      : await openPostgres(settings.store, ear);
  if (!opened.ok) return opened;
  const { store, complaints } = opened.value;
  for (const line of complaints) log.say("fault", line);
  const { settledMax = SETTLED_MAX, keptMax = KEPT_MAX } = settings;
  const { receiptVerifier = identity.verifier } = settings;
  const limits = { retentionDays, settledMax, keptMax };
  const clock = realClock();
  const manager = new Manager(
    { identity, version, destination, caller, receiptVerifier, clock, log, ...limits },
    store,
    ear,
  );
  const onDefect = (detail: string): void => log.say("fault", `defect: ${detail}`);
  const bundles = await openBundlePort({
    ...{ folder: join(settings.dataFolder, "bundles"), identity, isEnd: false, log },
    targets: () => bundleTargets(destination, caller),
    nowMs: () => clock.wallMs(),
  });
  if (!bundles.ok) {
    await manager.stop();
    return bundles;
  }
  await manager.begin();
  bundles.value.begin();
  const app = clusterApp({
    manager,
    identity,
    bundles: bundles.value.routes,
    page: settings.page,
    service: settings.service,
    onDefect,
  });
  const isTls = isSecure(identity);
  const main = listen(app, settings.listen, identity, { asksCertificate: true, isTls, log });
  if (!main.ok) {
    await bundles.value.stop();
    await manager.stop();
    return err(whyNotBound(main.error, settings.listen, "--listen"));
  }
  const people = openPeopleDoor(settings, manager, onDefect);
  if (!people.ok) {
    await main.value.stop();
    await bundles.value.stop();
    await manager.stop();
    return people;
  }
  return ok({
    manager,
    port: main.value.port,
    pagePort: people.value?.port ?? null,
    stop: async () => {
      // Streams end first, so that nodes take other paths at once.
      manager.live.stop();
      manager.receipts.stop();
      await Bun.sleep(LAST_LINES_MS);
      await Promise.all([main.value.stop(), people.value?.stop(), bundles.value.stop()]);
      await manager.stop();
    },
  });
}
