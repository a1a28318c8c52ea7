/**
 * Signs with the process's Ed25519 key (RFC 8032), by node:crypto: synchronous and deterministic.
 */
import { createHash, type KeyObject, sign, X509Certificate } from "node:crypto";
import { encodeEnvelope, pae } from "../dsse.ts";
import type { Envelope, EnvelopeSignature, Principal, Signer } from "../identity.ts";

export function keyidOf(publicKey: KeyObject): string {
  return createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("hex");
}

/** `cert` is the DER of the certificate of `key`. */
export function openSigner(principal: Principal, key: KeyObject, cert: Uint8Array): Signer {
  const keyid = keyidOf(new X509Certificate(cert).publicKey);
  const cert64 = Buffer.from(cert).toString("base64");
  return {
    principal,
    sign: (payloadType: string, payload: Uint8Array): Envelope => {
      const sig = sign(null, pae(payloadType, payload), key).toString("base64");
      const signature: EnvelopeSignature = { keyid, sig, cert: cert64 };
      return encodeEnvelope(payloadType, payload, [signature]);
    },
  };
}
