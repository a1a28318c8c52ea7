/**
 * What people ask of a node's service data.
 *
 *   GET  PATH                list                 GET  PATH/:id           record and manifest
 *   POST PATH                {event}: begins      GET  PATH/:id/content   the bundle itself, to be looked at before it leaves
 *   POST PATH/:id/approve    lets it leave        POST PATH/:id/discard   it never leaves
 */
import { type Context, Hono } from "hono";
import type { BmcEvent } from "../../../../bmc/bmc.ts";
import type { Result } from "../../../../core/result.ts";
import { problemResponse } from "../../../net/problem.ts";
import { BUNDLE_TYPE, bundleIdSchema, SERVICE_DATA_PATH } from "../bundle.ts";
import type { ReviewError, ServiceData } from "./open-service-data.ts";

type Shown = ServiceData & { pathOf(id: string): string | null };

function answer<T>(result: Result<T, ReviewError>): Response {
  if (result.ok) return Response.json(result.value);
  const { kind, detail } = result.error;
  return problemResponse({ kind: kind === "unknown" ? "not-found" : "refused", detail });
}

function idOf(context: Context): string {
  const id = bundleIdSchema.safeParse(context.req.param("id"));
  return id.success ? id.data : "";
}

function content(service: Shown, id: string): Response {
  const path = service.pathOf(id);
  const file = path === null ? null : Bun.file(path);
  if (file === null || file.size === 0) {
    return problemResponse({ kind: "not-found", detail: `the bundle ${id} is not here any more` });
  }
  const disposition = `attachment; filename="${id}.tar.zst"`;
  return new Response(file, {
    headers: { "content-type": BUNDLE_TYPE, "content-disposition": disposition },
  });
}

async function collect(
  service: Shown,
  findEvent: (id: string) => BmcEvent | null,
  context: Context,
): Promise<Response> {
  const sent: unknown = await context.req.json().catch(() => null);
  const id = typeof sent === "object" && sent !== null && "event" in sent ? sent.event : null;
  if (typeof id !== "string" || !/^[0-9a-f]{4,64}$/.test(id)) {
    const detail = "event: must be the id of an event, 64 hex digits or how it begins";
    return problemResponse({ kind: "bad-request", detail });
  }
  const event = findEvent(id);
  if (event === null) {
    return problemResponse({ kind: "not-found", detail: `no event ${id} is known here` });
  }
  // A slow BMC takes its minute: who asks looks for it in the list.
  void service.collect(event);
  return Response.json({ event: event.id }, { status: 202 });
}

export function serviceDataRoutes(
  service: Shown,
  findEvent: (id: string) => BmcEvent | null,
): Hono {
  const app = new Hono();
  const one = `${SERVICE_DATA_PATH}/:id`;
  app.get(SERVICE_DATA_PATH, () => Response.json({ bundles: service.list() }));
  app.post(SERVICE_DATA_PATH, (context) => collect(service, findEvent, context));
  app.get(one, async (context) => answer(await service.show(idOf(context))));
  app.get(`${one}/content`, (context) => content(service, idOf(context)));
  app.post(`${one}/approve`, async (context) => answer(await service.approve(idOf(context))));
  app.post(`${one}/discard`, async (context) => answer(await service.discard(idOf(context))));
  return app;
}
