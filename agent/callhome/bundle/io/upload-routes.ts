/**
 * The routes of resumable uploads (`../upload.ts`), the same on a destination, a manager and an agent.
 *
 * Who may ask is for whoever mounts them. Bodies are read no further than a piece may have, whatever their length says.
 */
import { type Context, Hono } from "hono";
import type { Result } from "../../../../core/result.ts";
import { err, ok } from "../../../../core/result.ts";
import { PROBLEM_TYPE, problemDetails } from "../../../net/problem.ts";
import { BUNDLE_TYPE, BUNDLES_PATH } from "../bundle.ts";
import {
  PIECE_BYTES_MAX,
  readOffer,
  readPiece,
  STATE_HEADER,
  TUS_EXTENSIONS,
  TUS_VERSION,
  UPLOAD_REFUSALS,
  type UploadRefusal,
  uploadRefusal,
  whyNotVersion,
} from "../upload.ts";
import type { Upload, UploadStore } from "./upload-store.ts";

const LIST_MAX = 1_000;

function refusalResponse({ kind, detail }: UploadRefusal): Response {
  const row = UPLOAD_REFUSALS[kind];
  const body = { ...problemDetails({ kind: row.kind, detail }), status: row.status, upload: kind };
  const headers: Record<string, string> = {
    "content-type": PROBLEM_TYPE,
    "tus-resumable": TUS_VERSION,
    ...(kind === "wrong-version" ? { "tus-version": TUS_VERSION } : {}),
  };
  return new Response(JSON.stringify(body), { status: row.status, headers });
}

async function readBody(request: Request): Promise<Result<Uint8Array, UploadRefusal>> {
  const tooLarge = err(
    uploadRefusal("too-large", `a piece may have ${PIECE_BYTES_MAX} bytes: send it in pieces`),
  );
  const told = Number(request.headers.get("content-length") ?? 0);
  if (told > PIECE_BYTES_MAX) return tooLarge;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > PIECE_BYTES_MAX) return tooLarge;
    chunks.push(chunk);
  }
  return ok(Buffer.concat(chunks));
}

class UploadRoutes {
  readonly #store: UploadStore;

  constructor(store: UploadStore) {
    this.#store = store;
  }

  options(): Response {
    return new Response(null, {
      status: 204,
      headers: {
        "tus-resumable": TUS_VERSION,
        "tus-version": TUS_VERSION,
        "tus-extension": TUS_EXTENSIONS,
        "tus-max-size": String(this.#store.uploadBytesMax),
        "tus-checksum-algorithm": "sha256,sha1",
      },
    });
  }

  async offer(context: Context): Promise<Response> {
    const header = headerOf(context);
    const version = whyNotVersion(header);
    if (version !== null) return refusalResponse(version);
    const offer = readOffer(header, this.#store.uploadBytesMax);
    if (!offer.ok) return refusalResponse(offer.error);
    const upload = await this.#store.offer(offer.value);
    if (!upload.ok) return refusalResponse(upload.error);
    const location = `${BUNDLES_PATH}/${upload.value.digest}`;
    return new Response(null, {
      status: 201,
      headers: { ...this.#headersOf(upload.value), location },
    });
  }

  look(context: Context): Response {
    const upload = this.#store.of(idOf(context));
    // A HEAD has no body: what is wrong is in the status.
    if (upload === null) return new Response(null, { status: 404, headers: plainHeaders() });
    return new Response(null, { status: 200, headers: this.#headersOf(upload) });
  }

  async piece(context: Context): Promise<Response> {
    const header = headerOf(context);
    const version = whyNotVersion(header);
    if (version !== null) return refusalResponse(version);
    const claim = readPiece(header);
    if (!claim.ok) return refusalResponse(claim.error);
    const piece = await readBody(context.req.raw);
    if (!piece.ok) return refusalResponse(piece.error);
    const upload = await this.#store.put(idOf(context), claim.value, piece.value);
    if (!upload.ok) return refusalResponse(upload.error);
    return new Response(null, { status: 204, headers: this.#headersOf(upload.value) });
  }

  async drop(context: Context): Promise<Response> {
    const refusal = await this.#store.drop(idOf(context));
    if (refusal !== null) return refusalResponse(refusal);
    return new Response(null, { status: 204, headers: plainHeaders() });
  }

  list(context: Context): Response {
    const event = context.req.query("event");
    const bundles = this.#store
      .whole()
      .filter((upload) => event === undefined || upload.event === event)
      .slice(-LIST_MAX);
    return Response.json({ bundles });
  }

  content(context: Context): Response {
    const digest = idOf(context);
    const upload = this.#store.of(digest);
    const file = Bun.file(this.#store.pathOf(digest));
    if (upload === null || upload.state === "partial" || file.size === 0) {
      return refusalResponse(uploadRefusal("unknown", "no whole bundle of that name is here"));
    }
    const name = `${upload.event.slice(0, 16)}-${digest.slice(0, 8)}.tar.zst`;
    return new Response(file, {
      headers: {
        "content-type": BUNDLE_TYPE,
        "content-disposition": `attachment; filename="${name}"`,
      },
    });
  }

  #headersOf(upload: Upload): Record<string, string> {
    const expires = new Date(upload.begunMs + this.#store.expiresMs).toUTCString();
    return {
      ...plainHeaders(),
      "upload-offset": String(upload.offset),
      "upload-length": String(upload.bytes),
      [STATE_HEADER]: upload.state,
      ...(upload.state === "partial" ? { "upload-expires": expires } : {}),
    };
  }
}

function plainHeaders(): Record<string, string> {
  return { "tus-resumable": TUS_VERSION, "cache-control": "no-store" };
}

function headerOf(context: Context): (name: string) => string | null {
  return (name) => context.req.header(name) ?? null;
}

/** A name that is no digest is that of no upload. */
function idOf(context: Context): string {
  const id = context.req.param("id") ?? "";
  return /^[0-9a-f]{64}$/.test(id) ? id : "";
}

export function uploadRoutes(store: UploadStore): Hono {
  const routes = new UploadRoutes(store);
  const app = new Hono();
  app.options(BUNDLES_PATH, () => routes.options());
  app.post(BUNDLES_PATH, (context) => routes.offer(context));
  app.get(BUNDLES_PATH, (context) => routes.list(context));
  // Hono answers HEAD by the route of GET: told apart here.
  app.get(`${BUNDLES_PATH}/:id`, (context) =>
    context.req.method === "HEAD" ? routes.look(context) : routes.content(context),
  );
  app.patch(`${BUNDLES_PATH}/:id`, (context) => routes.piece(context));
  app.delete(`${BUNDLES_PATH}/:id`, (context) => routes.drop(context));
  return app;
}
