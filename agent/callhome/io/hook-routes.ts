/**
 * What the agent answers about events.
 *
 *   POST /v1/hooks/event             fields as JSON, form, query or text → 202 {id, new}, once it is on disk
 *   POST /v1/hooks/redfish/:secret   what a Redfish service pushes, for the watch that made this address
 *   GET  /v1/events[?after=seq][&wait=no]   NDJSON of `BookLine`: what is kept, then live; `wait=no` ends where live would begin
 */
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { realCrypto } from "../../../bmc/ipmi/io/crypto.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import { ANYBODY, principalOf } from "../../net/io/access.ts";
import { ndjsonResponse } from "../../net/io/ndjson.ts";
import { type Problem, problemResponse } from "../../net/problem.ts";
import { hookEvent, RecentHooks, readHookFields } from "../hook-fields.ts";
import type { EventKeeper } from "./event-keeper.ts";
import { type HookAccess, isLocal, refusal } from "./hook-access.ts";
import { PUSH_PATH, type PushDoors } from "./push-doors.ts";

const HOOK_BYTES_MAX = 64 * 1024;
/** A service may send many events in one body. */
const PUSH_BYTES_MAX = 1024 * 1024;
const READ_AT_ONCE = 256;

export interface HookSource {
  readonly keeper: EventKeeper;
  readonly doors: PushDoors;
  readonly access: HookAccess;
  /** Whose events are those of this machine's own scripts. */
  readonly ownSystem: () => string;
  readonly nowMs: () => number;
  readonly onDefect: (detail: string) => void;
}

type Fields = Readonly<Record<string, unknown>>;

/** Whoever serves gives itself as the environment of a request. */
interface Server {
  requestIP?(request: Request): { readonly address: string } | null;
}

function callerOf(context: Context): string | null {
  const server = context.env as Server | undefined;
  return server?.requestIP?.(context.req.raw)?.address ?? null;
}

function tokenOf(context: Context): string | null {
  const header = context.req.header("authorization") ?? "";
  const bearer = /^Bearer\s+(\S+)$/i.exec(header)?.[1];
  return bearer ?? context.req.header("x-holdfast-token") ?? null;
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * By the content rather than by the content type: `curl -d` calls everything a form, and a BMC's `wget` says nothing.
 * The error is one line.
 */
function fieldsOf(body: string, type: string): Result<Fields, string> {
  const trimmed = body.trim();
  if (trimmed.startsWith("{") || type.includes("json")) {
    try {
      const value: unknown = JSON.parse(trimmed);
      return isObject(value) ? ok(value) : err("the body is JSON, but no object with fields");
    } catch {
      return err("the body is not JSON");
    }
  }
  const isForm = /^[\w.-]+=/.test(trimmed) && !type.startsWith("text/");
  if (isForm) return ok(Object.fromEntries(new URLSearchParams(trimmed)));
  return ok(trimmed === "" ? {} : { text: trimmed });
}

function badRequest(detail: string): Response {
  return problemResponse({ kind: "bad-request", detail });
}

class HookRoutes {
  readonly #source: HookSource;
  readonly #recent: RecentHooks = new RecentHooks();

  constructor(source: HookSource) {
    this.#source = source;
  }

  async event(context: Context): Promise<Response> {
    const { access, keeper } = this.#source;
    const from = callerOf(context);
    const isKnown = principalOf(context).cluster !== ANYBODY.cluster;
    const refused = isKnown ? null : refusal(access, from, tokenOf(context));
    if (refused !== null) return problemResponse(refused);
    const type = (context.req.header("content-type") ?? "").toLowerCase();
    const sent = fieldsOf(await context.req.text(), type);
    if (!sent.ok) return badRequest(sent.error);
    const fields = readHookFields({ ...context.req.query(), ...sent.value });
    if (!fields.ok) return badRequest(fields.error);
    const event = hookEvent(fields.value, {
      system: this.#systemOf(from),
      nowMs: this.#source.nowMs(),
      sha256: realCrypto.sha256,
      recent: this.#recent,
    });
    const taken = await keeper.take(event);
    if (!taken.ok) return problemResponse(notKept(taken.error.detail));
    return context.json({ id: taken.value.id, new: taken.value.isNew }, 202);
  }

  async push(context: Context): Promise<Response> {
    const handler = this.#source.doors.handlerOf(context.req.param("secret") ?? "");
    if (handler === null) {
      return problemResponse({ kind: "not-found", detail: "no watch stands behind this address" });
    }
    const status = handler(await context.req.text());
    // What the handler told is taken already; the sender hears of it once it is on disk.
    const failure = await this.#source.keeper.settled();
    if (failure !== null) return problemResponse(notKept(failure.detail));
    if (status === 204) return new Response(null, { status });
    if (status === 400) return badRequest("no events of Redfish are in the body");
    return problemResponse({ kind: "not-found", detail: "the watch of this address has ended" });
  }

  read(context: Context): Response {
    const { keeper } = this.#source;
    const waits = !/^(?:no|0|false)$/.test(context.req.query("wait") ?? "");
    const start = Number(context.req.query("after") ?? 0);
    if (!Number.isSafeInteger(start) || start < 0) return badRequest("after: must be a number");
    return ndjsonResponse(async (sink) => {
      let seq = start;
      while (!sink.signal.aborted) {
        const lines = keeper.after(seq, READ_AT_ONCE);
        for (const line of lines) sink.push(line);
        seq = lines.at(-1)?.seq ?? seq;
        await sink.ready();
        if (lines.length > 0) continue;
        if (!waits) return;
        await keeper.changed(sink.signal);
      }
    }, this.#source.onDefect);
  }

  #systemOf(from: string | null): string {
    const { access, ownSystem } = this.#source;
    return from === null || isLocal(from, access.address) ? ownSystem() : from;
  }
}

function notKept(detail: string): Problem {
  return { kind: "not-kept", detail: `the event cannot be kept: ${detail}` };
}

function limit(maxSize: number): ReturnType<typeof bodyLimit> {
  const detail = `a hook's body may have ${maxSize} bytes`;
  return bodyLimit({ maxSize, onError: () => problemResponse({ kind: "too-large", detail }) });
}

export function hookRoutes(source: HookSource): Hono {
  const routes = new HookRoutes(source);
  const app = new Hono();
  app.post("/v1/hooks/event", limit(HOOK_BYTES_MAX), (context) => routes.event(context));
  app.post(`${PUSH_PATH}/:secret`, limit(PUSH_BYTES_MAX), (context) => routes.push(context));
  app.get("/v1/events", (context) => routes.read(context));
  return app;
}
