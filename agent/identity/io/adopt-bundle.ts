/**
 * Takes a bundle that came, by whatever path, into an identity's folder: if an authority that is believed signed it, and it is
 * newer, or brings cluster keys that were missing.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { SecretKey, Trust } from "../trust.ts";
import { authoritiesOf, readBundle } from "./bundle.ts";
import { writeTrust } from "./identity-folder.ts";

/** Keys in the bundle's order, of both; who passed the bundle on may not have had them. */
function mergeKeys(incoming: Trust, known: Trust): readonly SecretKey[] {
  const keys = [...incoming.bundle.clusterKeys, ...known.bundle.clusterKeys];
  const merged = readBundle(
    { envelope: incoming.bundle.envelope, clusterKeys: uniqueKeys(keys) },
    null,
  );
  return merged.ok ? merged.value.bundle.clusterKeys : incoming.bundle.clusterKeys;
}

function uniqueKeys(keys: readonly SecretKey[]): readonly SecretKey[] {
  return [...new Map(keys.map((key) => [key.generation, key])).values()];
}

/** Whether keys that the bundle speaks of are not there. */
export function lacksKeys(trust: Trust): boolean {
  return trust.bundle.clusterKeys.length < trust.statement.clusterKeys.length;
}

/** null: there was nothing new. Throws nothing; a disk that is full is an error like a wrong signature. */
export function adoptBundle(
  folder: string,
  known: Trust,
  bundle: unknown,
): Result<Trust | null, string> {
  const read = readBundle(bundle, authoritiesOf(known));
  if (!read.ok) return err(`the bundle is not taken: ${read.error}`);
  const { statement } = read.value;
  if (statement.cluster !== known.statement.cluster) {
    return err(`the bundle is one of cluster ${statement.cluster}, not taken`);
  }
  const ahead = statement.version - known.statement.version;
  if (ahead < 0) return ok(null);
  const clusterKeys = mergeKeys(read.value, known);
  if (ahead === 0 && clusterKeys.length <= known.bundle.clusterKeys.length) return ok(null);
  const trust = { ...read.value, bundle: { ...read.value.bundle, clusterKeys } };
  try {
    writeTrust(folder, trust);
  } catch (cause) {
    return err(`${folder}: the bundle cannot be kept: ${(cause as Error).message}`);
  }
  return ok(trust);
}
