/**
 * A cluster's door: a port of its own where new nodes join and known ones renew, beside a server that holds the authority's
 * folder. It asks for no client certificate, since who joins has none.
 *
 * Its own certificate names it as nobody else's does (`DOOR_NAME`): whoever stole a node's certificate cannot play the door
 * and collect tokens. It makes that certificate itself, for some days, and a new one when two thirds of them are over. A question
 * that is under way then is answered all the same; one that comes in that very moment may be reset, and is asked again.
 */
import { Hono } from "hono";
import { err, ok, type Result } from "../../../core/result.ts";
import { rateLimit } from "../../net/io/access.ts";
import { type BearerChecker, tokenChecker } from "../../net/io/bearer.ts";
import { endRefused } from "../../net/io/refused-body.ts";
import { problemResponse } from "../../net/problem.ts";
import { doorAudience, type TokenError } from "../../net/token.ts";
import { type BindError, bindError } from "../../runtime/io/datagrams.ts";
import type { Log } from "../../runtime/log.ts";
import { Waiters } from "../../runtime/waiters.ts";
import type { Principal } from "../identity.ts";
import { BUNDLE_BYTES_MAX } from "../join-protocol.ts";
import type { Trust } from "../trust.ts";
import { DAY_MS, issueDoorCertificate, timesFrom } from "./authority.ts";
import type { AuthorityOffice } from "./authority-office.ts";
import { type BundleDesk, doorRoutes } from "./join-routes.ts";
import { keyPem, makeKey, spkiOf } from "./keys.ts";
import { openVerifier, type TrustingVerifier } from "./verifier.ts";

const DOOR_DAYS = 30;
const RENEW_AFTER_MS: number = (DOOR_DAYS * DAY_MS * 2) / 3;
/** How often it is looked whether the time has come; at news at once. */
const RENEW_LOOK_MS = 30_000;
/** More than a question for news is held. */
const IDLE_SECONDS = 30;
/** How often what other processes changed in the authority's folder is looked for, while somebody waits for news. */
const LOOK_MS = 500;
/** For each address: a thousand nodes behind one that wait for news, and a rack that joins. Secrets are not to be guessed. */
const LIMITS = { burst: 200, perSecond: 50 } as const;

export interface DoorOptions {
  /** IP literal. */
  readonly hostname: string;
  /** 0: one that is free. */
  readonly port: number;
  readonly log: Log;
  /** By which its own certificate is made, as TLS judges it; the authority's clock, if nothing else is said. */
  readonly nowMs?: () => number;
}

export interface JoinDoor {
  readonly port: number;
  close(): Promise<void>;
}

/** Judges who asks by the newest trust there is, and wakes those who wait for news. */
class Desk implements BundleDesk {
  readonly push = null;
  readonly #office: AuthorityOffice;
  readonly #verifier: TrustingVerifier = openVerifier([]);
  readonly #checker: BearerChecker;
  readonly #callbacks = new Set<() => void>();
  readonly #waiters = new Waiters();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #onNews: () => void;
  #version = 0;
  #looked = 0;

