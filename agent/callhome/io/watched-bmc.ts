/**
 * A BMC by its URL, as the agent and the commands open it: with the password from where it may come from.
 *
 * A file named in the URL wins over the one given for all, and that over the environment.
 */
import type { Bmc } from "../../../bmc/bmc.ts";
import type { BmcError } from "../../../bmc/bmc-error.ts";
import { parseBmcUrl } from "../../../bmc/link/bmc-url.ts";
import { openBmc } from "../../../bmc/link/io/open-bmc.ts";
import { assert } from "../../../core/assert.ts";
import type { Result } from "../../../core/result.ts";
import type { WatchedBmc } from "./open-callhome.ts";

/** `url` has been checked. */
export function watchedBmc(url: string, passwordFile: string | null): WatchedBmc {
  const address = parseBmcUrl(url);
  assert(address.ok, "the URL of a watched BMC is checked with the other settings");
  const { value } = address;
  return {
    name: value.url,
    lan: value.kind === "lan" ? { address: value.host, port: value.port } : null,
    open: (onNotice): Promise<Result<Bmc, BmcError>> => openBmc(url, { passwordFile, onNotice }),
  };
}
