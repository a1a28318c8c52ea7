/**
 * The demo's second half: an error raised in a BMC reaches the ticket, first through the manager, then around it once it is dead;
 * the manager comes back, learns of what it missed, and no second ticket comes of it.
 *
 * A client as any other: it raises errors at the BMC's own control socket and knows only what the agent, the manager and the
 * destination answer over HTTP.
 */
import { askAgent } from "../../../net/io/http-client.ts";
import {
  type CallEnd,
  type CallEvidence,
  type CalledEvent,
  type CallName,
  callEnd,
} from "../call.ts";
import type { ClusterPlace } from "./agents.ts";
import { DemoError, type Emit } from "./conductor.ts";
import { type ServiceName, Services } from "./services.ts";

const ASK_WITHIN_MS = 1_000;
const POLL_MS = 10;
const START_WITHIN_MS = 15_000;
/** R1, R2 and the direct way, and some. */
const TICKET_WITHIN_MS = 20_000;
const RECONCILE_WITHIN_MS = 15_000;
const SETTLE_MS = 300;

/** What is raised: two components, hence two faults and two tickets. */
const ERRORS: Readonly<Record<CallName, string>> = {
  relayed: 'event "DIMM A1" 1',
  around: 'event "PSU1 Status" 1',
};

interface ListedEvent {
  readonly id: string;
  readonly event: { readonly text: string; readonly seenMs: number; readonly way: string } | null;
}

interface TicketList {
  readonly tickets: readonly { readonly id: string }[];
}

interface ManagerEvent {
  readonly row: { readonly state: string; readonly ticket: string | null };
}

export class CallHome {
  readonly #services: Services;
  readonly #emit: Emit;
  readonly #stop: AbortSignal;

  private constructor(services: Services, emit: Emit, stop: AbortSignal) {
    this.#services = services;
    this.#emit = emit;
    this.#stop = stop;
  }

  static async open(place: ClusterPlace, emit: Emit, stop: AbortSignal): Promise<CallHome> {
    return new CallHome(await Services.open(place), emit, stop);
  }

  async conduct(): Promise<CallEvidence> {
    try {
      await this.#start();
      const relayed = await this.#call("relayed");
      const isManagerGone = await this.#killManager();
      const around = await this.#call("around");
      const isReconciled = await this.#managerReturns(around.id, around.end.ticket);
      const tickets = await this.#tickets();
      this.#emit({ kind: "reconciled", tickets, isReconciled });
      return { ends: [relayed.end, around.end], isManagerGone, isReconciled, tickets };
    } finally {
      await this.#services.stop();
    }
  }

