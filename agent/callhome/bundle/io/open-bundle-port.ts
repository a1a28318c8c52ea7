/**
 * Where bundles arrive, on a manager (which passes them on to the destination) and on a destination (where they end).
 *
 * Who may ask stands before each route here, since neither server has a table of them.
 */
import { Hono } from "hono";
import { err, ok, type Result } from "../../../../core/result.ts";
import type { Identity, PrincipalRole } from "../../../identity/identity.ts";
import { allow, identify, rateLimit } from "../../../net/io/access.ts";
import type { Log } from "../../../runtime/log.ts";
import { BUNDLES_PATH } from "../bundle.ts";
import { BundlePost } from "./bundle-post.ts";
import { Passing } from "./passing.ts";
import type { BundleTarget } from "./upload-client.ts";
import { uploadRoutes } from "./upload-routes.ts";
import { type Upload, UploadStore } from "./upload-store.ts";

export interface BundlePortSettings {
  readonly folder: string;
  readonly identity: Identity | null;
  /** Empty: bundles end here. */
  readonly targets: () => readonly BundleTarget[];
  /** Whether bundles end here (a destination) or are passed on (a manager). */
  readonly isEnd: boolean;
  readonly log: Log;
  readonly nowMs: () => number;
  /** Once for each that has arrived in whole. */
  readonly onWhole?: (upload: Upload) => void;
  readonly lookEveryMs?: number;
}

export interface BundlePort {
  readonly routes: Hono;
  readonly store: UploadStore;
  begin(): void;
  stop(): Promise<void>;
}

const SENDERS: readonly PrincipalRole[] = ["agent", "manager", "operator"];
/** Pieces of several bundles at a time, from each sender. */
const RATE = { perSecond: 200, burst: 400 };
const EXPIRE_EVERY_MS: number = 10 * 60_000;

/** The error is one line. */
export async function openBundlePort(
  settings: BundlePortSettings,
): Promise<Result<BundlePort, string>> {
  const { folder, identity, targets, isEnd, log, nowMs, onWhole, lookEveryMs } = settings;
  let store: UploadStore;
  try {
    store = await UploadStore.open({
      ...{ folder, wholeState: isEnd ? "delivered" : "kept", log, nowMs },
      onWhole: (upload) => {
        onWhole?.(upload);
        post?.touch();
      },
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return err(`service data in ${folder} cannot be kept: ${why}`);
  }
  const passing = new Passing(store);
  const post = isEnd
    ? null
    : new BundlePost({
        ...{ targets, log, nowMs, random: Math.random },
        ...(lookEveryMs === undefined ? {} : { lookEveryMs }),
        waiting: () => passing.consignments(),
      });
  const routes = new Hono();
  const guards = [identify(identity), rateLimit(RATE), allow(...SENDERS)] as const;
  routes.use(BUNDLES_PATH, ...guards);
  routes.use(`${BUNDLES_PATH}/*`, ...guards);
  routes.route("/", uploadRoutes(store));
  let expire: ReturnType<typeof setInterval> | null = null;
  return ok({
    routes,
    store,
    begin: () => {
      post?.begin();
      expire = setInterval(() => void store.expire(), EXPIRE_EVERY_MS);
      expire.unref();
    },
    stop: async () => {
      if (expire !== null) clearInterval(expire);
      await post?.stop();
    },
  });
}
