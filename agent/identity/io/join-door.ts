/**
 * A cluster's door: a port of its own where new nodes join and known ones renew, beside a server that holds the authority's
 * folder. It asks for no client certificate, since who joins has none.
 *
 * Its own certificate names it as nobody else's does (`DOOR_NAME`): whoever stole a node's certificate cannot play the door
 * and collect tokens. It makes that certificate itself, for some days, and a new one when two thirds of them are over.
 */
import { Hono } from "hono";
import { err, ok, type Result } from "../../../core/result.ts";
import { problemResponse } from "../../net/problem.ts";
import { type BindError, bindError } from "../../runtime/io/datagrams.ts";
import type { Log } from "../../runtime/log.ts";
import { Attempts } from "../attempts.ts";
import { BUNDLE_BYTES_MAX } from "../join-protocol.ts";
import { doorAudience } from "../token.ts";
import { DAY_MS, issueDoorCertificate, timesFrom } from "./authority.ts";
import type { AuthorityOffice } from "./authority-office.ts";
import { tokenChecker } from "./bearer.ts";
import { type BundleDesk, doorRoutes } from "./join-routes.ts";
import { keyPem, makeKey, spkiOf } from "./keys.ts";
import { pause } from "./pause.ts";
import { openVerifier } from "./verifier.ts";

const DOOR_DAYS = 30;
const RENEW_AFTER_MS: number = (DOOR_DAYS * DAY_MS * 2) / 3;
/** How often it is looked whether another authority issues now, or the time has come. */
const RENEW_LOOK_MS = 30_000;
/** More than a question for news is held. */
const IDLE_SECONDS = 30;
/** How often what other processes changed in the authority's folder is looked for, while somebody waits for news. */
const LOOK_MS = 500;
/** A whole rack that joins through one address has its turn within seconds; guessing gets nowhere at this rate. */
const LIMITS = { burst: 60, perSecond: 5, addressesMax: 10_000 } as const;

export interface DoorOptions {
  /** IP literal. */
  readonly hostname: string;
  /** 0: one that is free. */
  readonly port: number;
  readonly log: Log;
}

export interface JoinDoor {
  readonly port: number;
  close(): Promise<void>;
}

/** Judges who asks by the newest trust there is. */
async function openDesk(office: AuthorityOffice): Promise<BundleDesk> {
  const verifier = openVerifier([await office.trust()]);
  const callbacks = new Set<() => void>();
  const onChange = (callback: () => void): (() => void) => {
    callbacks.add(callback);
    return () => callbacks.delete(callback);
  };
  const audiences = [doorAudience(office.cluster)];
  const checker = tokenChecker({ verifier, onChange }, audiences, office.nowMs);
  let version = 0;
  return {
    trust: async () => {
      const newest = await office.trust();
      if (newest.statement.version > version) {
        version = newest.statement.version;
        verifier.believe([newest]);
        for (const callback of callbacks) callback();
      }
      return newest;
    },
    changed: (signal) => pause(LOOK_MS, signal),
    who: (header) => checker.checkHeader(header),
    push: null,
  };
}

function doorApp(office: AuthorityOffice, desk: BundleDesk, log: Log): Hono<DoorBindings> {
  const attempts = new Attempts(LIMITS);
  const app = new Hono<DoorBindings>();
  app.use(async (context, next) => {
    const waitMs = attempts.waitMs(context.env.address, performance.now());
    if (waitMs === 0) return await next();
    const seconds = Math.ceil(waitMs / 1_000);
    const response = problemResponse({
      kind: "refused",
      detail: `too many requests from ${context.env.address}: ask again in ${seconds} s`,
    });
    response.headers.set("retry-after", String(seconds));
    return response;
  });
  app.route("/", doorRoutes(office, desk));
  app.notFound(({ req }) =>
    problemResponse({ kind: "not-found", detail: `no such path at the door: ${req.path}` }),
  );
  app.onError((error) => {
    log.say("fault", `the door: ${error.stack ?? error.message}`);
    return problemResponse({ kind: "internal", detail: "see the log of the cluster's door" });
  });
  return app;
}

interface DoorBindings {
  readonly Bindings: { readonly address: string };
}

type BunServer = ReturnType<typeof Bun.serve>;

class Door implements JoinDoor {
  readonly #office: AuthorityOffice;
  readonly #options: DoorOptions;
  readonly #app: Hono<DoorBindings>;
  #server: BunServer | null = null;
  #authority = 0;
  #madeMs = 0;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(office: AuthorityOffice, options: DoorOptions, app: Hono<DoorBindings>) {
    this.#office = office;
    this.#options = options;
    this.#app = app;
    this.#timer = setInterval(() => void this.#look(), RENEW_LOOK_MS);
    this.#timer.unref();
  }

  get port(): number {
    return this.#server?.port ?? 0;
  }

  async open(port: number): Promise<void> {
    const key = makeKey("tls");
    const { cluster } = this.#office;
    this.#madeMs = this.#office.nowMs();
    const times = timesFrom(this.#madeMs, DOOR_DAYS);
    const { pair, generation } = this.#office.current();
    this.#authority = generation;
    const { cert } = await issueDoorCertificate(pair, cluster, spkiOf(key), times);
    await this.#server?.stop(true);
    this.#server = Bun.serve({
      hostname: this.#options.hostname,
      port,
      idleTimeout: IDLE_SECONDS,
      maxRequestBodySize: BUNDLE_BYTES_MAX,
      tls: { key: keyPem(key), cert },
      fetch: (request, server) =>
        this.#app.fetch(request, { address: server.requestIP(request)?.address ?? "unknown" }),
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#server?.stop(true);
    this.#office.close();
  }

  /** What fails now is tried again at the next look, well before the certificate ends. */
  async #look(): Promise<void> {
    try {
      const isNew = this.#authority === this.#office.current().generation;
      if (isNew && this.#office.nowMs() - this.#madeMs < RENEW_AFTER_MS) return;
      await this.open(this.port);
    } catch (cause) {
      this.#options.log.say("fault", `the door cannot renew itself: ${(cause as Error).message}`);
    }
  }
}

/** Takes the office over, and closes it with the door. */
export async function startJoinDoor(
  office: AuthorityOffice,
  options: DoorOptions,
): Promise<Result<JoinDoor, BindError>> {
  const door = new Door(office, options, doorApp(office, await openDesk(office), options.log));
  try {
    await door.open(options.port);
    return ok(door);
  } catch (cause) {
    return err(bindError(cause));
  }
}