  constructor(office: AuthorityOffice, onNews: () => void) {
    this.#office = office;
    this.#onNews = onNews;
    const onChange = (callback: () => void): (() => void) => {
      this.#callbacks.add(callback);
      return () => this.#callbacks.delete(callback);
    };
    const trust = { verifier: this.#verifier, onChange };
    this.#checker = tokenChecker(trust, [doorAudience(office.cluster)], office.nowMs);
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  async trust(): Promise<Trust> {
    const newest = await this.#office.trust();
    if (newest.statement.version > this.#version) {
      this.#version = newest.statement.version;
      this.#verifier.believe([newest]);
      for (const callback of this.#callbacks) callback();
    }
    return newest;
  }

  changed(signal: AbortSignal): Promise<void> {
    return this.#waiters.changed(signal);
  }

  who(header: string | undefined): Result<Principal, TokenError> {
    return this.#checker.checkHeader(header);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#waiters.wake();
  }

  /** A store that cannot be read now is looked at again. */
  #look(): void {
    try {
      const { revision } = this.#office.store;
      if (revision === this.#looked) return;
      this.#looked = revision;
      this.#waiters.wake();
      this.#onNews();
    } catch {
      // See above.
    }
  }
}

/** Its environment is the server itself, which knows the caller's address. */
function doorApp(office: AuthorityOffice, desk: BundleDesk, log: Log): Hono {
  const app = new Hono();
  app.use(rateLimit(LIMITS));
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

type BunServer = ReturnType<typeof Bun.serve>;

class Door implements JoinDoor {
  readonly desk: Desk;
  readonly #office: AuthorityOffice;
  readonly #options: DoorOptions;
  readonly #app: Hono;
  #server: BunServer | null = null;
  /** They take nobody new, and answer whom they have. */
  readonly #older = new Set<BunServer>();
  #port = 0;
  #authority = 0;
  #madeMs = 0;
  #renewing = false;
  #isClosed = false;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(office: AuthorityOffice, options: DoorOptions) {
    this.#office = office;
    this.#options = options;
    this.desk = new Desk(office, () => void this.#look());
    this.#app = doorApp(office, this.desk, options.log);
    this.#timer = setInterval(() => void this.#look(), RENEW_LOOK_MS);
    this.#timer.unref();
  }

  get port(): number {
    return this.#port;
  }

  async open(port: number): Promise<void> {
    const key = makeKey("tls");
    const { cluster } = this.#office;
    const madeMs = this.#nowMs();
    const times = timesFrom(madeMs, DOOR_DAYS);
    const { pair, generation } = this.#office.doorAuthority();
    const { cert } = await issueDoorCertificate(pair, cluster, spkiOf(key), times);
    if (this.#isClosed) return;
    if (this.#server !== null) this.#retire(this.#server);
    this.#server = Bun.serve({
      hostname: this.#options.hostname,
      port,
      idleTimeout: IDLE_SECONDS,
      maxRequestBodySize: BUNDLE_BYTES_MAX,
      tls: { key: keyPem(key), cert },
      fetch: endRefused((request, server) => this.#app.fetch(request, server)),
    });
    this.#port = this.#server.port ?? port;
    // Last: what failed above is tried again.
    this.#madeMs = madeMs;
    this.#authority = generation;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.desk.close();
    const servers = [...this.#older, ...(this.#server === null ? [] : [this.#server])];
    await Promise.all(servers.map((server) => server.stop(true)));
    this.#office.close();
  }

  #nowMs(): number {
    return (this.#options.nowMs ?? this.#office.nowMs)();
  }

  /** Its port is free at once. */
  #retire(server: BunServer): void {
    this.#older.add(server);
    void server.stop(false).then(() => this.#older.delete(server));
  }

  /** What fails now is tried again at the next look, well before the certificate ends. */
  async #look(): Promise<void> {
    if (this.#renewing || this.#server === null) return;
    this.#renewing = true;
    try {
      const isSame = this.#authority === this.#office.doorAuthority().generation;
      const isYoung = this.#nowMs() - this.#madeMs < RENEW_AFTER_MS;
      if (!isSame || !isYoung) await this.open(this.port);
    } catch (cause) {
      this.#options.log.say("fault", `the door cannot renew itself: ${(cause as Error).message}`);
    }
    this.#renewing = false;
  }
}

/** Takes the office over, and closes it with the door. */
export async function startJoinDoor(
  office: AuthorityOffice,
  options: DoorOptions,
): Promise<Result<JoinDoor, BindError>> {
  const door = new Door(office, options);
  try {
    await door.desk.trust();
    await door.open(options.port);
    return ok(door);
  } catch (cause) {
    await door.close();
    return err(bindError(cause));
  }
}
