/**
 * Carries out what the watch machine of `bmc/redfish/event/` decides: jobs, the stream, the door, the timer, the handlers.
 *
 * Everything that happens becomes an input of the machine, one at a time; nothing is decided here. After `stop` no handler is
 * called, and what was subscribed is removed as far as the service can still be reached within two seconds.
 */
import { ok, type Result } from "../../../core/result.ts";
import type { EventWay, Watch, WatchHandlers, WatchOptions } from "../../bmc.ts";
import type { BmcError } from "../../bmc-error.ts";
import { realCrypto } from "../../ipmi/io/crypto.ts";
import { readPushedBody } from "../../redfish/event/event-body.ts";
import { Seen } from "../../redfish/event/seen.ts";
import { SseParser } from "../../redfish/event/sse-parser.ts";
import {
  CONTEXT_PREFIX,
  check,
  type Destination,
  findEventPlace,
  subscribe,
  sweep,
} from "../../redfish/event/subscription.ts";
import {
  type Job,
  type JobResult,
  type WatchEffect,
  type WatchInput,
  WatchMachine,
} from "../../redfish/event/watch-machine.ts";
import { readIdentity } from "../../redfish/identity.ts";
import { findLog, glanceAtLog, type LogPlace } from "../../redfish/log-service.ts";
import { getEach } from "../../redfish/redfish.ts";
import { type Draft, draftOfEntry, eventOfDraft } from "../../redfish/redfish-event.ts";
import { survey } from "../../redfish/survey.ts";
import type { RedfishClient } from "./redfish-client.ts";

/** `setTimeout` takes no more than 31 bits. */
const TIMER_MS_MAX = 2_000_000_000;
const STOP_MS_MAX = 2_000;

export class RedfishWatch implements Watch {
  readonly #client: RedfishClient;
  readonly #handlers: WatchHandlers;
  readonly #seen: Seen;
  readonly #machine: WatchMachine;
  readonly #push: WatchOptions["push"];
  readonly #to: Destination;
  #closeDoor: (() => void) | null = null;
  #closeStream: (() => void) | null = null;
  #lastStreamId: string | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isStopped = false;
  /** As long as the service has not been asked, its URL stands for it. */
  #system: string;
  #logPlace: LogPlace | null = null;

