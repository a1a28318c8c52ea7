/**
 * The door for people: the page and the reading part of the API, without client certificates.
 *
 * On a loopback address whoever is on the machine may read, and only requests that name the machine as their host are answered:
 * a web site that has its own name point here gets nothing. On any other address a token is needed, and TLS with the
 * server's certificate. Nothing can be changed here.
 */
import { Hono, type MiddlewareHandler } from "hono";
import { bodyMax, rateLimit } from "../../net/io/access.ts";
import { problemResponse } from "../../net/problem.ts";
import { ApiApp } from "./api-app.ts";
import { addDocuments } from "./documents.ts";
import { addListRoutes } from "./list-routes.ts";
import type { Manager } from "./manager.ts";
import { mayRead, openSession, SESSION_COOKIE } from "./page-access.ts";

export type PageAnswer = (request: Request) => Response;

export interface PeopleDoorParts {
  readonly manager: Manager;
  /** null: none was built. */
  readonly page: PageAnswer | null;
  /** null: loopback, no token is needed. */
  readonly secret: string | null;
  readonly isTls: boolean;
  readonly nowMs: () => number;
  readonly onDefect: (detail: string) => void;
}

const LOGIN_BYTES_MAX = 4_096;
const LOGIN_POLICY =
  "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const LOGIN_PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>holdfast</title></head><body><h1>holdfast</h1>
<p>Who is at the manager's machine gets a token by <code>holdfast manager token</code>.</p>
<form method="post" action="/login">
<label>Token <input name="token" type="password" autocomplete="off" size="60" required></label>
<button>Log in</button></form></body></html>`;

/** Names by which a browser on this machine reaches a loopback address. */
function isOwnName(host: string | undefined): boolean {
  const name = (host ?? "").replace(/:\d+$/, "").toLowerCase();
  return name === "localhost" || name === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(name);
}

const onlyOwnName: MiddlewareHandler = (context, next) => {
  const host = context.req.header("host");
  if (isOwnName(host)) return next();
  const detail = `asked as ${host ?? "nobody"}: this address is for this machine, use 127.0.0.1 or localhost`;
  return Promise.resolve(problemResponse({ kind: "forbidden", detail }));
};

function onlyReaders(secret: string, nowMs: () => number): MiddlewareHandler {
  return (context, next) => {
    if (mayRead(secret, context.req.raw.headers, nowMs())) return next();
    const detail = "log in at /login with a token: holdfast manager token makes one";
    return Promise.resolve(problemResponse({ kind: "unauthorized", detail }));
  };
}

function addLogin(app: Hono, secret: string, { nowMs, isTls }: PeopleDoorParts): void {
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": LOGIN_POLICY,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
  };
  app.get("/login", () => new Response(LOGIN_PAGE, { headers }));
  app.post(
    "/login",
    rateLimit({ perSecond: 1, burst: 10 }),
    bodyMax(LOGIN_BYTES_MAX),
    async (context) => {
      const form = new URLSearchParams(await context.req.text());
      const opened = openSession(secret, (form.get("token") ?? "").trim(), nowMs());
      if (opened === null) {
        const detail = "the token does not hold: holdfast manager token makes a new one";
        return problemResponse({ kind: "unauthorized", detail });
      }
      const cookie = [
        `${SESSION_COOKIE}=${opened.session}`,
        `Max-Age=${opened.seconds}`,
        "Path=/",
        "HttpOnly",
        "SameSite=Strict",
        ...(isTls ? ["Secure"] : []),
      ];
      return new Response(null, {
        status: 303,
        headers: { location: "/", "set-cookie": cookie.join("; ") },
      });
    },
  );
}

export function peopleDoor(parts: PeopleDoorParts): Hono {
  const { manager, page, secret, nowMs, onDefect } = parts;
  const app = new Hono();
  if (secret === null) app.use(onlyOwnName);
  // The page itself tells nothing: what it shows it asks for, with the token from its own address.
  app.get("/", (context) => page?.(context.req.raw) ?? context.redirect("/docs"));
  if (secret !== null) addLogin(app, secret, parts);
  const reading = secret === null ? [] : [onlyReaders(secret, nowMs)];
  const api = new ApiApp(({ rate }) => [rateLimit(rate), ...reading]);
  addListRoutes(api, manager);
  addDocuments(api, manager, reading);
  app.route("/", api.app);
  app.notFound((context) =>
    problemResponse({ kind: "not-found", detail: `no such path: ${context.req.path}` }),
  );
  app.onError((error) => {
    onDefect(error.stack ?? error.message);
    return problemResponse({ kind: "internal", detail: "see the manager's log" });
  });
  return app;
}
