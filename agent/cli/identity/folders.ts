/**
 * Where identities lie: a node's in its data folder, a person's where the desktop keeps settings, an authority inside the
 * identity of the node where `init` ran.
 */
import { homedir, hostname, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { type AuthorityOffice, openAuthorityOffice } from "../../identity/io/authority-office.ts";
import { hasAuthority } from "../../identity/io/authority-store.ts";
import { authorityFolderOf, hasIdentity } from "../../identity/io/identity-folder.ts";
import { type FolderIdentity, openIdentity } from "../../identity/io/open-identity.ts";
import { isName, NAME_RULE } from "../../identity/names.ts";
import { PROBLEMS, type Problem } from "../../net/problem.ts";
import { CliError, EXIT_CONFIG, EXIT_USAGE } from "../cli-error.ts";

/** Looked at where no folder is named. */
export const DATA_FOLDER = "/var/lib/holdfast";

export interface FolderFlags {
  readonly data?: string;
  readonly identity?: string;
}

export interface AuthorityFlags extends FolderFlags {
  readonly authority?: string;
}

/** Of whoever types commands; as the XDG base directories say. */
export function operatorFolder(): string {
  const named = process.env["XDG_CONFIG_HOME"];
  const config = named?.startsWith("/") === true ? named : join(homedir(), ".config");
  return join(config, "holdfast", "identity");
}

/** null: no folder is named. */
export function namedFolder({ data, identity }: FolderFlags): string | null {
  if (identity !== undefined) return resolve(identity);
  return data === undefined ? null : join(resolve(data), "identity");
}

/** The named one, or the first of the usual ones that has an identity. */
export function identityFolder(flags: FolderFlags): string {
  const named = namedFolder(flags);
  if (named !== null) return named;
  const usual = [operatorFolder(), join(DATA_FOLDER, "identity")];
  return usual.find(hasIdentity) ?? operatorFolder();
}

/** Defaults for names: the machine's, or the user's, as far as they may be one. */
export function nameOfMachine(): string {
  const name = hostname()
    .toLowerCase()
    .replace(/\..*$/, "")
    .replace(/[^a-z0-9-]/g, "-")
    .slice(0, 32);
  return isName(name) ? name : "node";
}

export function nameOfUser(): string {
  const user = process.env["SUDO_USER"] ?? userInfo().username;
  // "unknown": what Bun says where the environment does not name the user.
  return isName(user) && user !== "unknown" ? user : "operator";
}

export function checkedName(name: string): string {
  if (isName(name)) return name;
  throw new CliError(`${name}: not a name: ${NAME_RULE}`, EXIT_USAGE);
}

export function problemError({ kind, detail }: Problem): CliError {
  return new CliError(detail, PROBLEMS[kind].exitCode);
}

export function openNamedIdentity(flags: FolderFlags): FolderIdentity {
  const opened = openIdentity(identityFolder(flags));
  if (opened.ok) return opened.value;
  throw new CliError(opened.error, EXIT_CONFIG);
}

export function openNamedAuthority(flags: AuthorityFlags): AuthorityOffice {
  const named = namedFolder(flags) ?? join(DATA_FOLDER, "identity");
  const folder =
    flags.authority === undefined ? authorityFolderOf(named) : resolve(flags.authority);
  if (hasAuthority(folder)) return openAuthorityOffice(folder);
  throw new CliError(
    `no authority in ${folder}`,
    EXIT_CONFIG,
    "this is for the machine where holdfast init ran: name its --data, or --authority FOLDER",
  );
}

/** `90m`, `24h`, `7d`, in milliseconds. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,6})(s|m|h|d)$/.exec(text);
  const units: Readonly<Record<string, number>> = { s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7 };
  const ms = Number(match?.[1] ?? 0) * (units[match?.[2] ?? ""] ?? 0);
  if (ms > 0) return ms;
  throw new CliError(`${text}: not a time`, EXIT_USAGE, "give a number and s, m, h or d: 90m, 24h");
}

export function parseListen(text: string): { readonly hostname: string; readonly port: number } {
  const match = /^(\[[0-9a-fA-F:.]+\]|[\d.]+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2] ?? Number.NaN);
  if (match?.[1] !== undefined && port >= 0 && port <= 65_535) {
    return { hostname: match[1].replace(/^\[|\]$/g, ""), port };
  }
  throw new CliError(`${text}: must be ADDRESS:PORT, such as 10.0.0.1:7401`, EXIT_USAGE);
}
