/**
 * What a link gives to whoever speaks IPMI over it, and how a task is carried out on it.
 *
 * A connection owns the wire, the session, the number of requests outstanding, and the retries: `request` comes back exactly
 * once, with a reply (whatever its completion code) or an error, within a limit. It never throws or rejects.
 */
import type { Result } from "../../../core/result.ts";
import type { BmcError } from "../../bmc-error.ts";
import type { IpmiReply, IpmiRequest } from "../../ipmi/ipmi.ts";

/** Something that the BMC sent without being asked. */
export type Unsolicited =
  /** An event in SEL format, 16 bytes, pushed by the driver of the system interface. */
  | { readonly kind: "event"; readonly record: Uint8Array }
  /** Serial Connection Active (§25.9): the BMC asks whether somebody is there. */
  | { readonly kind: "ping"; readonly sessionState: number };

export interface IpmiConnection {
  /** Safe to print. */
  readonly url: string;
  /** Data bytes that a request, and a reply after its completion code, may have on this wire. */
  readonly requestBytesMax: number;
  readonly replyBytesMax: number;
  /** Any number may be asked at once: those beyond the window wait inside. */
  request(request: IpmiRequest): Promise<Result<IpmiReply, BmcError>>;
  /** How many it sends at once at most, for a task that sizes its batches. */
  readonly windowMax: number;
  /** Whether events are pushed on this link, and are now switched on. */
  enableEvents(): Promise<Result<boolean, BmcError>>;
  onUnsolicited(handler: (message: Unsolicited) => void): void;
  /** Ends the session in good order where the wire still works; waits at most a second. */
  close(): Promise<void>;
}
