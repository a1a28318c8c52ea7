/**
 * Goal: adapters hear of every change, in order for each ticket, however often they fail; one that fails holds up nobody else.
 * Method: a store and intake on disk, adapters that do what the test says, waits for conditions with a limit.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BmcEvent } from "../../../bmc/bmc.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { AdapterFailure, Delivered, TicketChange } from "../adapter.ts";
import { arrivalOf, testEvent } from "../harness/test-events.ts";
import { ticketId } from "../ticket.ts";
import type { Adapter } from "./adapter.ts";
import { Forwarder } from "./forwarder.ts";
import { Intake } from "./intake.ts";
import { openStore, type Store } from "./store.ts";

type Answer = (
  change: TicketChange,
  attempt: number,
) => Result<Delivered, AdapterFailure> | "never";

class TestAdapter implements Adapter {
  readonly name: string;
  readonly concurrency: number;
  readonly heard: TicketChange[] = [];
  mostAtOnce = 0;
  closedCount = 0;
  readonly #answer: Answer;
  readonly #attempts = new Map<string, number>();
  readonly #underWay = new Set<string>();

  constructor(name: string, answer: Answer = () => ok({ externalId: null }), concurrency = 1) {
    this.name = name;
    this.#answer = answer;
    this.concurrency = concurrency;
  }

  async deliver(change: TicketChange): Promise<Result<Delivered, AdapterFailure>> {
    if (this.#underWay.has(change.ticket))
      throw new Error(`${change.ticket} is told twice at once`);
    this.#underWay.add(change.ticket);
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#underWay.size);
    const attempt = (this.#attempts.get(change.key) ?? 0) + 1;
    this.#attempts.set(change.key, attempt);
    await Bun.sleep(1);
    const answer = this.#answer(change, attempt);
    if (answer === "never") return new Promise(() => undefined);
    this.#underWay.delete(change.ticket);
    if (answer.ok) this.heard.push(change);
    return answer;
  }

  close(): Promise<void> {
    this.closedCount++;
    return Promise.resolve();
  }

  attemptsOf(key: string): number {
    return this.#attempts.get(key) ?? 0;
  }

  kinds(ticket?: string): readonly string[] {
    return this.heard
      .filter((one) => ticket === undefined || one.ticket === ticket)
      .map(({ kind }) => kind);
  }
}

/** Of the first change of a ticket. */
function keyOf(number: number): string {
  return `${ticketId(number, Date.now())}.1`;
}

function failure(
  kind: AdapterFailure["kind"],
  given: Partial<AdapterFailure> = {},
): Result<Delivered, AdapterFailure> {
  return err({
    kind,
    detail: `${kind} by the test`,
    isPermanent: false,
    retryAfterMs: null,
    ...given,
  });
}

class Rig {
  readonly folder: string;
  readonly lines: string[] = [];
  store: Store;
  intake: Intake;
  forwarder: Forwarder;
  readonly #adapters: readonly Adapter[];
  readonly #withinMs: number;
  /** Added to the clock. */
  skewMs = 0;

  constructor(adapters: readonly Adapter[], folder: string | null = null, withinMs = 5_000) {
    this.folder = folder ?? mkdtempSync(join(tmpdir(), "holdfast-forwarder-"));
    this.#adapters = adapters;
    this.#withinMs = withinMs;
    const log = {
      say: (level: string, text: string): void => void this.lines.push(`${level} ${text}`),
    };
    const opened = openStore(this.folder, log);
    if (!opened.ok) throw new Error(opened.error);
    this.store = opened.value;
    this.forwarder = new Forwarder(this.#adapters, {
      store: this.store,
      log,
      link: "https://support.test/v1/tickets/",
      nowMs: () => this.nowMs(),
      random: () => 0,
      withinMs: this.#withinMs,
    });
    const { names } = this.forwarder;
    const onTold = (): void => this.forwarder.look();
    this.intake = new Intake({
      store: this.store,
      destination: "support",
      adapters: names,
      log,
      onTold,
    });
  }

  nowMs(): number {
    return Date.now() + this.skewMs;
  }

  async take(...events: readonly BmcEvent[]): Promise<void> {
    const judged = events.map((event) => ({
      parcel: {
        id: event.id,
        envelope: { payloadType: "", payload: "", signatures: [] },
        trail: [],
      },
      arrival: arrivalOf(event, { receivedMs: this.nowMs() }),
      tooOld: null,
    }));
    expect((await this.intake.take(judged)).ok).toBe(true);
  }

  /** As if so much time had passed. */
  pass(ms: number): void {
    this.skewMs += ms;
    this.forwarder.look();
  }

  async stop(): Promise<void> {
    await this.forwarder.stop(200);
    this.store.close();
  }
}

