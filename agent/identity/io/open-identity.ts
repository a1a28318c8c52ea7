/**
 * Opens the identity of a process: from its folder, which is then followed, or of the cluster `local`, where there is none.
 *
 * A folder that cannot be read any more, or whose files do not fit together, changes nothing in a running process: what was
 * good last stays, until the folder is good again.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../../../core/assert.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Identity, PrincipalRole } from "../identity.ts";
import { LOCAL_CLUSTER } from "../names.ts";
import type { Trust } from "../trust.ts";
import { adoptBundle } from "./adopt-bundle.ts";
import { certificatesOf, pemOf, privateKeyOf, readLeaf } from "./certificates.ts";
import { HeldIdentity, hasClusterKeys, type IdentityParts } from "./held-identity.ts";
import {
  BUNDLE_FILE,
  hasIdentity,
  makeIdentityFolder,
  pairPath,
  readBounded,
  readIdentityFolder,
  writeWhole,
} from "./identity-folder.ts";
import { keyPem, makeKey, makeSelfSigned, readKey } from "./keys.ts";

/** How often a folder is looked at: three calls of stat(2). */
const LOOK_MS = 2_000;

/** An identity that can be told to look at its folder at once, by who has just written there, and what is new. */
export interface FolderIdentity extends Identity {
  readonly folder: string;
  trust(): Trust;
  /** Why the folder as it is now is not taken; null: it is. */
  reload(): string | null;
  /** A bundle from wherever: kept if it is signed and newer. The version there is now. */
  adopt(bundle: unknown): Result<number, string>;
}

function stampOf(folder: string): string {
  return [join(folder, BUNDLE_FILE), pairPath(folder, "tls"), pairPath(folder, "sign")]
    .map((path) => {
      const { mtimeMs, ino, size } = statSync(path, { throwIfNoEntry: false }) ?? {};
      return `${mtimeMs}/${ino}/${size}`;
    })
    .join();
}

class FollowedIdentity extends HeldIdentity implements FolderIdentity {
  readonly folder: string;
  readonly #timer: ReturnType<typeof setInterval>;
  #stamp: string;

  constructor(folder: string, parts: IdentityParts, stamp: string) {
    super(parts);
    this.folder = folder;
    this.#stamp = stamp;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  reload(): string | null {
    const stamp = stampOf(this.folder);
    const parts = readIdentityFolder(this.folder);
    if (!parts.ok) return parts.error;
    const { role, name, cluster } = parts.value.principal;
    const own = this.principal;
    if (role !== own.role || name !== own.name || cluster !== own.cluster) {
      return `${this.folder}: now of ${role} ${name} of ${cluster}: start the process anew`;
    }
    this.#stamp = stamp;
    this.replace(parts.value);
    return null;
  }

  override trust(): Trust {
    const trust = super.trust();
    assert(trust !== null, "an identity with a folder knows its authority");
    return trust;
  }

  adopt(bundle: unknown): Result<number, string> {
    const wanted = hasClusterKeys(this.principal) ? bundle : withoutKeys(bundle);
    const adopted = adoptBundle(this.folder, this.trust(), wanted);
    if (!adopted.ok) return adopted;
    if (adopted.value !== null) {
      const complaint = this.reload();
      if (complaint !== null) return err(complaint);
    }
    return ok(this.trust().statement.version);
  }

  override close(): void {
    clearInterval(this.#timer);
    super.close();
  }

  /** What does not fit yet is looked at again, since its stamp is not taken. */
  #look(): void {
    try {
      if (stampOf(this.folder) !== this.#stamp) this.reload();
    } catch {
      // The folder cannot be read: see the head of this file.
    }
  }
}

/** Of a bundle that is not checked yet. */
function withoutKeys(bundle: unknown): unknown {
  return typeof bundle === "object" && bundle !== null ? { ...bundle, clusterKeys: [] } : bundle;
}

export function openIdentity(folder: string): Result<FolderIdentity, string> {
  if (!hasIdentity(folder)) {
    return err(`no identity in ${folder}: make one with holdfast init, or holdfast join`);
  }
  const stamp = stampOf(folder);
  const parts = readIdentityFolder(folder);
  return parts.ok ? ok(new FollowedIdentity(folder, parts.value, stamp)) : parts;
}

const LOCAL_DAYS = 3_650;
const LOCAL_FILE = "local.pem";

function readLocal(folder: string, role: PrincipalRole, name: string): IdentityParts | null {
  const text = readBounded(join(folder, LOCAL_FILE));
  const pem = text.ok ? text.value : "";
  const key = readKey(privateKeyOf(pem) ?? "");
  const leaf = readLeaf(certificatesOf(pem)[0] ?? "");
  if (key === null || !leaf.ok) return null;
  const { principal, x509 } = leaf.value;
  const isOurs = principal.cluster === LOCAL_CLUSTER && principal.role === role;
  if (!isOurs || principal.name !== name) return null;
  return { principal, signKey: key, signCert: x509.raw, tls: null, trusts: [] };
}

/**
 * For trying out, without `init` and `join`: signs with a key that is kept in `folder`, and takes everybody of cluster `local`
 * at their word. A file that is damaged, or of another name, is replaced. Throws what the file system throws.
 */
export function openLocalIdentity(folder: string, role: PrincipalRole, name: string): Identity {
  const kept = readLocal(folder, role, name);
  if (kept !== null) return new HeldIdentity(kept);
  const principal = { cluster: LOCAL_CLUSTER, role, name };
  const signKey = makeKey("sign");
  const signCert = makeSelfSigned(principal, signKey, Date.now(), LOCAL_DAYS);
  makeIdentityFolder(folder);
  const pem = keyPem(signKey) + pemOf("CERTIFICATE", signCert);
  writeWhole(join(folder, LOCAL_FILE), pem, 0o600);
  return new HeldIdentity({ principal, signKey, signCert, tls: null, trusts: [] });
}
