/**
 * Speaks HTTP with one Redfish service: requests within limits, a session of its own, tasks carried out, a stream of events.
 *
 * Connections come from `redfish-trust.ts` and from nowhere else. At most a few requests are under way, as BMCs are slow;
 * each has a limit of time and of size. What is repeated: a GET whose kept connection had been closed meanwhile; anything
 * after a 401 once, with a new session; what the service says it is too busy for, within a limit. A change is never sent
 * again where it may have been carried out. Never throws or rejects; the password goes into requests only.
 */
import { Agent, type ClientRequest, request as httpRequest } from "node:http";
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { asPath, at } from "../../redfish/json.ts";
import {
  getRequest,
  isSuccess,
  type RedfishAnswer,
  type RedfishReply,
  type RedfishRequest,
  type RedfishSteps,
  statusError,
} from "../../redfish/redfish.ts";
import type { RedfishAddress } from "../../redfish/redfish-address.ts";
import { ConnectError, errorOf, receive, type Sent } from "./redfish-reply.ts";
import { connectTrusted, type Trust } from "./redfish-trust.ts";

export interface ClientLimits {
  /** Of one request, from its sending to the last byte of its answer. */
  readonly requestTimeoutMs: number;
  readonly connectTimeoutMs: number;
}

/** Under way at once; the web servers of BMCs have few threads. */
const PARALLEL_MAX = 4;
const BUSY_TRIES_MAX = 4;
const BUSY_WAIT_MS = 500;
const REDIRECTS_MAX = 3;
/** A change that the service works on as a task (202) is followed for this long. */
const TASK_MS_MAX = 30_000;
const TASK_WAIT_MS = 250;
/** A stream without a byte for this long is opened again; what it may have missed is read from the log. */
const STREAM_IDLE_MS = 600_000;

class TrustedAgent extends Agent {
  readonly #connect: () => Promise<Result<NodeJS.Socket, BmcError>>;

  constructor(keepAlive: boolean, connect: () => Promise<Result<NodeJS.Socket, BmcError>>) {
    super({ keepAlive, maxSockets: PARALLEL_MAX });
    this.#connect = connect;
  }

  override createConnection(
    _options: unknown,
    callback: (error: Error | null, socket?: unknown) => void,
  ): undefined {
    void this.#connect().then((result) => {
      if (result.ok) callback(null, result.value);
      else callback(new ConnectError(result.error));
    });
  }
}

export interface StreamHandlers {
  onOpen(): void;
  onChunk(chunk: Uint8Array): void;
  /** Once, unless the stream was closed from here. */
  onEnd(error: BmcError): void;
}