const rigs: Rig[] = [];

function rig(...adapters: readonly Adapter[]): Rig {
  const one = new Rig(adapters);
  rigs.push(one);
  return one;
}

afterEach(async () => {
  for (const one of rigs.splice(0)) {
    await one.stop();
    rmSync(one.folder, { recursive: true, force: true });
  }
});

async function until(what: string, isSo: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + 4_000;
  while (!isSo()) {
    if (performance.now() > giveUpMs) throw new Error(`not in time: ${what}`);
    await Bun.sleep(2);
  }
}

describe("an adapter", () => {
  test("hears of a ticket in order, with its link and the id that it gave before", async () => {
    const adapter = new TestAdapter("a", (change) => ok({ externalId: `INC-${change.ticket}` }));
    const one = rig(adapter);
    await one.take(testEvent());
    await until("opened", () => adapter.heard.length === 1);
    await one.take(testEvent({ severity: "critical" }));
    await until("raised", () => adapter.heard.length === 2);
    expect(one.intake.close(1, "done", Date.now()).ok).toBe(true);
    await until("closed", () => adapter.heard.length === 3);
    expect(adapter.kinds()).toEqual(["opened", "raised", "closed"]);
    const [opened, raised, closed] = adapter.heard;
    expect(opened).toMatchObject({
      link: `https://support.test/v1/tickets/${opened?.ticket}`,
      externalId: null,
    });
    expect([raised?.externalId, closed?.externalId]).toEqual(
      Array(2).fill(`INC-${opened?.ticket}`),
    );
    expect(closed).toMatchObject({ text: "done", eventId: null, newEventCount: 0, eventCount: 2 });
    await until("noted", () => one.store.outbox.nextDueMs("a") === null);
  });

  test("that is down is tried until it is there, hears then of 1,000 events in one change, and nobody else waits for it", async () => {
    let isDown = true;
    const broken = new TestAdapter("broken", () =>
      isDown ? failure("unreachable") : ok({ externalId: null }),
    );
    const sound = new TestAdapter("sound");
    const one = rig(broken, sound);
    await one.take(testEvent());
    await until("tried", () => one.lines.some((line) => line.includes("cannot be told")));
    await one.take(...Array.from({ length: 1_000 }, () => testEvent()));
    await until("the sound one heard", () => sound.heard.length === 1);
    isDown = false;
    one.pass(600_000);
    await until("both are told", () => broken.heard.length === 2 && sound.heard.length === 2);
    expect(
      broken.heard.map(({ kind, newEventCount, eventCount }) => [kind, newEventCount, eventCount]),
    ).toEqual([
      ["opened", 1, 1],
      ["appended", 1_000, 1_001],
    ]);
    expect(one.lines.filter((line) => line.startsWith("fault"))).toHaveLength(1);
    expect(one.lines.some((line) => line.includes("adapter broken takes tickets again"))).toBe(
      true,
    );
  });

  test("that refuses a change for good hears what follows; what it refused is set aside and shown", async () => {
    const adapter = new TestAdapter("a", ({ kind }) =>
      kind === "opened" ? failure("refused", { isPermanent: true }) : ok({ externalId: null }),
    );
    const one = rig(adapter);
    await one.take(testEvent());
    await until("refused", () => one.store.outbox.refused(10).length === 1);
    await one.take(testEvent({ severity: "critical" }));
    await until("raised", () => adapter.heard.length === 1);
    expect(one.forwarder.reports()).toMatchObject([
      { name: "a", waiting: 0, refused: 1, deliveredCount: 1 },
    ]);
    expect(one.store.outbox.ofTicket(1)).toMatchObject([
      { isRefused: true, detail: "refused by the test" },
    ]);
    expect(one.lines.join("\n")).toContain("refuses it for good");
  });

  test("that refuses one ticket for now goes on with others; one that asks to wait is left alone so long", async () => {
    const adapter = new TestAdapter("a", ({ component }, attempt) => {
      if (component.subject === "odd" && attempt === 1) return failure("refused");
      if (component.subject === "busy" && attempt === 1)
        return failure("rate-limited", { retryAfterMs: 60_000 });
      return ok({ externalId: null });
    });
    const one = rig(adapter);
    await one.take(testEvent({ subject: "odd" }), testEvent({ subject: "even" }));
    await until("the other is told", () => adapter.heard.length === 1);
    one.pass(2_000);
    await until("the odd one is told", () => adapter.heard.length === 2);
    await one.take(testEvent({ subject: "busy" }));
    await until("asked to wait", () => one.forwarder.reports()[0]?.failure !== null);
    await one.take(testEvent({ subject: "after" }));
    // What is due would be begun at once.
    one.pass(30_000);
    expect(adapter.attemptsOf(keyOf(4))).toBe(0);
    one.pass(31_000);
    await until("both are told", () => adapter.heard.length === 4);
  });

  test("that may hear of several tickets at a time does, but never of one twice at once", async () => {
    const adapter = new TestAdapter("a", undefined, 4);
    const one = rig(adapter);
    await one.take(
      ...Array.from({ length: 40 }, (_, index) => testEvent({ subject: `DIMM ${index % 20}` })),
    );
    one.pass(10_000);
    await until("all are told", () => one.store.outbox.nextDueMs("a") === null);
    expect(adapter.mostAtOnce).toBe(4);
    expect(adapter.heard.reduce((sum, { newEventCount }) => sum + newEventCount, 0)).toBe(40);
  });

  test("that never answers counts as unreachable, and is asked again under the same key", async () => {
    const adapter = new TestAdapter("a", (_, attempt) =>
      attempt === 1 ? "never" : ok({ externalId: null }),
    );
    const folder = mkdtempSync(join(tmpdir(), "holdfast-forwarder-"));
    const one = new Rig([adapter], folder, 50);
    rigs.push(one);
    await one.take(testEvent());
    await until("given up", () =>
      one.lines.some((line) => line.includes("has not answered within 50 ms")),
    );
    expect(adapter.attemptsOf(keyOf(1))).toBe(1);
  });

  test("that throws has a defect, which is said and does not end the destination", async () => {
    const adapter: Adapter = { name: "a", deliver: () => Promise.reject(new Error("oops")) };
    const one = rig(adapter);
    await one.take(testEvent());
    await until("said", () => one.lines.some((line) => line.includes("a has a defect: oops")));
  });
});

describe("after a restart", () => {
  test("what was not told is told, what was tried before keeps its key, and what nobody takes any more is shown", async () => {
    const down = new TestAdapter("a", () => failure("unreachable"));
    const gone = new TestAdapter("gone", () => failure("unreachable"));
    const first = new Rig([down, gone]);
    await first.take(testEvent());
    await until("tried", () => down.attemptsOf(keyOf(1)) > 0 && gone.attemptsOf(keyOf(1)) > 0);
    await first.take(testEvent(), testEvent());
    await first.stop();
    expect(down.closedCount).toBe(1);
    const adapter = new TestAdapter("a");
    const second = new Rig([adapter], first.folder);
    rigs.push(second);
    second.pass(600_000);
    await until("told", () => adapter.heard.length === 2);
    expect(
      adapter.heard.map(({ key, newEventCount }) => [key.split(".")[1], newEventCount]),
    ).toEqual([
      ["1", 1],
      ["3", 2],
    ]);
    expect(second.forwarder.reports().at(-1)).toMatchObject({ name: "gone", waiting: 2 });
    expect(second.forwarder.reports().at(-1)?.failure).toContain("no longer configured");
  });
});
