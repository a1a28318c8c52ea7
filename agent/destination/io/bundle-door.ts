/**
 * Where service data comes in: the resumable uploads of call home, guarded by roles, on the destination's port.
 *
 * Nodes and managers give; operators and managers look at what is whole. A bundle belongs to the ticket of its event.
 */
import { Hono, type MiddlewareHandler } from "hono";
import { BUNDLES_PATH } from "../../callhome/bundle/bundle.ts";
import { uploadRoutes } from "../../callhome/bundle/io/upload-routes.ts";
import { type Upload, UploadStore } from "../../callhome/bundle/io/upload-store.ts";
import type { Identity } from "../../identity/identity.ts";
import { allow, identify, rateLimit } from "../../net/io/access.ts";
import type { Log } from "../../runtime/log.ts";

const REQUESTS = { perSecond: 200, burst: 1_000 } as const;
const EXPIRE_EVERY_MS: number = 10 * 60_000;

export interface BundleDoor {
  readonly routes: Hono;
  /** Whole ones of these events. */
  of(isWanted: (event: string) => boolean): readonly Upload[];
  stop(): void;
}

export interface BundleDoorSetting {
  readonly folder: string;
  readonly identity: Identity;
  readonly log: Log;
  readonly nowMs: () => number;
}

function guard(): MiddlewareHandler {
  const giving = allow("agent", "manager", "destination");
  const looking = allow("operator", "manager");
  // How far an upload has come is asked by HEAD.
  return (context, next) =>
    context.req.method === "GET" ? looking(context, next) : giving(context, next);
}

/** Rejects where the folder cannot be had. */
export async function openBundleDoor(setting: BundleDoorSetting): Promise<BundleDoor> {
  const { folder, identity, log, nowMs } = setting;
  const uploads = await UploadStore.open({
    folder,
    wholeState: "delivered",
    log,
    nowMs,
    onWhole: ({ event, node, bytes }) => {
      const about = `event ${event.slice(0, 12)} of ${node}`;
      log.say("event", `service data of ${about} is here: ${bytes} bytes`);
    },
  });
  const routes = new Hono();
  for (const path of [BUNDLES_PATH, `${BUNDLES_PATH}/*`]) {
    routes.use(path, rateLimit(REQUESTS), identify(identity), guard());
  }
  routes.route("/", uploadRoutes(uploads));
  const expiring = setInterval(() => void uploads.expire(), EXPIRE_EVERY_MS);
  expiring.unref();
  return {
    routes,
    of: (isWanted) => uploads.whole().filter(({ event }) => isWanted(event)),
    stop: () => clearInterval(expiring),
  };
}