  constructor(client: RedfishClient, options: WatchOptions, handlers: WatchHandlers) {
    this.#client = client;
    this.#handlers = handlers;
    this.#push = options.push ?? null;
    this.#to = { url: this.#push?.url ?? "", context: `${CONTEXT_PREFIX} ${crypto.randomUUID()}` };
    this.#system = client.url;
    this.#seen = new Seen(realCrypto.sha256, options.memory);
    this.#machine = new WatchMachine(
      {
        pollMs: options.pollMs,
        tellsOld: options.tellsOld && options.memory === null,
        canBePushedTo: this.#push !== null,
      },
      this.#seen,
    );
  }

  start(): void {
    this.#closeDoor = this.#push?.open((body) => this.#onBody("redfish-push", body)) ?? null;
    this.#input({ kind: "start" });
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#closeStream?.();
    this.#closeDoor?.();
    const place = this.#machine.place;
    if (place === null) return;
    let timer: ReturnType<typeof setTimeout> | null = null;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_MS_MAX);
    });
    await Promise.race([this.#client.run(sweep(place, this.#to)), limit]);
    if (timer !== null) clearTimeout(timer);
  }

  #input(input: WatchInput): void {
    if (this.#isStopped) return;
    for (const effect of this.#machine.step(input, Date.now())) this.#carryOut(effect);
  }

  #carryOut(effect: WatchEffect): void {
    if (this.#isStopped) return;
    switch (effect.kind) {
      case "run":
        void this.#run(effect.job).then((result) =>
          this.#input({ kind: "done", job: effect.job, result }),
        );
        break;
      case "open-stream":
        this.#openStream(effect.path);
        break;
      case "close-stream":
        this.#closeStream?.();
        this.#closeStream = null;
        break;
      case "tell":
        for (const { draft, nth } of effect.fresh) {
          const seen = { system: this.#system, nth, way: effect.way, seenMs: Date.now() };
          this.#handlers.onEvent(eventOfDraft(draft, seen, realCrypto.sha256));
        }
        break;
      case "remember":
        this.#handlers.onMemory(this.#seen.memory());
        break;
      case "notice":
        this.#handlers.onNotice(effect.notice);
        break;
      case "wake":
        this.#wakeAt(effect.atMs);
        break;
    }
  }

  #wakeAt(atMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const waitMs = Math.min(TIMER_MS_MAX, Math.max(1, atMs - Date.now()));
    this.#timer = setTimeout(() => this.#input({ kind: "tick" }), waitMs);
  }

  #run(job: Job): Promise<Result<JobResult, BmcError>> {
    switch (job.kind) {
      case "look-up":
        return this.#lookUp();
      case "read-log":
        return this.#readLog();
      case "subscribe":
        return this.#map(this.#client.run(subscribe(job.place, this.#to)), (path) => ({
          kind: "subscribe",
          path,
        }));
      case "check":
        return this.#map(this.#client.run(check(job.path, this.#to)), (state) => ({
          kind: "check",
          state,
        }));
      case "fetch":
        return this.#fetch(job.drafts);
    }
  }

  async #map<T>(
    running: Promise<Result<T, BmcError>>,
    make: (value: T) => JobResult,
  ): Promise<Result<JobResult, BmcError>> {
    const result = await running;
    return result.ok ? ok(make(result.value)) : result;
  }

  async #lookUp(): Promise<Result<JobResult, BmcError>> {
    const found = await this.#client.run(survey());
    if (!found.ok) return found;
    const identity = await this.#client.run(readIdentity(found.value));
    if (!identity.ok) return identity;
    this.#system = identity.value.guid ?? this.#client.url;
    const log = await this.#client.run(findLog(found.value));
    if (!log.ok && log.error.kind !== "unsupported") return log;
    this.#logPlace = log.ok ? log.value : null;
    const place = await this.#client.run(findEventPlace(found.value));
    if (!place.ok && place.error.kind !== "unsupported") return place;
    return ok({ kind: "look-up", hasLog: log.ok, place });
  }

  async #readLog(): Promise<Result<JobResult, BmcError>> {
    const place = this.#logPlace;
    const nothing: JobResult = {
      kind: "read-log",
      drafts: [],
      isWhole: false,
      isOverflowed: false,
    };
    if (place === null) return ok(nothing);
    const read = await this.#client.run(glanceAtLog(place));
    if (!read.ok) return read;
    const { entries, isWhole, isOverflowed } = read.value;
    const drafts = entries.map(({ path, body }) => draftOfEntry(path, body));
    return ok({ kind: "read-log", drafts, isWhole, isOverflowed });
  }

  async #fetch(drafts: readonly Draft[]): Promise<Result<JobResult, BmcError>> {
    const client = this.#client;
    const paths = drafts.map((draft) => draft.entryPath ?? "");
    const fetched = await client.run(
      (function* () {
        return ok(yield* getEach(paths));
      })(),
    );
    const found = drafts.map((draft, index) => {
      const answer = fetched.ok ? fetched.value[index] : undefined;
      return answer?.ok === true ? draftOfEntry(answer.value.path, answer.value.body) : draft;
    });
    return ok({ kind: "fetch", drafts: found });
  }

  #openStream(path: string): void {
    const parser = new SseParser();
    this.#closeStream = this.#client.stream(path, this.#lastStreamId, {
      onOpen: () => this.#input({ kind: "stream-open" }),
      onChunk: (chunk) => {
        for (const event of parser.push(chunk)) {
          this.#lastStreamId = event.id;
          this.#onBody("redfish-sse", event.data);
        }
      },
      onEnd: (error) => {
        this.#closeStream = null;
        this.#input({ kind: "stream-end", error });
      },
    });
  }

  #onBody(way: EventWay, text: string): 204 | 400 | 503 {
    if (this.#isStopped) return 503;
    const body = readPushedBody(text);
    if (!body.ok) return 400;
    this.#input({ kind: "pushed", way, body: body.value });
    return 204;
  }
}
