/**
 * How a bundle travels: resumable uploads in the manner of tus 1.0 (tus.io/protocols/resumable-upload), with a digest.
 *
 *   OPTIONS PATH        what is taken: version, extensions, largest size, checksums
 *   POST    PATH        Upload-Length, Upload-Metadata: event, node, cluster, digest (each base64) → 201 Location, Upload-Offset
 *   HEAD    PATH/ID     Upload-Offset, Upload-Length, Holdfast-Bundle-State: partial, kept, delivered
 *   PATCH   PATH/ID     Upload-Offset, Upload-Checksum: sha256 BASE64, application/offset+octet-stream → 204 Upload-Offset
 *   GET     PATH        the bundles that are whole, as JSON       GET PATH/ID   the bundle
 *   DELETE  PATH/ID     gives up an upload that is not whole
 *
 * ID is the SHA-256 of the whole, which the sender says first: the same bundle by two paths is one upload, and one that was interrupted is
 * found again without remembering where it was. A piece is on disk before it is answered; the whole counts only when its digest is
 * right and it can be read as a bundle. Extensions: creation, checksum, expiration, termination. What is refused is a problem of
 * the table (RFC 9457) with a member `upload` that says which of these it is.
 */
import { z } from "zod";
import { err, ok, type Result } from "../../../core/result.ts";

export const TUS_VERSION = "1.0.0";
export const TUS_EXTENSIONS = "creation,checksum,expiration,termination";
export const PIECE_TYPE = "application/offset+octet-stream";
export const STATE_HEADER = "holdfast-bundle-state";

/** The body limit of an agent's routes; a piece is held in memory until its checksum is right. */
export const PIECE_BYTES_MAX: number = 1024 * 1024;
/** Compressed. The plan's 50 MiB before compression stay below it. */
export const UPLOAD_BYTES_MAX: number = 64 * 1024 * 1024;
/** An upload that is not whole by then is removed. */
export const UPLOAD_EXPIRES_MS: number = 24 * 3_600_000;

export interface UploadOffer {
  /** SHA-256 of the whole, 64 hex digits. */
  readonly digest: string;
  readonly bytes: number;
  /** Id of the event that it belongs to. */
  readonly event: string;
  readonly cluster: string;
  readonly node: string;
}

export const UPLOAD_REFUSALS = {
  "wrong-version": { status: 412, kind: "bad-request" },
  malformed: { status: 400, kind: "bad-request" },
  "bad-algorithm": { status: 400, kind: "bad-request" },
  "too-large": { status: 413, kind: "too-large" },
  "wrong-type": { status: 415, kind: "bad-request" },
  unknown: { status: 404, kind: "not-found" },
  "offset-mismatch": { status: 409, kind: "refused" },
  "other-offer": { status: 409, kind: "refused" },
  busy: { status: 423, kind: "refused" },
  "bad-checksum": { status: 460, kind: "bad-request" },
  "bad-digest": { status: 460, kind: "bad-request" },
  "bad-bundle": { status: 422, kind: "bad-request" },
  "no-room": { status: 507, kind: "not-kept" },
} as const;

export type UploadRefusalKind = keyof typeof UPLOAD_REFUSALS;

export interface UploadRefusal {
  readonly kind: UploadRefusalKind;
  /** One line. */
  readonly detail: string;
}

export type HeaderOf = (name: string) => string | null;

export function uploadRefusal(kind: UploadRefusalKind, detail: string): UploadRefusal {
  return { kind, detail };
}

function refuse(kind: UploadRefusalKind, detail: string): Result<never, UploadRefusal> {
  return err({ kind, detail });
}

/** tus wants every request to say the version, and one that is not known to be refused before anything is done. */
export function whyNotVersion(header: HeaderOf): UploadRefusal | null {
  const version = header("tus-resumable");
  if (version === TUS_VERSION) return null;
  return uploadRefusal("wrong-version", `Tus-Resumable must be ${TUS_VERSION}`);
}

const METADATA_MAX = 4_096;

const offerSchema = z.object({
  digest: z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hex digits"),
  event: z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hex digits"),
  cluster: z.string().min(1).max(256),
  node: z.string().min(1).max(256),
});

function decoded(base64: string): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.fromBase64(base64));
  } catch {
    return null;
  }
}