function isBusy(answer: Result<Sent, BmcError>): boolean {
  return answer.ok && [429, 503].includes(answer.value.reply.status);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class RedfishClient {
  readonly #address: RedfishAddress;
  readonly #password: string;
  readonly #limits: ClientLimits;
  /** Keeps connections: for what may be sent again. */
  readonly #kept: TrustedAgent;
  /** A connection for each: for what must be sent once. */
  readonly #single: TrustedAgent;
  #underWay = 0;
  readonly #queue: (() => void)[] = [];
  #token: string | null = null;
  #sessionPath: string | null = null;
  #sessionsPath: string | null = null;
  #loginUnderWay: Promise<BmcError | null> | null = null;
  #isClosed = false;

  constructor(address: RedfishAddress, password: string, trust: Trust, limits: ClientLimits) {
    this.#address = address;
    this.#password = password;
    this.#limits = limits;
    const connect = () => connectTrusted(address, trust, limits.connectTimeoutMs);
    this.#kept = new TrustedAgent(true, connect);
    this.#single = new TrustedAgent(false, connect);
  }

  get url(): string {
    return this.#address.url;
  }

  /** Carries out a task: what it yields together is asked together. */
  async run<T>(steps: RedfishSteps<T>): Promise<Result<T, BmcError>> {
    let next = steps.next();
    while (next.done !== true) {
      const answers = await Promise.all(next.value.map((one) => this.request(one)));
      next = steps.next(answers);
    }
    return next.value;
  }

  /**
   * Opens a session where the service has them; else every request carries user and password, as basic authentication. An
   * error only where user or password is wrong, or the service cannot be asked.
   */
  async logIn(sessionsPath: string | null): Promise<BmcError | null> {
    this.#sessionsPath = sessionsPath;
    if (sessionsPath === null || this.#address.user === "") return null;
    this.#loginUnderWay ??= this.#openSession(sessionsPath).finally(() => {
      this.#loginUnderWay = null;
    });
    return await this.#loginUnderWay;
  }

  async #openSession(path: string): Promise<BmcError | null> {
    this.#token = null;
    const body = { UserName: this.#address.user, Password: this.#password };
    const request: RedfishRequest = { method: "POST", path, body, etag: null };
    const sent = await this.#send(request, {}, this.#single);
    if (!sent.ok) return sent.error;
    const { reply, headers } = sent.value;
    if (reply.status === 401) return statusError(request, reply);
    const token = headers["x-auth-token"];
    if (!isSuccess(reply) || typeof token !== "string" || token === "") return null;
    this.#token = token;
    this.#sessionPath = reply.location ?? asPath(at(reply.body, "@odata.id"));
    return null;
  }

  async request(request: RedfishRequest): Promise<RedfishAnswer> {
    await this.#enter();
    try {
      return await this.#requestWithin(request);
    } finally {
      this.#leave();
    }
  }

  async #requestWithin(request: RedfishRequest): Promise<RedfishAnswer> {
    let answer = await this.#authorised(request);
    for (let count = 1; count < BUSY_TRIES_MAX && isBusy(answer); count++) {
      await pause(answer.ok ? (answer.value.retryAfterMs ?? BUSY_WAIT_MS * count) : BUSY_WAIT_MS);
      answer = await this.#authorised(request);
    }
    if (!answer.ok) return answer;
    const { reply } = answer.value;
    const isTask = request.method !== "GET" && reply.status === 202 && reply.location !== null;
    return isTask ? await this.#followTask(reply.location ?? "", reply) : ok(reply);
  }

  /** A task that has not ended in time counts as accepted, which it was. */
  async #followTask(path: string, accepted: RedfishReply): Promise<RedfishAnswer> {
    for (let waitedMs = 0; waitedMs < TASK_MS_MAX; waitedMs += TASK_WAIT_MS) {
      const answer = await this.#authorised(getRequest(path));
      // A monitor that is gone belongs to a task that is done.
      if (!answer.ok) return answer;
      const { reply } = answer.value;
      if (reply.status === 404 || reply.status === 410) return ok(accepted);
      const state = String(at(reply.body, "TaskState") ?? "");
      if (/Exception|Killed|Cancelled/.test(state)) {
        return err(bmcError("refused", `${path}: the task ended with ${state}`));
      }
      if (reply.status !== 202 && !/New|Starting|Running|Pending/.test(state)) return ok(reply);
      await pause(TASK_WAIT_MS);
    }
    return ok(accepted);
  }

  async #authorised(request: RedfishRequest): Promise<Result<Sent, BmcError>> {
    const token = this.#token;
    const first = await this.#redirected(request);
    if (!first.ok || first.value.reply.status !== 401 || token === null) return first;
    // The session is gone, as after a restart of the service. Another request may have renewed it meanwhile.
    if (this.#token === token) {
      const failed = await this.logIn(this.#sessionsPath);
      if (failed !== null) return err(failed);
    }
    return await this.#redirected(request);
  }

  async #redirected(request: RedfishRequest): Promise<Result<Sent, BmcError>> {
    let path = request.path;
    for (let count = 0; ; count++) {
      const sent = await this.#sent({ ...request, path });
      if (!sent.ok || count >= REDIRECTS_MAX || request.method !== "GET") return sent;
      const { status, location } = sent.value.reply;
      if (![301, 302, 307, 308].includes(status) || location === null) return sent;
      path = location;
    }
  }

  async #sent(request: RedfishRequest): Promise<Result<Sent, BmcError>> {
    const headers = this.#credentials();
    if (request.method !== "GET") return await this.#send(request, headers, this.#single);
    const first = await this.#send(request, headers, this.#kept);
    const wasStale = !first.ok && first.error.kind === "disconnected";
    return wasStale ? await this.#send(request, headers, this.#single) : first;
  }

  #credentials(): Readonly<Record<string, string>> {
    if (this.#token !== null) return { "X-Auth-Token": this.#token };
    const { user } = this.#address;
    if (user === "") return {};
    const basic = Buffer.from(`${user}:${this.#password}`, "utf8").toString("base64");
    return { Authorization: `Basic ${basic}` };
  }

  #send(
    request: RedfishRequest,
    credentials: Readonly<Record<string, string>>,
    agent: Agent,
  ): Promise<Result<Sent, BmcError>> {
    const { method, path, etag } = request;
    const what = `${this.url}: ${method} ${path}`;
    if (this.#isClosed) return Promise.resolve(err(bmcError("disconnected", `${what}: closed`)));
    const text = request.body === null ? null : JSON.stringify(request.body);
    const headers: Record<string, string> = {
      ...credentials,
      Accept: "application/json",
      "OData-Version": "4.0",
      "Accept-Encoding": "identity",
      ...(etag === null ? {} : { "If-Match": etag }),
      ...(text === null ? {} : { "Content-Type": "application/json" }),
      ...(text === null ? {} : { "Content-Length": String(Buffer.byteLength(text)) }),
    };
    return new Promise((resolve) => {
      const settle = (result: Result<Sent, BmcError>): void => {
        clearTimeout(timer);
        resolve(result);
      };
      const { host, port } = this.#address;
      const sending = httpRequest({ host, port, agent, method, path, headers }, (response) => {
        receive(response, what, settle);
      });
      const timer = setTimeout(() => {
        settle(
          err(bmcError("timeout", `${what}: no answer in ${this.#limits.requestTimeoutMs} ms`)),
        );
        sending.destroy();
      }, this.#limits.requestTimeoutMs);
      sending.on("error", (cause) => settle(err(errorOf(what, cause))));
      sending.end(text ?? undefined);
    });
  }

  /** Goes on until it ends or is closed by calling what comes back. */
  stream(path: string, lastId: string | null, handlers: StreamHandlers): () => void {
    const what = `${this.url}: GET ${path}`;
    let isOver = false;
    const end = (error: BmcError): void => {
      clearTimeout(timer);
      sending.destroy();
      if (!isOver) handlers.onEnd(error);
      isOver = true;
    };
    const late = (): void => end(bmcError("timeout", `${what}: the stream has become silent`));
    let timer = setTimeout(late, this.#limits.requestTimeoutMs);
    const headers: Record<string, string> = {
      ...this.#credentials(),
      Accept: "text/event-stream",
      "Cache-Control": "no-cache",
      ...(lastId === null ? {} : { "Last-Event-ID": lastId }),
    };
    const { host, port } = this.#address;
    const options = { host, port, agent: this.#single, path, headers };
    const sending: ClientRequest = httpRequest(options, (response) => {
      const status = response.statusCode ?? 0;
      const type = response.headers["content-type"] ?? "";
      if (status !== 200 || !type.startsWith("text/event-stream")) {
        response.resume();
        void this.#explain(path, status).then(end);
        return;
      }
      if (!isOver) handlers.onOpen();
      response.on("data", (chunk: Buffer) => {
        clearTimeout(timer);
        timer = setTimeout(late, STREAM_IDLE_MS);
        if (!isOver) handlers.onChunk(chunk);
      });
      response.on("error", (cause) => end(errorOf(what, cause)));
      response.on("end", () => end(bmcError("disconnected", `${what}: the stream ended`)));
    });
    sending.on("error", (cause) => end(errorOf(what, cause)));
    sending.end();
    return () => {
      isOver = true;
      clearTimeout(timer);
      sending.destroy();
    };
  }

  /** Why there is no stream; a session that is gone is opened again for the next try. */
  async #explain(path: string, status: number): Promise<BmcError> {
    if (status === 401) await this.logIn(this.#sessionsPath);
    if (status === 200) return bmcError("unsupported", `GET ${path}: not an event stream`);
    const reply = { status, body: null, location: null, etag: null };
    return statusError(getRequest(path), reply);
  }

  /** Logs out where there is a session, within a second. */
  async close(): Promise<void> {
    const path = this.#sessionPath;
    if (path !== null && this.#token !== null && !this.#isClosed) {
      const request: RedfishRequest = { method: "DELETE", path, body: null, etag: null };
      await Promise.race([this.#send(request, this.#credentials(), this.#single), pause(1_000)]);
    }
    this.#isClosed = true;
    this.#kept.destroy();
    this.#single.destroy();
  }

  async #enter(): Promise<void> {
    if (this.#underWay < PARALLEL_MAX) {
      this.#underWay++;
      return;
    }
    await new Promise<void>((resolve) => this.#queue.push(resolve));
  }

  /** The place goes to the one that has waited longest. */
  #leave(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#underWay--;
    else next();
  }
}
