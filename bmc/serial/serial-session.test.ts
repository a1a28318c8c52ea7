/**
 * Goal: over a serial line each request is answered once and rightly, whatever the BMC's habits, and nobody waits for ever. Method: the
 * session and a BMC made of functions in virtual time; MD5 is the real one, compared with what the standard says.
 */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { realCrypto } from "../ipmi/io/crypto.ts";
import { type IpmiReply, type IpmiRequest, NET_FN } from "../ipmi/ipmi.ts";
import { encodeRequestMessage } from "../ipmi/message.ts";
import { encodeBasicFrame } from "./basic-mode.ts";
import {
  type BmcHabits,
  code,
  echoed,
  fine,
  LineWorld,
  ScriptedBmc,
} from "./harness/line-world.ts";
import { type SerialMode, serialLine } from "./serial-line.ts";
import type { Credentials } from "./serial-login.ts";
import { CLOSE_MS, KEEP_ALIVE_MS, SerialSession } from "./serial-session.ts";

const MODES = ["basic", "terminal"] as const;
const CAPABILITIES = 0x38;
const CHALLENGE = 0x39;
const ACTIVATE = 0x3a;
const PRIVILEGE = 0x3b;
const CLOSE = 0x3c;
const ADMIN: Credentials = { userName: "admin", password: "secret" };

function sessionOf(mode: SerialMode, credentials: Credentials | null = null): SerialSession {
  return new SerialSession({
    line: serialLine(mode),
    baudRate: 115_200,
    credentials,
    crypto: realCrypto,
    triesMax: 4,
    firstTimeoutMs: 1_000,
  });
}

interface Fault {
  readonly at: number;
  readonly kind: "drop" | "change" | "insert";
  readonly by: number;
}

/** At most one in a frame: two could make up for each other in a sum. */
const arbitraryFaults: fc.Arbitrary<Fault[]> = fc
  .array(
    fc.record({
      at: fc.nat(39),
      kind: fc.constantFrom("drop" as const, "change" as const, "insert" as const),
      by: fc.nat(255),
    }),
    { maxLength: 20 },
  )
  .map((faults) => faults.map((fault, index) => ({ ...fault, at: index * 40 + fault.at })));

function spoiled(byte: number, fault: Fault | undefined): readonly number[] {
  switch (fault?.kind) {
    case undefined:
      return [byte];
    case "drop":
      return [];
    case "change":
      return [byte ^ (fault.by | 1)];
    case "insert":
      return [byte, fault.by];
  }
}

/** Of all bytes of the line, in the order of their sending. */
function spoiler(faults: readonly Fault[]): (bytes: Uint8Array) => Uint8Array {
  let sentBytes = 0;
  return (bytes) =>
    Uint8Array.from(
      [...bytes].flatMap((byte) => {
        const at = sentBytes++;
        return spoiled(
          byte,
          faults.find((fault) => fault.at === at),
        );
      }),
    );
}

function worldOf(habits: BmcHabits, credentials: Credentials | null = null) {
  const session = sessionOf(habits.mode, credentials);
  const bmc = new ScriptedBmc(habits);
  const world = new LineWorld(session, bmc);
  world.send({ kind: "open" });
  return { session, bmc, world };
}

/** An OEM read that may be repeated is not known to be: Get SEL Entry may, and carries a number. */
function read(index: number): IpmiRequest {
  const data = Uint8Array.of(0, 0, index & 0xff, index >> 8, 0, 0xff);
  return { netFn: NET_FN.storage, lun: 0, command: 0x43, data };
}

function answerAll(request: IpmiRequest): IpmiReply {
  return { completionCode: 0, data: request.data };
}

