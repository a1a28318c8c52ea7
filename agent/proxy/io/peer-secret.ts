/**
 * How two proxies of a job show each other that they know its key, and the keys of an encrypted connection between them.
 *
 *   dialler  → acceptor   hello with a nonce
 *   acceptor → dialler    hello with a nonce, and HMAC-SHA256(key, "accepts" and all that both have said)
 *   dialler  → acceptor   HMAC-SHA256(key, "dials" and all that both have said)
 *
 * Each side's nonce is in the other's proof, so neither can be a recording; the words differ, so neither can be sent back. Keys of
 * an encrypted connection are HKDF-SHA256 of the job's key with both nonces as salt, one for each direction.
 * `node:crypto` takes long to load, and a proxy starts in the middle of a recovery: here Bun's own hashes do.
 */
const KEY_BYTES = 32;
export const NONCE_BYTES = 16;
export const PROOF_BYTES = 32;

export interface Transcript {
  readonly job: string;
  readonly epoch: number;
  readonly dialler: string;
  readonly acceptor: string;
  /** Hexadecimal. */
  readonly diallerNonce: string;
  readonly acceptorNonce: string;
  readonly isEncrypted: boolean;
}

export interface MeshSecret {
  readonly key: Uint8Array;
  readonly isEncrypted: boolean;
}

interface Side {
  readonly node: string;
  readonly nonce: string | undefined;
}

/** null: one of them has said too little. */
export function transcriptOf(
  plan: Pick<Transcript, "job" | "epoch" | "isEncrypted">,
  dialler: Side,
  acceptor: Side,
): Transcript | null {
  if (!isNonce(dialler.nonce) || !isNonce(acceptor.nonce)) return null;
  return {
    ...plan,
    ...{ dialler: dialler.node, acceptor: acceptor.node },
    ...{ diallerNonce: dialler.nonce, acceptorNonce: acceptor.nonce },
  };
}

export function newNonce(): string {
  return crypto.getRandomValues(new Uint8Array(NONCE_BYTES)).toHex();
}

function isNonce(text: unknown): text is string {
  return typeof text === "string" && /^[0-9a-f]{32}$/.test(text);
}

function hmac(key: Uint8Array, ...parts: readonly (Uint8Array | string)[]): Uint8Array {
  const hasher = new Bun.CryptoHasher("sha256", key);
  for (const part of parts) hasher.update(part);
  return new Uint8Array(hasher.digest());
}

/** One line for each field: no field can hold a line's end, so no two transcripts read the same. */
function linesOf(transcript: Transcript): string {
  const { job, epoch, dialler, acceptor, diallerNonce, acceptorNonce, isEncrypted } = transcript;
  const fields = [job, epoch, dialler, acceptor, diallerNonce, acceptorNonce, isEncrypted];
  return fields.map((field) => JSON.stringify(field)).join("\n");
}

export function proofOf(
  key: Uint8Array,
  side: "accepts" | "dials",
  transcript: Transcript,
): Uint8Array {
  return hmac(key, `holdfast proxy 1 ${side}\n`, linesOf(transcript));
}

/** Takes as long wherever they differ. */
export function isSameProof(given: Uint8Array, wanted: Uint8Array): boolean {
  if (given.byteLength !== wanted.byteLength) return false;
  let difference = 0;
  for (let at = 0; at < wanted.byteLength; at++) {
    difference |= (given[at] as number) ^ (wanted[at] as number);
  }
  return difference === 0;
}

export interface ConnectionKeys {
  readonly fromDialler: Uint8Array;
  readonly fromAcceptor: Uint8Array;
}

/** RFC 5869, one block of output each. */
export function connectionKeys(key: Uint8Array, transcript: Transcript): ConnectionKeys {
  const { diallerNonce, acceptorNonce } = transcript;
  const salt = Uint8Array.fromHex(diallerNonce + acceptorNonce);
  const extracted = hmac(salt, key);
  const expand = (info: string): Uint8Array =>
    hmac(extracted, info, linesOf(transcript), new Uint8Array([1]));
  return {
    fromDialler: expand("holdfast proxy 1 from dialler\n"),
    fromAcceptor: expand("holdfast proxy 1 from acceptor\n"),
  };
}

/** null: not a job's key. */
export function keyOf(hex: string): Uint8Array | null {
  return /^[0-9a-f]{64}$/.test(hex) ? Uint8Array.fromHex(hex).subarray(0, KEY_BYTES) : null;
}