  async #ask<Answer>(name: ServiceName, path: string): Promise<Answer | null> {
    const role = name === "BMC" ? "agent" : name;
    const at = this.#services.at(name);
    const timeoutMs = ASK_WITHIN_MS;
    const { operator: identity } = this.#services;
    const answer = await askAgent<Answer>({ at, path, timeoutMs, identity, role });
    return answer.ok ? answer.value : null;
  }

  /** Asks again and again until there is an answer that is not null. */
  async #until<Answer>(
    what: string,
    withinMs: number,
    ask: () => Promise<Answer | null>,
  ): Promise<Answer> {
    const untilMs = performance.now() + withinMs;
    for (;;) {
      this.#stop.throwIfAborted();
      const answer = await ask();
      if (answer !== null) return answer;
      if (performance.now() > untilMs) {
        throw new DemoError(`not within ${withinMs / 1_000} s: ${what}`);
      }
      await Bun.sleep(POLL_MS);
    }
  }

  async #start(): Promise<void> {
    const names = ["BMC", "destination", "manager", "agent"] as const;
    const services = names.map((name) => this.#services.start(name));
    const pids = services.map(({ name, child }) => ({ name, pid: child.pid }));
    this.#emit({ kind: "services", services: pids });
    const alive = <Answer>(ask: () => Promise<Answer | null>) => {
      return async (): Promise<Answer | null> => {
        this.#services.checkAlive(names);
        return ask();
      };
    };
    const within = START_WITHIN_MS;
    await this.#until(
      "the BMC answers",
      within,
      alive(() => this.#services.control("status")),
    );
    await this.#until(
      "the destination answers",
      within,
      alive(() => this.#ask("destination", "/healthz")),
    );
    await this.#until(
      "the manager answers",
      within,
      alive(() => this.#ask("manager", "/v1/summary")),
    );
    await this.#until(
      "the agent watches its BMC",
      within,
      alive(() => this.#watches()),
    );
  }

  /** An error may be raised once the agent knows what already stood in the log, and its manager is reached. */
  async #watches(): Promise<true | null> {
    interface Summary {
      readonly bmcs: readonly { readonly state: string }[];
      readonly delivery: {
        readonly paths: readonly {
          readonly path: { readonly kind: string };
          readonly state: string;
        }[];
      };
    }
    const summary = await this.#ask<Summary>("agent", "/v1/callhome");
    if (summary === null) return null;
    const isWatched = summary.bmcs.some(({ state }) => state === "watched");
    const isReached = summary.delivery.paths.some(
      ({ path, state }) => path.kind === "manager" && state === "up",
    );
    return isWatched && isReached ? true : null;
  }

  async #call(call: CallName): Promise<{ readonly id: string; readonly end: CallEnd }> {
    const known = new Set((await this.#events()).map(({ id }) => id));
    const raisedMs = Date.now();
    const answer = await this.#services.control(ERRORS[call]);
    if (answer === null || answer.startsWith("error")) {
      throw new DemoError(`the BMC does not take an error: ${answer ?? "no answer"}`);
    }
    this.#emit({ kind: "raised", call, text: ERRORS[call] }, raisedMs);
    const within = TICKET_WITHIN_MS;
    const id = await this.#until("the agent sees the error", within, async () => {
      const fresh = (await this.#events()).find(
        (one) => !known.has(one.id) && one.event?.way !== "host",
      );
      return fresh?.id ?? null;
    });
    const end = await this.#until("the error becomes a ticket", within, async () => {
      const shown = await this.#ask<ListedEvent & { readonly steps: CalledEvent["steps"] }>(
        "agent",
        `/v1/callhome/events/${id}`,
      );
      if (shown === null || shown.event === null) return null;
      const { text, seenMs } = shown.event;
      return callEnd(call, raisedMs, { text, seenMs, steps: shown.steps });
    });
    this.#emit({ kind: "called", end });
    return { id, end };
  }

  async #events(): Promise<readonly ListedEvent[]> {
    const list = await this.#ask<{ readonly events: readonly ListedEvent[] }>(
      "agent",
      "/v1/callhome/events?limit=20",
    );
    return list?.events ?? [];
  }

  async #killManager(): Promise<boolean> {
    const { child } = this.#services.get("manager");
    child.kill("SIGKILL");
    await child.exited;
    this.#emit({ kind: "manager-killed", pid: child.pid });
    return child.signalCode === "SIGKILL";
  }

  /** It is told by the agent what reached support around it. */
  async #managerReturns(id: string, ticket: string): Promise<boolean> {
    const { child } = this.#services.start("manager");
    this.#emit({ kind: "manager-back", pid: child.pid });
    try {
      await this.#until("the manager learns of it", RECONCILE_WITHIN_MS, async () => {
        this.#services.checkAlive(["manager"]);
        const told = await this.#ask<ManagerEvent>("manager", `/v1/events/${id}`);
        return told?.row.state === "delivered" && told.row.ticket === ticket ? told : null;
      });
    } catch (error) {
      if (!(error instanceof DemoError)) throw error;
      this.#emit({ kind: "note", text: error.message });
      return false;
    }
    // What it might relay once more, it would have by then.
    await Bun.sleep(SETTLE_MS);
    return true;
  }

  async #tickets(): Promise<readonly string[]> {
    const list = await this.#until("the destination lists its tickets", ASK_WITHIN_MS * 3, () =>
      this.#ask<TicketList>("destination", "/v1/tickets?state=any"),
    );
    return list.tickets.map(({ id }) => id);
  }
}