/** A BMC that gives sessions of 1.5: id 7, challenge of Cs. */
function withSessions(
  over: (request: IpmiRequest) => IpmiReply | null,
  types = 0b010100,
): (request: IpmiRequest) => IpmiReply | null {
  return (request) => {
    const special = over(request);
    if (special !== null) return special;
    switch (request.command) {
      case CAPABILITIES:
        return fine(4, types, 0, 0, 0, 0, 0, 0);
      case CHALLENGE:
        return fine(0x78, 0x56, 0x34, 0x12, ...new Array<number>(16).fill(0xcc));
      case ACTIVATE:
        return fine(request.data[0] ?? 0, 7, 0, 0, 0, 1, 0, 0, 0, 4);
      case PRIVILEGE:
        return fine(request.data[0] ?? 0);
      default:
        return answerAll(request);
    }
  };
}

const asHeld = (): null => null;
const padded = (text: string): Buffer =>
  Buffer.concat([Buffer.from(text), Buffer.alloc(16 - text.length)]);

describe.each(MODES)("%s mode", (mode) => {
  test("opens after the BMC was heard, and every request has its own answer", () => {
    const { world, bmc } = worldOf({ mode, answer: answerAll });
    for (let id = 0; id < 300; id++) world.send({ kind: "ask", id, request: read(id) });
    expect(bmc.requests.map((one) => one.command)).toEqual([CAPABILITIES]);
    world.run(60_000);
    expect(world.effects.filter((effect) => effect.kind === "opened")).toHaveLength(1);
    for (let id = 0; id < 300; id++) expect(world.outcome(id)).toEqual(echoed(read(id)));
    expect(bmc.requests).toHaveLength(301);
  });

  test("several requests are outstanding where the BMC bears it", () => {
    const { world, session } = worldOf({ mode, answer: answerAll, replyMs: 20 });
    for (let id = 0; id < 200; id++) world.send({ kind: "ask", id, request: read(id) });
    const startMs = world.nowMs;
    world.runUntil(startMs + 200 * 20);
    expect(world.outcomes).toHaveLength(200);
    expect(session.windowSize).toBe(serialLine(mode).windowMax);
  });

  test("a line that echoes changes nothing", () => {
    const { world, bmc } = worldOf({ mode, answer: answerAll, hasEcho: true });
    for (let id = 0; id < 50; id++) world.send({ kind: "ask", id, request: read(id) });
    world.run(20_000);
    for (let id = 0; id < 50; id++) expect(world.outcome(id)).toEqual(echoed(read(id)));
    expect(bmc.requests).toHaveLength(51);
  });

  test("a BMC with one buffer and handshakes is heard out before the next is sent, once it lost one", () => {
    const { world, session, bmc } = worldOf({
      mode,
      answer: answerAll,
      buffers: 1,
      hasHandshake: true,
    });
    for (let id = 0; id < 300; id++) world.send({ kind: "ask", id, request: read(id) });
    world.run(60_000);
    for (let id = 0; id < 300; id++) expect(world.outcome(id)).toEqual(echoed(read(id)));
    expect(session.isPaced).toBe(true);
    expect(bmc.droppedCount).toBeLessThanOrEqual(6);
  });

  test("a BMC with one buffer and no handshake is asked one by one in the end", () => {
    const { world, bmc } = worldOf({ mode, answer: answerAll, buffers: 1 });
    for (let id = 0; id < 2_000; id++) world.send({ kind: "ask", id, request: read(id) });
    const startMs = world.nowMs;
    world.run(120_000);
    for (let id = 0; id < 2_000; id++) expect(world.outcome(id)).toEqual(echoed(read(id)));
    expect(bmc.droppedCount).toBeLessThanOrEqual(20);
    expect(startMs).toBe(1_000);
  });

  test("a silent BMC ends the login with a timeout, in bounded time", () => {
    const { world } = worldOf({ mode, answer: asHeld });
    world.send({ kind: "ask", id: 1, request: read(1) });
    world.run(20_000);
    const refused = world.effects.find((effect) => effect.kind === "refused");
    expect(refused).toMatchObject({ error: { kind: "timeout" } });
    expect(world.outcome(1)).toMatchObject({ ok: false, error: { kind: "timeout" } });
    world.send({ kind: "ask", id: 2, request: read(2) });
    expect(world.outcome(2)).toMatchObject({ ok: false, error: { kind: "timeout" } });
  });

  test("a BMC that falls silent half way fails what waits, and answers again when it is back", () => {
    let isSilent = false;
    const { world } = worldOf({ mode, answer: (one) => (isSilent ? null : answerAll(one)) });
    world.run(100);
    isSilent = true;
    for (let id = 0; id < 50; id++) world.send({ kind: "ask", id, request: read(id) });
    world.run(30_000);
    for (let id = 0; id < 50; id++) expect(world.outcome(id)).toMatchObject({ ok: false });
    isSilent = false;
    world.run(10_000);
    world.send({ kind: "ask", id: 99, request: read(99) });
    world.run(10_000);
    expect(world.outcome(99)).toEqual(echoed(read(99)));
  });

  test("when the line is gone everything that waits fails with that, and later asks too", () => {
    const { world } = worldOf({ mode, answer: answerAll });
    world.run(100);
    world.send({ kind: "ask", id: 1, request: read(1) });
    const error = { kind: "disconnected", detail: "tty hung up" } as const;
    world.send({ kind: "lost", error });
    world.send({ kind: "ask", id: 2, request: read(2) });
    world.run(60_000);
    expect(world.outcome(1)).toEqual({ ok: false, error });
    expect(world.outcome(2)).toEqual({ ok: false, error });
    expect(world.has("closed")).toBe(true);
  });

  test("a request that is too long for a serial line is refused before it is sent", () => {
    const { world, bmc } = worldOf({ mode, answer: answerAll });
    world.run(100);
    world.send({ kind: "ask", id: 1, request: { ...read(1), data: new Uint8Array(34) } });
    expect(world.outcome(1)).toMatchObject({ ok: false, error: { kind: "bad-request" } });
    expect(bmc.requests).toHaveLength(1);
  });

  test("whatever the line does to bytes, every ask is done once, and never with another's answer", () => {
    fc.assert(
      fc.property(arbitraryFaults, fc.boolean(), (faults, hasHandshake) => {
        const bmc = new ScriptedBmc({ mode, answer: answerAll, hasHandshake });
        const world = new LineWorld(sessionOf(mode), bmc, spoiler(faults));
        world.send({ kind: "open" });
        for (let id = 0; id < 30; id++) world.send({ kind: "ask", id, request: read(id) });
        world.run(120_000);
        for (let id = 0; id < 30; id++) {
          const outcome = world.outcome(id);
          expect(outcome).toBeDefined();
          // Terminal Mode has no checksums, so a changed digit is another digit; no sum sees a 0 that is lost, but a length does.
          const isChecked = mode === "basic" && outcome?.ok && outcome.value.data.byteLength === 6;
          if (isChecked === true) expect<unknown>(outcome).toEqual(echoed(read(id)));
        }
      }),
    );
  });
});

