/**
 * DSSE envelopes (secure-systems-lab/dsse v1.0.2): what is signed, and what an envelope must look like before it is.
 *
 *   PAE(type, body) = "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body       LEN in decimal ASCII digits, of bytes
 *
 * Neither signs nor verifies: `io/signer.ts` and `io/verifier.ts` do. Frozen: signatures outlive the process that made them.
 */
import { err, ok, type Result } from "../../core/result.ts";
import type { Envelope, EnvelopeSignature, VerifyError } from "./identity.ts";

/** Several: during a rotation an authority signs with the old key and the new one. */
export const SIGNATURES_MAX = 4;
export const SIGNATURE_BYTES = 64;
/** Of a certificate; ours have about 600. */
export const CERT_BYTES_MAX: number = 8 * 1024;
/** Of a payload: an event has about 1 KiB, a bundle of identity some more. */
export const PAYLOAD_BYTES_MAX: number = 512 * 1024;

const utf8 = new TextEncoder();

/** O(payload). */
export function pae(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = utf8.encode(payloadType);
  const head = utf8.encode(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `);
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  return bytes;
}

export function encodeEnvelope(
  payloadType: string,
  payload: Uint8Array,
  signatures: readonly EnvelopeSignature[],
): Envelope {
  return { payloadType, payload: payload.toBase64(), signatures };
}

export interface OpenSignature {
  readonly keyid: string;
  readonly sig: Uint8Array<ArrayBuffer>;
  /** DER. */
  readonly cert: Uint8Array<ArrayBuffer>;
}

/** The bytes of an envelope; nothing of it is believed yet. */
export interface OpenEnvelope {
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly signatures: readonly OpenSignature[];
}

function malformed(detail: string): { readonly ok: false; readonly error: VerifyError } {
  return err({ kind: "malformed", detail });
}

/** null: too long, or not base64 with all its bits. Both alphabets are taken, as the specification asks of who verifies. */
function fromBase64(text: unknown, bytesMax: number): Uint8Array<ArrayBuffer> | null {
  if (typeof text !== "string" || text.length > Math.ceil(bytesMax / 3) * 4) return null;
  try {
    const alphabet = /[-_]/.test(text) ? "base64url" : "base64";
    const bytes = Uint8Array.fromBase64(text, { alphabet, lastChunkHandling: "strict" });
    return bytes.length <= bytesMax ? bytes : null;
  } catch {
    return null;
  }
}

function openSignature(signature: EnvelopeSignature): OpenSignature | null {
  const { keyid } = signature;
  const sig = fromBase64(signature.sig, SIGNATURE_BYTES);
  const cert = fromBase64(signature.cert, CERT_BYTES_MAX);
  if (sig?.length !== SIGNATURE_BYTES || cert === null || cert.length === 0) return null;
  return typeof keyid === "string" && /^[0-9a-f]{64}$/.test(keyid) ? { keyid, sig, cert } : null;
}

/** Takes whatever claims to be an envelope: it may come from outside and have passed no schema. */
export function openEnvelope(
  envelope: Envelope,
  payloadType: string,
): Result<OpenEnvelope, VerifyError> {
  if (typeof envelope !== "object" || envelope === null) return malformed("not an envelope");
  if (envelope.payloadType !== payloadType) {
    const got = String(envelope.payloadType).slice(0, 100);
    return err({ kind: "wrong-type", detail: `signed as ${got}, expected ${payloadType}` });
  }
  const payload = fromBase64(envelope.payload, PAYLOAD_BYTES_MAX);
  if (payload === null) return malformed("its payload is too long or not base64");
  if (!Array.isArray(envelope.signatures)) return malformed("it has no signatures");
  const given = envelope.signatures as readonly EnvelopeSignature[];
  if (given.length === 0 || given.length > SIGNATURES_MAX) {
    return malformed(`it has ${given.length} signatures, expected 1 to ${SIGNATURES_MAX}`);
  }
  const signatures: OpenSignature[] = [];
  for (const signature of given) {
    const opened =
      typeof signature === "object" && signature !== null ? openSignature(signature) : null;
    if (opened === null) return malformed("a signature of it is not keyid, 64 bytes and a cert");
    signatures.push(opened);
  }
  return ok({ payload, signatures });
}
