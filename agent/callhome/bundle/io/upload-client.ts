/**
 * Sends one bundle to one target, from where an earlier try ended: offer, look, pieces, each with its checksum.
 *
 * What the other side refuses decides what is done next (`stepAfter`); what is not answered is tried again a few times and then left for
 * later. Nothing is remembered between tries: the target knows how far it is.
 */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { BUNDLES_PATH } from "../bundle.ts";
import {
  offerHeaders,
  PIECE_BYTES_MAX,
  PIECE_TYPE,
  type SenderStep,
  STATE_HEADER,
  stepAfter,
  TUS_VERSION,
  type UploadOffer,
} from "../upload.ts";

/** Where a bundle may go: a manager, the destination, a peer. */
export interface BundleTarget {
  readonly kind: "manager" | "destination" | "peer";
  readonly name: string;
  /** Without the path, such as `https://10.0.0.7:7410`. */
  readonly url: string;
  /** Knows certificates, tokens and the proxy. */
  readonly fetch: (url: string, init?: RequestInit) => Promise<Response>;
}

export type SendOutcome =
  /** There in whole; whoever has it passes it on. */
  | { readonly kind: "kept" }
  | { readonly kind: "delivered" }
  /** The target's trouble or the way's. */
  | { readonly kind: "later"; readonly detail: string }
  /** This target never takes it. */
  | { readonly kind: "refused"; readonly detail: string };

export interface SendOptions {
  readonly signal: AbortSignal;
  readonly pieceBytes?: number;
  readonly pieceTimeoutMs?: number;
}

const PIECE_TIMEOUT_MS = 60_000;
/** Failures one after the other without a byte more. */
const STALLS_MAX = 4;

interface Answer {
  readonly step: SenderStep | "ok";
  readonly offset: number;
  readonly state: string;
  readonly detail: string;
}

class Sending {
  readonly #file: FileHandle;
  readonly #offer: UploadOffer;
  readonly #target: BundleTarget;
  readonly #options: SendOptions;

  constructor(file: FileHandle, offer: UploadOffer, target: BundleTarget, options: SendOptions) {
    this.#file = file;
    this.#offer = offer;
    this.#target = target;
    this.#options = options;
  }

  async run(): Promise<SendOutcome> {
    let answer = await this.#ask("POST", BUNDLES_PATH, offerHeaders(this.#offer));
    let furthest = -1;
    let stallCount = 0;
    while (!this.#options.signal.aborted) {
      if (answer.step === "ok") {
        const outcome = whereItIs(answer.state);
        if (outcome !== null) return outcome;
      } else if (answer.step === "give-up") return { kind: "refused", detail: answer.detail };
      else if (answer.step === "later") return { kind: "later", detail: answer.detail };
      if (answer.offset > furthest) {
        furthest = answer.offset;
        stallCount = 0;
      } else if (++stallCount > STALLS_MAX) return { kind: "later", detail: answer.detail };
      answer = await this.#next(answer);
    }
    return { kind: "later", detail: `${this.#target.name}: stopped` };
  }

  #next(answer: Answer): Promise<Answer> {
    const at = `${BUNDLES_PATH}/${this.#offer.digest}`;
    switch (answer.step) {
      case "offer":
        return this.#ask("POST", BUNDLES_PATH, offerHeaders(this.#offer));
      case "look":
        return this.#ask("HEAD", at, { "tus-resumable": TUS_VERSION });
      default:
        return this.#sendPiece(at, answer.offset);
    }
  }

  async #sendPiece(at: string, offset: number): Promise<Answer> {
    const { pieceBytes = PIECE_BYTES_MAX } = this.#options;
    const piece = Buffer.alloc(Math.min(pieceBytes, Math.max(0, this.#offer.bytes - offset)));
    const { bytesRead } = await this.#file.read(piece, 0, piece.length, offset);
    if (bytesRead !== piece.length) {
      return { step: "give-up", offset, state: "", detail: "the bundle's file has become shorter" };
    }
    const checksum = createHash("sha256").update(piece).digest("base64");
    const headers = {
      "tus-resumable": TUS_VERSION,
      "content-type": PIECE_TYPE,
      "upload-offset": String(offset),
      "upload-checksum": `sha256 ${checksum}`,
    };
    const answer = await this.#ask("PATCH", at, headers, piece);
    return answer.step === "again" ? { ...answer, offset } : answer;
  }

  async #ask(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: Uint8Array<ArrayBuffer>,
  ): Promise<Answer> {
    const { signal, pieceTimeoutMs = PIECE_TIMEOUT_MS } = this.#options;
    const { name, url, fetch: send } = this.#target;
    try {
      const response = await send(`${url}${path}`, {
        method,
        headers: { ...headers },
        redirect: "manual",
        signal: AbortSignal.any([signal, AbortSignal.timeout(pieceTimeoutMs)]),
        ...(body === undefined ? {} : { body }),
      });
      return await readAnswer(response, name);
    } catch (cause) {
      const { code, name: kind } = (cause ?? {}) as { code?: unknown; name?: unknown };
      const isLate = kind === "TimeoutError";
      const why = isLate ? "does not answer in time" : `cannot be reached (${code ?? kind})`;
      return { step: "later", offset: 0, state: "", detail: `${name} ${why}` };
    }
  }
}

async function readAnswer(response: Response, name: string): Promise<Answer> {
  const offset = Number(response.headers.get("upload-offset") ?? 0);
  const state = response.headers.get(STATE_HEADER) ?? "";
  if (response.ok) {
    await response.body?.cancel();
    return { step: "ok", offset: Number.isSafeInteger(offset) ? offset : 0, state, detail: "" };
  }
  const text = (await response.text()).slice(0, 4_096);
  const { detail, upload } = problemOf(text);
  return {
    step: stepAfter(response.status, upload),
    offset: 0,
    state,
    detail: `${name} answered ${response.status}${detail === "" ? "" : `: ${detail}`}`,
  };
}

function problemOf(text: string): { readonly detail: string; readonly upload: string | null } {
  try {
    const { detail, upload } = JSON.parse(text) as { detail?: unknown; upload?: unknown };
    return {
      detail: typeof detail === "string" ? detail.slice(0, 500) : "",
      upload: typeof upload === "string" ? upload : null,
    };
  } catch {
    return { detail: "", upload: null };
  }
}

function whereItIs(state: string): SendOutcome | null {
  return state === "kept" || state === "delivered" ? { kind: state } : null;
}

export async function sendBundle(
  path: string,
  offer: UploadOffer,
  target: BundleTarget,
  options: SendOptions,
): Promise<SendOutcome> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (cause) {
    const code = (cause as { code?: string }).code ?? "unknown";
    return { kind: "refused", detail: `${path} cannot be read (${code})` };
  }
  try {
    return await new Sending(file, offer, target, options).run();
  } finally {
    await file.close();
  }
}

/** Where a bundle is that a target once kept; null: it does not know it, or does not answer. */
export async function askWhere(
  digest: string,
  target: BundleTarget,
  signal: AbortSignal,
): Promise<"partial" | "kept" | "delivered" | "unknown" | null> {
  try {
    const response = await target.fetch(`${target.url}${BUNDLES_PATH}/${digest}`, {
      method: "HEAD",
      headers: { "tus-resumable": TUS_VERSION },
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
    });
    if (response.status === 404) return "unknown";
    const state = response.headers.get(STATE_HEADER);
    return state === "partial" || state === "kept" || state === "delivered" ? state : null;
  } catch {
    return null;
  }
}
