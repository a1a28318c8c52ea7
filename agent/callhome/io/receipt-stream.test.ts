/**
 * Goal: what a manager says is heard, that it is silent is noticed, and its return too; nothing it says can break the stream for good.
 * Method: streams over real HTTP that say what the test writes; the receipt's proof by a real authority.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { testIdentities } from "../../identity/harness/test-authority.ts";
import type { Identity } from "../../identity/identity.ts";
import { realClock } from "../../runtime/io/clock.ts";
import { BEATS_MISSED_MS } from "../delivery-events.ts";
import {
  RECEIPT_TYPE,
  type Receipt,
  type ReceiptLine,
  type ReceiptStatement,
} from "../protocol.ts";
import { faultOfReceipt } from "../receipt-check.ts";
import { ReceiptStream } from "./receipt-stream.ts";
import { plainCaller, until } from "./test-away.ts";

class Manager {
  readonly asked: string[] = [];
  #write: ((text: string) => void)[] = [];
  readonly #server: Bun.Server<undefined>;
  status = 200;

  constructor() {
    this.#server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      idleTimeout: 60,
      fetch: (request) => {
        const { search } = new URL(request.url);
        this.asked.push(search);
        if (this.status !== 200) return new Response("", { status: this.status });
        const stream = new ReadableStream<Uint8Array>({
          start: (controller) => {
            this.#write.push((text) => {
              if (text === "") controller.close();
              else controller.enqueue(new TextEncoder().encode(text));
            });
          },
        });
        return new Response(stream);
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  get streamCount(): number {
    return this.#write.length;
  }

  say(text: string): void {
    this.#write.at(-1)?.(text);
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }
}

const lines: ReceiptLine[] = [];
const lost: string[] = [];
let manager: Manager;
let stream: ReceiptStream;
/** What the test before began; a test that begins nothing may come first. */
let ends: (() => Promise<void>)[] = [];

function begin(seq = 0): void {
  lines.length = 0;
  lost.length = 0;
  manager = new Manager();
  stream = new ReceiptStream({
    ...{ manager: manager.url, seq, caller: plainCaller, clock: realClock(), unit: () => 0 },
    onLine: (line) => lines.push(line),
    onLost: (detail) => lost.push(detail),
  });
  stream.begin();
  ends = [() => stream.stop(), () => manager.stop()];
}

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const id = "a".repeat(64);
const beat = (seq: number): string =>
  `${JSON.stringify({ kind: "beat", epoch: "e", seq, canRelay: true })}\n`;

describe("the stream of a manager", () => {
  test("is read line by line however it is cut, and goes on where it ended", async () => {
    begin(7);
    await until("it is opened", () => manager.streamCount === 1);
    const said = JSON.stringify({ kind: "not-relayed", seq: 9, id, reason: "no" });
    const text = `${beat(9)}\n${said}\n`;
    manager.say(text.slice(0, 30));
    manager.say(text.slice(30));
    await until("both lines came", () => lines.length === 2);
    manager.say("");
    await until("it is opened again", () => manager.streamCount === 2);
    expect(manager.asked).toEqual(["?after=7", "?after=9"]);
    expect(lost.length).toBe(1);
  });

  test("that is silent, though its connection stands, is lost", async () => {
    begin();
    const startMs = performance.now();
    await until("it is opened", () => manager.streamCount === 1);
    manager.say(beat(0));
    await until("it is lost", () => lost.length === 1);
    expect(performance.now() - startMs).toBeGreaterThan(BEATS_MISSED_MS - 100);
    expect(lost[0]).toContain("is silent");
  });

  test("that says what is not of the protocol is opened again", async () => {
    begin();
    await until("it is opened", () => manager.streamCount === 1);
    manager.say('{"kind":"beat"}\n');
    await until("it is opened again", () => manager.streamCount === 2);
    manager.say("no json\n");
    await until("and again", () => manager.streamCount === 3);
    expect(lines).toEqual([]);
  });

  test("that is refused is asked for again, with why it is lost", async () => {
    begin();
    manager.status = 403;
    await until("it is lost", () => lost.length > 0);
    expect(lost.at(-1)).toMatch(/answers 403|ended the stream/);
    manager.status = 200;
    const before = manager.streamCount;
    await until("it is opened", () => manager.streamCount > before);
  });

  test("of a manager whose store is younger begins anew", async () => {
    begin(500);
    await until("it is opened", () => manager.streamCount === 1);
    manager.say(beat(3));
    await until("the beat came", () => lines.length === 1);
    expect(stream.seq).toBe(3);
  });
});

describe("a receipt", () => {
  function receiptBy(signer: Identity, more: Partial<ReceiptStatement> = {}): Receipt {
    const said = { v: 1, id, destination: "d", ticket: "T-1", receivedMs: Date.now() } as const;
    const payload = new TextEncoder().encode(JSON.stringify({ ...said, ...more }));
    const { v: _, ...receipt } = said;
    return { ...receipt, proof: signer.signer.sign(RECEIPT_TYPE, payload) };
  }

  test("is believed only if the destination signed these very fields", async () => {
    const ids = await testIdentities("c1");
    const node = await ids.of("agent", "n1");
    const destination = await ids.of("destination", "d");
    const fault = (receipt: Receipt, cluster = "c1"): string | null =>
      faultOfReceipt(receipt, node.verifier, cluster);
    expect(fault(receiptBy(destination))).toBeNull();
    expect(fault(receiptBy(destination, { ticket: "T-2" }))).toContain("something else");
    expect(fault(receiptBy(destination, { id: "b".repeat(64) }))).toContain("something else");
    expect(fault(receiptBy(await ids.of("manager", "m")))).toContain("no destination");
    const stranger = await (await testIdentities("c1")).of("destination", "d");
    expect(fault(receiptBy(stranger))).not.toBeNull();
    expect(fault({ ...receiptBy(destination), proof: null })).toContain("not signed");
    expect(fault({ ...receiptBy(destination), proof: null }, "local")).toBeNull();
  });
});
