/**
 * What a process with an identity does for it beside its own work: keeps it good, passes news on, and where the authority's
 * folder is, opens the cluster's door. For agent, manager and destination alike.
 *
 *   const service = await beginIdentityService(identity, { log, door: { hostname, port: port + 1 }, doors: [] });
 *   app.route("/", service.routes);       // GET and POST /v1/identity/bundle
 *   await service.close();                // before identity.close()
 *
 * With an identity of cluster `local` it does nothing.
 */
import { Hono } from "hono";
import { err, ok, type Result } from "../../../core/result.ts";
import { bearerChecker } from "../../net/io/bearer.ts";
import type { Log } from "../../runtime/log.ts";
import { Waiters } from "../../runtime/waiters.ts";
import type { Identity } from "../identity.ts";
import { openAuthorityOffice } from "./authority-office.ts";
import { hasAuthority } from "./authority-store.ts";
import type { NewsSource } from "./door-client.ts";
import { authorityFolderOf } from "./identity-folder.ts";
import { type JoinDoor, startJoinDoor } from "./join-door.ts";
import { type BundleDesk, bundleRoutes } from "./join-routes.ts";
import { type Keeper, startKeeper } from "./keeper.ts";
import type { FolderIdentity } from "./open-identity.ts";

export interface IdentityServiceOptions {
  readonly log: Log;
  /** Where the door is opened, if the authority's folder is here. null: nowhere. */
  readonly door: { readonly hostname: string; readonly port: number } | null;
  /** `address:port` of doors, besides those that the folder knows. */
  readonly doors: readonly string[];
  /** Servers of the cluster to ask for news while no door answers. */
  readonly others?: () => readonly NewsSource[];
}

export interface IdentityService {
  /** News of whom to believe, for the process's main port. */
  readonly routes: Hono;
  /** null: there is no authority here, or its port cannot be had, which is in the log. */
  readonly doorPort: number | null;
  close(): Promise<void>;
}

function isFollowed(identity: Identity): identity is FolderIdentity {
  return "folder" in identity && "adopt" in identity;
}

/** News from this process's own folder. */
function ownDesk(identity: FolderIdentity): BundleDesk & { close(): void } {
  const waiters = new Waiters();
  const forget = identity.onChange(() => waiters.wake());
  const checker = bearerChecker(identity);
  return {
    trust: () => Promise.resolve(identity.trust()),
    changed: (signal) => waiters.changed(signal),
    who: (header) => checker.checkHeader(header),
    push: (bundle): Result<number, string> => identity.adopt(bundle),
    close: () => {
      forget();
      checker.close();
      waiters.wake();
    },
  };
}

async function openDoor(
  folder: string,
  { door, log }: IdentityServiceOptions,
): Promise<Result<JoinDoor | null, string>> {
  if (door === null || !hasAuthority(folder)) return ok(null);
  const opened = await startJoinDoor(openAuthorityOffice(folder), { ...door, log });
  if (!opened.ok) return err(`${door.hostname}:${door.port}: ${opened.error.detail}`);
  return ok(opened.value);
}

export async function beginIdentityService(
  identity: Identity,
  options: IdentityServiceOptions,
): Promise<IdentityService> {
  if (!isFollowed(identity)) {
    return { routes: new Hono(), doorPort: null, close: () => Promise.resolve() };
  }
  const { log } = options;
  const desk = ownDesk(identity);
  const keeper: Keeper = startKeeper(identity, {
    log,
    nowMs: Date.now,
    unit: Math.random,
    doors: options.doors,
    ...(options.others === undefined ? {} : { others: options.others }),
  });
  const opened = await openDoor(authorityFolderOf(identity.folder), options);
  if (!opened.ok) {
    const remedy = "holdfast identity serve --listen opens it elsewhere";
    log.say("fault", `identity: nobody can join here, ${opened.error}: ${remedy}`);
  }
  const door = opened.ok ? opened.value : null;
  if (door !== null) {
    log.say("event", `identity: nodes join at ${options.door?.hostname}:${door.port}`);
  }
  return {
    routes: bundleRoutes(desk),
    doorPort: door?.port ?? null,
    close: async () => {
      desk.close();
      await Promise.all([keeper.close(), door?.close()]);
    },
  };
}
