/**
 * Signs the bundle that says whom to believe, with the authorities' own keys, and checks one that came.
 *
 * The envelope is the same as everywhere (DSSE); its signatures are ECDSA P-256 over SHA-256, 64 bytes as IEEE P1363 has them,
 * one of each authority that a receiver may know: in a rotation the old one vouches for the new one.
 */
import {
  createHash,
  createPrivateKey,
  sign,
  timingSafeEqual,
  verify,
  X509Certificate,
} from "node:crypto";
import { z } from "zod";
import { err, ok, type Result } from "../../../core/result.ts";
import { encodeEnvelope, openEnvelope, pae } from "../dsse.ts";
import type { ClusterKey, Envelope } from "../identity.ts";
import {
  BUNDLE_TYPE,
  type Bundle,
  type BundleStatement,
  bundleStatementSchema,
  CLUSTER_KEY_BYTES,
  CLUSTER_KEYS_MAX,
  type SecretKey,
  type Trust,
} from "../trust.ts";
import { parseCertificate } from "./certificates.ts";
import { keyidOf } from "./signer.ts";
import type { AuthorityPair } from "./x509.ts";

/** The envelope's own form is checked when it is opened. */
const bundleSchema: z.ZodType<Bundle> = z.object({
  envelope: z.object({
    payloadType: z.string(),
    payload: z.string(),
    signatures: z.array(z.object({ keyid: z.string(), sig: z.string(), cert: z.string() })),
  }),
  clusterKeys: z
    .array(z.object({ generation: z.number().int().min(1), key: z.string().max(64) }))
    .max(CLUSTER_KEYS_MAX),
});

export function signBundle(
  statement: BundleStatement,
  signers: readonly AuthorityPair[],
  clusterKeys: readonly SecretKey[],
): Bundle {
  const payload = new TextEncoder().encode(JSON.stringify(statement));
  const signed = pae(BUNDLE_TYPE, payload);
  const signatures = signers.map(({ key, cert }) => {
    const x509 = new X509Certificate(cert);
    const dsaEncoding = "ieee-p1363";
    const sig = sign("sha256", signed, { key: createPrivateKey(key), dsaEncoding });
    return {
      keyid: keyidOf(x509.publicKey),
      sig: sig.toString("base64"),
      cert: x509.raw.toString("base64"),
    };
  });
  return { envelope: encodeEnvelope(BUNDLE_TYPE, payload, signatures), clusterKeys };
}

function isSignedBy(envelope: Envelope, authority: X509Certificate): boolean {
  const opened = openEnvelope(envelope, BUNDLE_TYPE);
  if (!opened.ok) return false;
  const signed = pae(BUNDLE_TYPE, opened.value.payload);
  const keyid = keyidOf(authority.publicKey);
  const key = { key: authority.publicKey, dsaEncoding: "ieee-p1363" } as const;
  return opened.value.signatures.some(
    (one) => one.keyid === keyid && verify("sha256", signed, key, one.sig),
  );
}

function readStatement(envelope: Envelope): Result<BundleStatement, string> {
  const opened = openEnvelope(envelope, BUNDLE_TYPE);
  if (!opened.ok) return err(opened.error.detail);
  let statement: unknown;
  try {
    statement = JSON.parse(new TextDecoder().decode(opened.value.payload));
  } catch {
    return err("its statement is not JSON");
  }
  const parsed = bundleStatementSchema.safeParse(statement);
  return parsed.success ? ok(parsed.data) : err("its statement has not the form of a bundle");
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Keys that the statement names, newest first; others are dropped. */
function provenKeys(statement: BundleStatement, keys: readonly SecretKey[]): readonly SecretKey[] {
  return statement.clusterKeys.flatMap(({ generation, sha256 }) =>
    keys.filter((one) => {
      const bytes = Buffer.from(one.key, "base64");
      if (one.generation !== generation || bytes.length !== CLUSTER_KEY_BYTES) return false;
      return timingSafeEqual(Buffer.from(sha256Hex(bytes)), Buffer.from(sha256));
    }),
  );
}

/**
 * `trusted`: authorities that one believes already, one of which must have signed. null: what lies in one's own folder, which
 * must be signed by the first authority it names, so that damage is seen.
 */
export function readBundle(
  bundle: unknown,
  trusted: readonly X509Certificate[] | null,
): Result<Trust, string> {
  const parsed = bundleSchema.safeParse(bundle);
  if (!parsed.success) return err("it has not the form of a bundle");
  const { envelope, clusterKeys } = parsed.data;
  const statement = readStatement(envelope);
  if (!statement.ok) return statement;
  const authorities: X509Certificate[] = [];
  for (const pem of statement.value.authorities) {
    const authority = parseCertificate(pem);
    if (!authority.ok || !authority.value.ca) return err("it names what is no authority");
    authorities.push(authority.value);
  }
  const vouching = trusted ?? authorities;
  if (!vouching.some((authority) => isSignedBy(envelope, authority))) {
    return err("no authority that is believed has signed it");
  }
  const keys = provenKeys(statement.value, clusterKeys);
  return ok({
    statement: statement.value,
    bundle: { envelope, clusterKeys: keys },
    revoked: new Map(statement.value.revoked.map((one) => [one.serial, one])),
  });
}

export function authoritiesOf(trust: Trust): readonly X509Certificate[] {
  return trust.statement.authorities.map((pem) => new X509Certificate(pem));
}

export function clusterKeysOf(trust: Trust): readonly ClusterKey[] {
  return trust.bundle.clusterKeys.map(({ generation, key }) => ({
    generation,
    key: new Uint8Array(Buffer.from(key, "base64")),
  }));
}
