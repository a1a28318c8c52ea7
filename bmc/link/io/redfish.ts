/**
 * Opens a BMC by Redfish: connects, checks the certificate, logs in, and gives the contract's `Bmc`.
 */
import { err, type Result } from "../../../core/result.ts";
import type { Bmc } from "../../bmc.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { RedfishAddress } from "../../redfish/redfish-address.ts";

export interface RedfishOptions {
  /** Of one request, from the first byte sent to the last received. */
  readonly requestTimeoutMs?: number;
}

/** Comes back within the limits of two requests. Nothing is kept open where it fails. */
export async function openRedfish(
  address: RedfishAddress,
  _password: string,
  _options: RedfishOptions = {},
): Promise<Result<Bmc, BmcError>> {
  return err(bmcError("unsupported", `${address.url}: Redfish is not built in yet`));
}
