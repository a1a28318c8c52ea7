/**
 * The URL of a BMC: which wire, where, and how.
 *
 *   lan://user@host:623?cipher=17&privilege=operator         RMCP+ over UDP; cipher 17 or 3, both where none is said
 *   serial:/dev/ttyS1?baud=115200&mode=basic&user=admin      mode basic or terminal; user only where the BMC wants one
 *   kcs:/dev/ipmi0                                           the host's own BMC through Linux' driver
 *   redfish+https://user@host?ca-file=…&fingerprint=…        redfish+http:// is for a loopback host only
 *
 * Decides what such a text means and refuses what it does not know by name: a misspelt parameter that is ignored would be
 * a setting that silently does not hold. A password never stands in a URL, since URLs are printed, logged and kept in
 * histories: `password-file=` names a file that only its owner may read, or the environment holds it (`io/password.ts`).
 * `url` of what comes back has neither user nor files in it and is safe to print.
 */
import { err, ok, type Result } from "../../core/result.ts";
import { type BmcError, bmcError } from "../bmc-error.ts";
import { PRIVILEGES, type Privilege } from "../ipmi/app/set-session-privilege-level.ts";
import { type CipherSuiteId, cipherSuiteOf } from "../ipmi/rmcp/cipher-suite.ts";
import { RMCP_PORT } from "../ipmi/rmcp/rmcp.ts";
import type { RedfishAddress } from "../redfish/redfish-address.ts";
import type { SerialMode } from "../serial/serial-line.ts";

export interface LanAddress {
  readonly kind: "lan";
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Empty: the user without a name. */
  readonly user: string;
  /** null: 17, else 3, as the BMC has it. */
  readonly cipher: CipherSuiteId | null;
  readonly privilege: Privilege;
  readonly passwordFile: string | null;
  readonly kgFile: string | null;
}

export interface SerialAddress {
  readonly kind: "serial";
  readonly url: string;
  readonly devicePath: string;
  readonly baudRate: number;
  readonly mode: SerialMode;
  /** null: nobody is logged in. */
  readonly userName: string | null;
  readonly passwordFile: string | null;
}

export interface KcsAddress {
  readonly kind: "kcs";
  readonly url: string;
  readonly devicePath: string;
}

export interface RedfishUrl extends RedfishAddress {
  readonly kind: "redfish";
  readonly passwordFile: string | null;
}

export type BmcUrl = LanAddress | SerialAddress | KcsAddress | RedfishUrl;

const BAUD_DEFAULT = 115_200;
const BAUD_MAX = 4_000_000;
const USER_BYTES_MAX = 16;
const EXAMPLES =
  "lan://user@host, serial:/dev/ttyS1?baud=115200&mode=basic, kcs:/dev/ipmi0 or redfish+https://user@host";

class UrlError extends Error {}

/** Thrown and caught in this file alone: a parser reads better when each wrong part can end it. */
function wrong(detail: string): never {
  throw new UrlError(detail);
}

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return wrong(`${what}: a % is followed by two hex digits`);
  }
}

class Parameters {
  readonly #values = new Map<string, string>();
  readonly #scheme: string;

  constructor(query: string, scheme: string) {
    this.#scheme = scheme;
    for (const part of query.split("&")) {
      if (part === "") continue;
      const equals = part.indexOf("=");
      const name = equals < 0 ? part : part.slice(0, equals);
      if (/^(?:password|pass|pwd|pw)$/i.test(name)) wrong(passwordInUrl());
      if (equals < 0) wrong(`parameter ${name} has no value: write ${name}=…`);
      if (this.#values.has(name)) wrong(`parameter ${name} is there twice`);
      this.#values.set(name, decoded(part.slice(equals + 1), `parameter ${name}`));
    }
  }

  take(name: string): string | null {
    const value = this.#values.get(name) ?? null;
    this.#values.delete(name);
    if (value === "") wrong(`parameter ${name} is empty`);
    return value;
  }

  takeOf<const T extends string>(name: string, allowed: readonly T[]): T | null {
    const value = this.take(name);
    if (value === null) return null;
    const found = allowed.find((one) => one === value);
    return found ?? wrong(`${name}=${value}: ${name} is ${allowed.join(" or ")}`);
  }

  /** After everything known was taken. */
  end(known: readonly string[]): void {
    for (const name of this.#values.keys()) {
      const may = known.length === 0 ? "takes no parameters" : `takes ${known.join(", ")}`;
      wrong(`parameter ${name} is not known: ${this.#scheme} ${may}`);
    }
  }
}

function passwordInUrl(): string {
  return (
    "a password does not belong into a URL, which is printed and logged: " +
    "put it into HOLDFAST_BMC_PASSWORD, or into a file of mode 0600 named by password-file="
  );
}

function numberOf(text: string, what: string, max: number): number {
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > max) wrong(`${what} ${text}: a number from 1 to ${max}`);
  return value;
}

interface Authority {
  readonly user: string;
  readonly host: string;
  /** For the printed URL: an IPv6 address in its brackets. */
  readonly shownHost: string;
  readonly port: number | null;
}

