/**
 * What describes the manager: `/openapi.json`, the readable `/docs`, and `/metrics`.
 */
import type { MiddlewareHandler } from "hono";
import { rateLimit } from "../../net/io/access.ts";
import type { ApiApp } from "./api-app.ts";
import { DOCS_POLICY, docsPage, type OpenApiDocument } from "./docs-page.ts";
import type { Manager } from "./manager.ts";

const ABOUT = [
  "The management server of a holdfast cluster.",
  "Times are milliseconds since 1970. Lists come in pages: give `next` back as `cursor`.",
  "What goes wrong is answered as RFC 9457 problem details.",
].join(" ");

export function openApiDocument({ app }: ApiApp, version: string): OpenApiDocument {
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "holdfast manager", version, description: ABOUT },
  }) as unknown as OpenApiDocument;
}

/** After every other route was added. `before` stands before each of these. */
export function addDocuments(
  api: ApiApp,
  manager: Manager,
  before: readonly MiddlewareHandler[],
): void {
  const document = openApiDocument(api, manager.settings.version);
  const text = JSON.stringify(document, null, 2);
  const html = docsPage(document);
  const limit = rateLimit({ perSecond: 10, burst: 50 });
  api.app.get(
    "/openapi.json",
    limit,
    ...before,
    () => new Response(text, { headers: { "content-type": "application/json" } }),
  );
  api.app.get(
    "/docs",
    limit,
    ...before,
    () =>
      new Response(html, {
        headers: {
          "content-type": "text/html; charset=utf-8",
          "content-security-policy": DOCS_POLICY,
          "x-content-type-options": "nosniff",
          "referrer-policy": "no-referrer",
        },
      }),
  );
  api.app.get(
    "/metrics",
    limit,
    ...before,
    async () =>
      new Response(await manager.metricsText(), {
        headers: { "content-type": manager.metrics.contentType },
      }),
  );
}