describe("a session of Basic Mode", () => {
  test("is activated by MD5 over password, id, challenge and password", () => {
    const { world, bmc } = worldOf({ mode: "basic", answer: withSessions(asHeld) }, ADMIN);
    world.run(1_000);
    expect(world.has("opened")).toBe(true);
    const [, challenge, activate, privilege] = bmc.requests;
    expect(challenge?.data).toEqual(Uint8Array.of(2, ...padded("admin")));
    const digest = createHash("md5")
      .update(padded("secret"))
      .update(Buffer.from("78563412", "hex"))
      .update(Buffer.alloc(16, 0xcc))
      .update(padded("secret"))
      .digest();
    expect(activate?.data).toEqual(Uint8Array.of(2, 4, ...digest, 1, 0, 0, 0));
    expect(privilege?.data).toEqual(Uint8Array.of(4));
  });

  test("sends the password itself only where the BMC has no MD5", () => {
    const answer = withSessions(asHeld, 0b010000);
    const { world, bmc } = worldOf({ mode: "basic", answer }, ADMIN);
    world.run(1_000);
    expect(world.has("opened")).toBe(true);
    expect(bmc.requests[2]?.data).toEqual(Uint8Array.of(4, 4, ...padded("secret"), 1, 0, 0, 0));
  });

  test("takes the highest privilege that it is allowed", () => {
    const answer = withSessions((request) =>
      request.command === PRIVILEGE && request.data[0] === 4 ? code(0x81) : null,
    );
    const { world, bmc } = worldOf({ mode: "basic", answer }, ADMIN);
    world.run(1_000);
    expect(world.has("opened")).toBe(true);
    expect(
      bmc.requests.filter((one) => one.command === PRIVILEGE).map((one) => one.data[0]),
    ).toEqual([4, 3]);
  });

  test.each([
    ["an unknown user", CHALLENGE, 0x81, "wrong-password"],
    ["a wrong code", ACTIVATE, 0xcc, "wrong-password"],
    ["no free slot", ACTIVATE, 0x81, "no-session"],
    ["a privilege above the limit", ACTIVATE, 0x86, "privilege-too-low"],
  ])("ends with its own error at %s, without the password in it", (_name, command, cc, kind) => {
    const answer = withSessions((request) => (request.command === command ? code(cc) : null));
    const { world } = worldOf({ mode: "basic", answer }, ADMIN);
    world.run(5_000);
    const refused = world.effects.find((effect) => effect.kind === "refused");
    expect(refused).toMatchObject({ error: { kind } });
    expect(JSON.stringify(refused)).not.toContain("secret");
  });

  test("is not asked of a BMC that knows none", () => {
    const answer = withSessions((request) => (request.command === CHALLENGE ? code(0xc1) : null));
    const { world } = worldOf({ mode: "basic", answer }, ADMIN);
    world.run(1_000);
    expect(world.has("opened")).toBe(true);
  });

  test("is refused where the BMC allows neither MD5 nor the password", () => {
    const { world } = worldOf({ mode: "basic", answer: withSessions(asHeld, 0b000001) }, ADMIN);
    world.run(1_000);
    expect(world.effects).toContainEqual(
      expect.objectContaining({
        kind: "refused",
        error: expect.objectContaining({ kind: "no-session" }),
      }),
    );
  });

  test("is kept alive while nobody asks, and not where there is none", () => {
    const { world, bmc } = worldOf({ mode: "basic", answer: withSessions(asHeld) }, ADMIN);
    world.run(1_000);
    const before = bmc.requests.length;
    world.run(KEEP_ALIVE_MS * 4);
    expect(bmc.requests.slice(before).map((one) => one.command)).toEqual(
      new Array(4).fill(CAPABILITIES),
    );
    const free = worldOf({ mode: "basic", answer: answerAll });
    free.world.run(KEEP_ALIVE_MS * 4);
    expect(free.bmc.requests).toHaveLength(1);
  });

  test("that the BMC forgot is made anew, and the request asked again", () => {
    let isForgotten = false;
    const answer = withSessions((request) => {
      if (request.command === ACTIVATE) isForgotten = false;
      return isForgotten && request.netFn === NET_FN.storage ? code(0xd4) : null;
    });
    const { world, bmc } = worldOf({ mode: "basic", answer }, ADMIN);
    world.run(20_000);
    isForgotten = true;
    for (let id = 0; id < 20; id++) world.send({ kind: "ask", id, request: read(id) });
    world.run(20_000);
    for (let id = 0; id < 20; id++) expect(world.outcome(id)).toEqual(echoed(read(id)));
    expect(bmc.requests.filter((one) => one.command === ACTIVATE)).toHaveLength(2);
  });

  test("does not help against a privilege that is really too low: the asker is told", () => {
    const answer = withSessions((one) => (one.netFn === NET_FN.storage ? code(0xd4) : null));
    const { world, bmc } = worldOf({ mode: "basic", answer }, ADMIN);
    world.run(20_000);
    for (let id = 0; id < 20; id++) world.send({ kind: "ask", id, request: read(id) });
    world.run(20_000);
    for (let id = 0; id < 20; id++)
      expect(world.outcome(id)).toEqual({ ok: true, value: code(0xd4) });
    expect(bmc.requests.filter((one) => one.command === ACTIVATE)).toHaveLength(2);
  });

  test("is closed by its id, and given up where the BMC is silent", () => {
    const { world, bmc } = worldOf({ mode: "basic", answer: withSessions(asHeld) }, ADMIN);
    world.run(1_000);
    world.send({ kind: "close" });
    world.run(100);
    expect(bmc.requests.at(-1)).toMatchObject({ command: CLOSE, data: Uint8Array.of(7, 0, 0, 0) });
    expect(world.has("closed")).toBe(true);

    const deaf = withSessions((request) => (request.command === CLOSE ? code(0xc0) : null));
    const silent = worldOf({ mode: "basic", answer: deaf }, ADMIN).world;
    silent.run(1_000);
    silent.send({ kind: "close" });
    silent.run(CLOSE_MS - 1);
    expect(silent.has("closed")).toBe(false);
    silent.run(1);
    expect(silent.has("closed")).toBe(true);
  });

  test("tells the BMC's ping and does not answer it", () => {
    const { world } = worldOf({ mode: "basic", answer: answerAll });
    world.run(100);
    const writtenBefore = world.written.length;
    const ping = encodeRequestMessage({
      responderAddress: 0x81,
      requesterAddress: 0x20,
      netFn: NET_FN.transport,
      lun: 0,
      requesterLun: 0,
      sequence: 1,
      command: 0x18,
      data: Uint8Array.of(1, 0),
    });
    world.say(encodeBasicFrame(ping));
    world.run(5_000);
    expect(world.effects).toContainEqual({ kind: "ping", sessionState: 1 });
    expect(world.written).toHaveLength(writtenBefore);
  });
});

