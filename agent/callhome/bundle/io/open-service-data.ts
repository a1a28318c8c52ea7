/**
 * Service data of one node, opened on its data folder: gathered when told, kept, reviewed, uploaded.
 */
import type { Hono } from "hono";
import type { Bmc, BmcEvent } from "../../../../bmc/bmc.ts";
import type { BmcError } from "../../../../bmc/bmc-error.ts";
import type { Result } from "../../../../core/result.ts";
import type { Log } from "../../../runtime/log.ts";
import type { BundleRecord } from "../bundle.ts";

/** Where a bundle may go: a manager, the destination, a peer. */
export interface BundleTarget {
  readonly kind: "manager" | "destination" | "peer";
  readonly name: string;
  /** `https://10.0.0.7:7410` */
  readonly url: string;
  /** What every request of it carries (`authorization`); asked for anew each time. */
  readonly headers: () => Readonly<Record<string, string>>;
  /** Merged into the options of `fetch`: `tls`, `proxy`. */
  readonly fetchOptions: () => Readonly<Record<string, unknown>>;
}

export interface ServiceDataSettings {
  /** `DATA/bundles`; made if it is not there. */
  readonly folder: string;
  readonly cluster: string;
  readonly node: string;
  readonly log: Log;
  readonly nowMs: () => number;
  /** A connection of its own, closed afterwards; null: no BMC is known for that system. */
  readonly openBmc: (system: string) => Promise<Result<Bmc, BmcError> | null>;
  /** Files of the agent: name in the bundle → path. */
  readonly agentFiles: () => Readonly<Record<string, string>>;
  /** Documents of the agent: name in the bundle → what is written as JSON. */
  readonly agentDocuments: () => Readonly<Record<string, unknown>>;
  /** In the order in which they are tried. */
  readonly targets: () => readonly BundleTarget[];
  /** A person must approve each one. */
  readonly hasReview: boolean;
  readonly bytesMax?: number;
  readonly timeMs?: number;
  /** TOML of further rules of what is taken out. */
  readonly redactFile?: string | null;
}

export interface ServiceData {
  /** `/v1/callhome/service-data`, for people on this machine. */
  readonly routes: Hono;
  /** Whether this event is grave enough and its component had none in the last hour; begins if so. Never throws. */
  consider(event: BmcEvent): void;
  /** Gathers now, whatever the rate. */
  collect(event: BmcEvent): Promise<Result<BundleRecord, string>>;
  list(): readonly BundleRecord[];
  begin(): void;
  stop(): Promise<void>;
}

/** The error is one line. */
export type OpenServiceData = (
  settings: ServiceDataSettings,
) => Promise<Result<ServiceData, string>>;
