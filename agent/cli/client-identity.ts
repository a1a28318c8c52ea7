/**
 * As whom a command asks: the identity named by `--identity` or `HOLDFAST_IDENTITY`, else the operator's own, if there is one.
 *
 * One that is named is always used. The operator's own is used only where TLS is spoken: the same user may try out agents
 * in the clear beside a real cluster.
 */

import type { Identity } from "../identity/identity.ts";
import { hasIdentity } from "../identity/io/identity-folder.ts";
import { openIdentity } from "../identity/io/open-identity.ts";
import { speaksTls } from "../net/io/tls-failure.ts";
import { CliError, EXIT_CONFIG } from "./cli-error.ts";
import { operatorFolder } from "./identity/folders.ts";

export const IDENTITY_ENV = "HOLDFAST_IDENTITY";
export const IDENTITY_FOLDER_SHOWN = "~/.config/holdfast/identity";

function open(folder: string, named: string): Identity {
  const identity = openIdentity(folder);
  if (identity.ok) return identity.value;
  throw new CliError(`${named}: ${identity.error}`, EXIT_CONFIG);
}

/** A host that is silent must not hold up the command: the first that speaks TLS decides. */
async function isAnySecure(addresses: readonly string[]): Promise<boolean> {
  for (const address of addresses) {
    const colon = address.lastIndexOf(":");
    const host = address.slice(0, colon).replace(/^\[|\]$/g, "");
    if (await speaksTls(host, Number(address.slice(colon + 1)))) return true;
  }
  return false;
}

export async function clientIdentity(
  folder: string | undefined,
  addresses: readonly string[],
): Promise<Identity | null> {
  if (folder !== undefined) return open(folder, `--identity ${folder}`);
  const fromEnv = process.env[IDENTITY_ENV];
  if (fromEnv !== undefined && fromEnv !== "") return open(fromEnv, `${IDENTITY_ENV}=${fromEnv}`);
  const own = operatorFolder();
  if (!hasIdentity(own) || !(await isAnySecure(addresses))) return null;
  return open(own, own);
}