describe("a login of Terminal Mode", () => {
  const answer = answerAll;

  test.each([
    ["admin", "SYS PWD -U admin secret"],
    ["", "SYS PWD -N secret"],
  ])("of user '%s' is said before anything else, and taken back at the end", (userName, text) => {
    const habits: BmcHabits = { mode: "terminal", answer, answerText: () => "OK", hasEcho: true };
    const { world, bmc } = worldOf(habits, { userName, password: "secret" });
    expect(bmc.texts).toEqual([text]);
    expect(bmc.requests).toEqual([]);
    world.run(100);
    expect(world.has("opened")).toBe(true);
    world.send({ kind: "close" });
    world.run(100);
    expect(bmc.texts.at(-1)).toBe("SYS PWD -X");
    expect(world.has("closed")).toBe(true);
  });

  test("with a wrong password ends with that, and does not say the password", () => {
    const habits: BmcHabits = { mode: "terminal", answer, answerText: () => "ERR D4" };
    const { world } = worldOf(habits, ADMIN);
    world.run(100);
    const refused = world.effects.find((effect) => effect.kind === "refused");
    expect(refused).toMatchObject({ error: { kind: "wrong-password", completionCode: 0xd4 } });
    expect(JSON.stringify(refused)).not.toContain("secret");
  });

  test("that the line lost is said again", () => {
    let heardCount = 0;
    const answerText = (): string | null => (++heardCount === 1 ? null : "OK");
    const { world } = worldOf({ mode: "terminal", answer, answerText }, ADMIN);
    world.run(10_000);
    expect(world.has("opened")).toBe(true);
    expect(heardCount).toBe(2);
  });

  test("is not needed by a BMC that hears no texts but answers messages", () => {
    const { world } = worldOf({ mode: "terminal", answer }, ADMIN);
    world.run(20_000);
    expect(world.has("opened")).toBe(true);
  });

  test.each(["with space", "brack]et", "back\\slash", "\x1bescape", "a".repeat(17)])(
    "never puts the password %j on the line",
    (password) => {
      const habits: BmcHabits = { mode: "terminal", answer, answerText: () => "OK" };
      const { world } = worldOf(habits, { userName: "admin", password });
      world.run(100);
      expect(world.written).toEqual([]);
      const refused = world.effects.find((effect) => effect.kind === "refused");
      expect(refused).toMatchObject({ error: { kind: "bad-request" } });
      expect(JSON.stringify(refused)).not.toContain(JSON.stringify(password).slice(1, -1));
    },
  );
});
