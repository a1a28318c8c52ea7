/**
 * What every part of the IPMI room speaks: requests, replies, commands, and tasks of many requests.
 *
 * A command is a codec and nothing else: it knows its numbers and its bytes, not how they travel. A task (`Steps`) is a
 * generator that yields requests and is given their replies, so it does no waiting, no sending and no retrying of its own:
 * sessions do that. Everything here is synchronous and pure.
 */
import type { Result } from "../../core/result.ts";
import type { BmcError } from "../bmc-error.ts";
import type { DecodeError } from "./decode.ts";

/** IPMI 2.0 §5.1, request numbers; the reply's is one more. */
export const NET_FN = {
  chassis: 0x00,
  bridge: 0x02,
  sensorEvent: 0x04,
  app: 0x06,
  firmware: 0x08,
  storage: 0x0a,
  transport: 0x0c,
} as const;

export interface IpmiRequest {
  /** Even, 0..3Eh. */
  readonly netFn: number;
  /** 0..3 */
  readonly lun: number;
  readonly command: number;
  readonly data: Uint8Array;
}

export interface IpmiReply {
  readonly completionCode: number;
  /** What follows the completion code. */
  readonly data: Uint8Array;
}

/** One command of the standard. `Args` is void for a request without data. */
export interface IpmiCommand<Args, Reply> {
  /** As the standard writes it, such as `Get SEL Info`. */
  readonly name: string;
  readonly netFn: number;
  readonly command: number;
  readonly encode: (args: Args) => Uint8Array;
  /** Of what follows a completion code of 0. Never throws, never reads past the end. */
  readonly decode: (data: Uint8Array) => Result<Reply, DecodeError>;
}

export function requestOf<Args, Reply>(
  command: IpmiCommand<Args, Reply>,
  args: Args,
  lun = 0,
): IpmiRequest {
  return { netFn: command.netFn, lun, command: command.command, data: command.encode(args) };
}

/** What a task may yield: requests to have answered, as many at once as the link bears; or a time to pass. */
export type Step =
  | { readonly kind: "ask"; readonly requests: readonly IpmiRequest[] }
  | { readonly kind: "wait"; readonly ms: number }
  /** Told to whoever watches; given back at once. */
  | { readonly kind: "progress"; readonly done: number; readonly total: number | null };

/** To an `ask`: a reply or an error for each request, in its order. To the others: nothing. */
export type Answers = readonly Result<IpmiReply, BmcError>[];

/** A task of many requests. An answer that did not come, or came with a completion code, is for the task to judge. */
export type Steps<T> = Generator<Step, Result<T, BmcError>, Answers>;