/** `event Zm9v,node YmFy`: keys once each, values base64 of UTF-8. */
function metadataOf(text: string): Readonly<Record<string, string>> | null {
  if (text.length > METADATA_MAX) return null;
  const metadata: Record<string, string> = {};
  for (const pair of text.split(",")) {
    const [key = "", value = "", ...more] = pair.trim().split(" ");
    const plain = decoded(value);
    if (key === "" || more.length > 0 || plain === null || Object.hasOwn(metadata, key))
      return null;
    metadata[key] = plain;
  }
  return metadata;
}

function encoded(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

/** For whoever sends. */
export function offerHeaders(offer: UploadOffer): Readonly<Record<string, string>> {
  const { digest, event, cluster, node } = offer;
  const pairs = Object.entries({ digest, event, cluster, node });
  return {
    "tus-resumable": TUS_VERSION,
    "upload-length": String(offer.bytes),
    "upload-metadata": pairs.map(([key, value]) => `${key} ${encoded(value)}`).join(","),
  };
}

function countOf(text: string | null): number | null {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

export function readOffer(header: HeaderOf, bytesMax: number): Result<UploadOffer, UploadRefusal> {
  const bytes = countOf(header("upload-length"));
  if (bytes === null || bytes === 0) {
    return refuse("malformed", "Upload-Length must be how many bytes the whole has");
  }
  if (bytes > bytesMax) {
    return refuse("too-large", `a bundle may have ${bytesMax} bytes, this one has ${bytes}`);
  }
  const metadata = metadataOf(header("upload-metadata") ?? "");
  if (metadata === null) {
    return refuse("malformed", "Upload-Metadata must be names and base64, by commas");
  }
  const offer = offerSchema.safeParse(metadata);
  if (offer.success) return ok({ ...offer.data, bytes });
  const issue = offer.error.issues[0];
  return refuse("malformed", `Upload-Metadata: ${issue?.path.join(".")}: ${issue?.message}`);
}

export interface PieceClaim {
  readonly offset: number;
  /** null: the sender gives none; the whole has its digest. */
  readonly checksum: { readonly algorithm: "sha256" | "sha1"; readonly base64: string } | null;
}

export function readPiece(header: HeaderOf): Result<PieceClaim, UploadRefusal> {
  if ((header("content-type") ?? "").split(";")[0]?.trim() !== PIECE_TYPE) {
    return refuse("wrong-type", `Content-Type must be ${PIECE_TYPE}`);
  }
  const offset = countOf(header("upload-offset"));
  if (offset === null) return refuse("malformed", "Upload-Offset must be a number");
  const text = header("upload-checksum");
  if (text === null) return ok({ offset, checksum: null });
  const [algorithm, base64, ...more] = text.split(" ");
  if (algorithm !== "sha256" && algorithm !== "sha1") {
    return refuse("bad-algorithm", "Upload-Checksum must be sha256 or sha1 and base64");
  }
  if (base64 === undefined || more.length > 0) {
    return refuse("malformed", "Upload-Checksum must be sha256 or sha1 and base64");
  }
  return ok({ offset, checksum: { algorithm, base64 } });
}

/** Whether a piece fits where the upload stands. */
export function whyNotPiece(
  claim: PieceClaim,
  pieceBytes: number,
  at: { readonly offset: number; readonly bytes: number },
): UploadRefusal | null {
  if (claim.offset !== at.offset) {
    const detail = `the upload stands at ${at.offset}, the piece begins at ${claim.offset}`;
    return uploadRefusal("offset-mismatch", detail);
  }
  if (at.offset + pieceBytes > at.bytes) {
    const detail = `the piece goes ${at.offset + pieceBytes - at.bytes} bytes beyond the end`;
    return uploadRefusal("too-large", detail);
  }
  return null;
}

/** What a sender does after an answer that is no success. */
export type SenderStep =
  /** Asks where it stands and goes on from there. */
  | "look"
  /** Sends the same piece again. */
  | "again"
  /** Offers it anew. */
  | "offer"
  /** Tries this target later, others now. */
  | "later"
  /** Never to this target. */
  | "give-up";

export function stepAfter(status: number, upload: string | null): SenderStep {
  switch (upload) {
    case "offset-mismatch":
    case "busy":
      return "look";
    case "bad-checksum":
      return "again";
    case "bad-digest":
    case "unknown":
      return "offer";
    case "no-room":
      return "later";
    case null:
      break;
    default:
      return "give-up";
  }
  if (status === 404 || status === 410) return "offer";
  // Rights may come with the next certificate; a server in trouble comes back.
  return status >= 500 || [401, 403, 408, 423, 429].includes(status) ? "later" : "give-up";
}
