/**
 * Opens a BMC by its URL: the one place that knows all wires.
 *
 * Decides which link a URL leads to and where its password comes from: a file named in the URL, else the file given for all, else
 * the environment. Nothing is left open where it fails. A wire is loaded when it is asked for: all of them take longer to load
 * than a command over one of them does.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { Bmc } from "../../bmc.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { readSel } from "../../ipmi/sel/sel-reader.ts";
import { type LanAddress, parseBmcUrl, type RedfishUrl, type SerialAddress } from "../bmc-url.ts";
import type { IpmiConnection } from "./connection.ts";
import { IpmiBmc } from "./ipmi-bmc.ts";
import { type Environment, PASSWORD_VARIABLE, readKg, readPassword } from "./password.ts";
import { type OpenConnection, SharedConnection } from "./shared-connection.ts";

export interface OpenBmcOptions {
  /** For BMCs whose URL names none. */
  readonly passwordFile?: string | null;
  /** By default this process's own. */
  readonly environment?: Environment;
  /** What a person may want to know though it is no error. */
  readonly onNotice?: (text: string) => void;
}

interface Sources {
  readonly passwordFile: string | null;
  readonly environment: Environment;
  readonly onNotice: (text: string) => void;
}

function passwordOf(
  address: { readonly passwordFile: string | null },
  sources: Sources,
): Promise<Result<string | null, BmcError>> {
  return readPassword(address.passwordFile ?? sources.passwordFile, sources.environment);
}

function noPassword(url: string): BmcError {
  return bmcError(
    "no-password",
    `${url}: no password is given: set ${PASSWORD_VARIABLE}, or name a file of mode 0600 with password-file=`,
  );
}

async function ipmiBmc(
  url: string,
  openWire: OpenConnection,
  mendsItself: boolean,
): Promise<Result<Bmc, BmcError>> {
  const shared = new SharedConnection(openWire, { mendsItself });
  const open = (): Promise<Result<IpmiConnection, BmcError>> => shared.open();
  const connection = await open();
  if (!connection.ok) return connection;
  return ok(new IpmiBmc({ url, connection: connection.value, open, readSel }));
}

async function lanBmc(address: LanAddress, sources: Sources): Promise<Result<Bmc, BmcError>> {
  const password = await passwordOf(address, sources);
  if (!password.ok) return password;
  // An empty password is one; none at all is a mistake.
  if (password.value === null) return err(noPassword(address.url));
  const kg = await readKg(address.kgFile, sources.environment);
  if (!kg.ok) return kg;
  const { openLan } = await import("./lan.ts");
  const secrets = { password: password.value, kg: kg.value };
  const open: OpenConnection = async () => {
    const opened = await openLan(address, secrets);
    if (opened.ok && address.cipher === null && opened.value.suite === 3) {
      sources.onNotice(
        `${address.url}: cipher suite 3 (SHA-1) is used, 17 (SHA-256) was not to be had: update the BMC if you can`,
      );
    }
    return opened;
  };
  return await ipmiBmc(address.url, open, true);
}

async function serialBmc(address: SerialAddress, sources: Sources): Promise<Result<Bmc, BmcError>> {
  // Without a user nobody is logged in, and no password of another BMC is sent down the line.
  const password = address.userName === null ? ok(null) : await passwordOf(address, sources);
  if (!password.ok) return password;
  if (address.userName !== null && password.value === null) return err(noPassword(address.url));
  const { openSerial } = await import("./serial.ts");
  return await ipmiBmc(address.url, () => openSerial(address, password.value), false);
}

async function redfishBmc(address: RedfishUrl, sources: Sources): Promise<Result<Bmc, BmcError>> {
  const password = await passwordOf(address, sources);
  if (!password.ok) return password;
  if (password.value === null) return err(noPassword(address.url));
  const { openRedfish } = await import("./redfish.ts");
  return await openRedfish(address, password.value);
}

/** Comes back within the limits of the link. Never throws or rejects. */
export async function openBmc(
  url: string,
  options: OpenBmcOptions = {},
): Promise<Result<Bmc, BmcError>> {
  const address = parseBmcUrl(url);
  if (!address.ok) return address;
  const sources: Sources = {
    passwordFile: options.passwordFile ?? null,
    environment: options.environment ?? process.env,
    onNotice: options.onNotice ?? (() => undefined),
  };
  const { value } = address;
  switch (value.kind) {
    case "lan":
      return await lanBmc(value, sources);
    case "serial":
      return await serialBmc(value, sources);
    case "kcs": {
      const { openKcs } = await import("./kcs.ts");
      return await ipmiBmc(value.url, () => openKcs(value.devicePath), false);
    }
    case "redfish":
      return await redfishBmc(value, sources);
  }
}