function authorityOf(text: string): Authority {
  const at = text.lastIndexOf("@");
  const userText = at < 0 ? "" : text.slice(0, at);
  if (userText.includes(":")) wrong(passwordInUrl());
  const user = decoded(userText, "user");
  const place = text.slice(at + 1);
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]]+))(?::([0-9]*))?$/.exec(place);
  if (match === null) {
    return wrong(`host ${place}: a name, an IPv4 address, or an IPv6 address in brackets`);
  }
  const [, v6, name, portText] = match;
  const host = v6 ?? (name as string);
  if (!/^[\w.:%-]+$/.test(host)) wrong(`host ${host}: there is a character in it that no name has`);
  const port = portText === undefined ? null : numberOf(portText, "port", 65_535);
  return { user, host, shownHost: v6 === undefined ? host : `[${v6}]`, port };
}

function lan(rest: string, query: string): LanAddress {
  const { user, host, shownHost, port } = authorityOf(rest);
  if (new TextEncoder().encode(user).byteLength > USER_BYTES_MAX) {
    wrong(`user ${user}: a BMC's user has at most ${USER_BYTES_MAX} bytes`);
  }
  const parameters = new Parameters(query, "lan");
  const cipherText = parameters.take("cipher");
  const cipher = cipherText === null ? null : cipherSuiteOf(Number(cipherText));
  if (cipherText !== null && cipher === null) {
    wrong(`cipher=${cipherText}: only suites 17 and 3 protect a session, others are not spoken`);
  }
  const names = Object.keys(PRIVILEGES) as Privilege[];
  const privilege = parameters.takeOf("privilege", names) ?? "administrator";
  const passwordFile = parameters.take("password-file");
  const kgFile = parameters.take("kg-file");
  parameters.end(["cipher", "privilege", "password-file", "kg-file"]);
  const shown = port === null || port === RMCP_PORT ? shownHost : `${shownHost}:${port}`;
  return {
    kind: "lan",
    url: `lan://${shown}`,
    host,
    port: port ?? RMCP_PORT,
    user,
    cipher: cipher?.id ?? null,
    privilege,
    passwordFile,
    kgFile,
  };
}

function serial(rest: string, query: string): SerialAddress {
  if (!rest.startsWith("/")) wrong(`serial: takes a device by its full path, such as /dev/ttyS1`);
  const devicePath = decoded(rest, "device");
  const parameters = new Parameters(query, "serial");
  const baudText = parameters.take("baud");
  const baudRate = baudText === null ? BAUD_DEFAULT : numberOf(baudText, "baud", BAUD_MAX);
  const mode = parameters.takeOf("mode", ["basic", "terminal"]) ?? "basic";
  const userName = parameters.take("user");
  const passwordFile = parameters.take("password-file");
  parameters.end(["baud", "mode", "user", "password-file"]);
  const url = `serial:${devicePath}?baud=${baudRate}&mode=${mode}`;
  return { kind: "serial", url, devicePath, baudRate, mode, userName, passwordFile };
}

function kcs(rest: string, query: string): KcsAddress {
  if (!rest.startsWith("/")) wrong("kcs: takes a device by its full path, such as /dev/ipmi0");
  const devicePath = decoded(rest, "device");
  new Parameters(query, "kcs").end([]);
  return { kind: "kcs", url: `kcs:${devicePath}`, devicePath };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(?:\.[0-9]{1,3}){3}$/.test(host);
}

function redfish(rest: string, query: string, isTls: boolean): RedfishUrl {
  const scheme = isTls ? "redfish+https" : "redfish+http";
  const { user, host, shownHost, port } = authorityOf(rest.replace(/\/$/, ""));
  if (!isTls && !isLoopback(host)) {
    wrong("redfish+http:// sends the password in the clear, and is taken for a loopback host only");
  }
  const parameters = new Parameters(query, scheme);
  const caFile = parameters.take("ca-file");
  const fingerprint = parameters.take("fingerprint");
  if (fingerprint !== null && !/^(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}$/i.test(fingerprint)) {
    wrong("fingerprint: the SHA-256 of the certificate, 64 hex digits, with or without colons");
  }
  const passwordFile = parameters.take("password-file");
  parameters.end(["ca-file", "fingerprint", "password-file"]);
  const usual = isTls ? 443 : 80;
  const shown = port === null || port === usual ? shownHost : `${shownHost}:${port}`;
  return {
    kind: "redfish",
    url: `${scheme}://${shown}`,
    host,
    port: port ?? usual,
    isTls,
    user,
    caFile,
    fingerprint,
    passwordFile,
  };
}

function parsed(text: string): BmcUrl {
  const mark = text.indexOf("?");
  const [place, query] = mark < 0 ? [text, ""] : [text.slice(0, mark), text.slice(mark + 1)];
  const match = /^([a-z+]+):(\/\/)?(.*)$/i.exec(place);
  const [, scheme = "", slashes = "", rest = ""] = match ?? [];
  switch (`${scheme.toLowerCase()}:${slashes}`) {
    case "lan://":
      return lan(rest.replace(/\/$/, ""), query);
    case "serial:":
      return serial(rest, query);
    // serial:///dev/ttyS1 is how some write a path in a URL.
    case "serial://":
      return serial(rest, query);
    case "kcs:":
    case "kcs://":
      return kcs(rest, query);
    case "redfish+https://":
      return redfish(rest, query, true);
    case "redfish+http://":
      return redfish(rest, query, false);
    default:
      return wrong(`a BMC is named as ${EXAMPLES}`);
  }
}

/** Never throws; the error repeats no password, whatever stands in the text. */
export function parseBmcUrl(text: string): Result<BmcUrl, BmcError> {
  try {
    return ok(parsed(text.trim()));
  } catch (error) {
    if (error instanceof UrlError) return err(bmcError("bad-url", error.message));
    throw error;
  }
}
