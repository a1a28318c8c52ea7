/**
 * Goal: who is let in and what is believed on the LAN. Method: a console of the tests against the machine in memory, with
 * time by hand; every refusal is asked for.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { loggedIn, machineOf, START_MS, TestClient } from "./test-client.ts";

const APP = 0x06;
const STORAGE = 0x0a;

describe("session set-up", () => {
  for (const suite of [3, 17] as const) {
    test(`suite ${suite}: user and BMC prove themselves, and commands are answered`, () => {
      const client = new TestClient(machineOf());
      client.logIn({ suite });
      expect(client.isProved).toBe(true);
      expect(client.ask(APP, 0x01)?.completionCode).toBe(0);
      expect(client.machine.sessionCount).toBe(1);
    });
  }

  test("a BMC key is a second secret: right with it, refused packets without", () => {
    const client = new TestClient(machineOf({ kg: "the other secret" }));
    client.logIn({ kg: "the other secret" });
    expect(client.isProved).toBe(true);
    expect(client.ask(APP, 0x01)?.completionCode).toBe(0);
    const other = new TestClient(machineOf({ kg: "the other secret" }));
    other.logIn();
    expect(other.isProved).toBe(false);
    expect(other.ask(APP, 0x01)).toBe(null);
  });

  test("no suite that leaves something open, no mixture of suites, is offered or taken", () => {
    const client = new TestClient(machineOf());
    for (let authentication = 0; authentication < 4; authentication++) {
      for (let integrity = 0; integrity < 5; integrity++) {
        for (let confidentiality = 0; confidentiality < 4; confidentiality++) {
          const name = `${authentication} ${integrity} ${confidentiality}`;
          const isOurs = name === "1 1 1" || name === "3 4 1";
          const response = client.open([authentication, integrity, confidentiality]);
          expect([name, response?.isAccepted]).toEqual([name, isOurs]);
        }
      }
    }
  });

  test("a wrong password is found out at RAKP 3, and the set-up is over", () => {
    const client = new TestClient(machineOf());
    const { rakp4 } = client.logIn({ password: "wrong" });
    expect(rakp4).toMatchObject({ isAccepted: false, status: 0x0f });
    expect(client.machine.sessionCount).toBe(0);
    expect(client.ask(APP, 0x01)).toBe(null);
  });

  test("an unknown user and too high a role are refused at RAKP 2", () => {
    const client = new TestClient(machineOf());
    expect(client.logIn({ user: "nobody" }).rakp2).toMatchObject({ status: 0x0d });
    expect(client.logIn({ user: "user", role: 0x14 }).rakp2).toMatchObject({ status: 0x0a });
    expect(client.logIn({ user: "user", role: 0x02 }).rakp2).toMatchObject({ isAccepted: true });
  });

  test("the table is full when all sessions are active; set-ups that hang make room", () => {
    const machine = machineOf({ sessionsMax: 2 });
    const hanging = new TestClient(machine);
    for (let n = 0; n < 5; n++) expect(hanging.open([3, 4, 1])?.isAccepted).toBe(true);
    new TestClient(machine).logIn();
    new TestClient(machine).logIn();
    expect(new TestClient(machine).open([3, 4, 1])).toMatchObject({ status: 0x01 });
  });

  test("what is offered is what the faults leave", () => {
    const client = new TestClient(machineOf());
    const suites = (): readonly number[] => [
      ...(client.askPlain(APP, 0x54, [14, 0, 0x80])?.data ?? []),
    ];
    expect(suites()).toEqual([1, 0xc0, 17, 3, 0x44, 0x81, 0xc0, 3, 1, 0x41, 0x81]);
    client.machine.model.setFault("suite-3-only", null);
    expect(suites()).toEqual([1, 0xc0, 3, 1, 0x41, 0x81]);
    expect(client.open([3, 4, 1])).toMatchObject({ isAccepted: false, status: 0x11 });
    client.machine.model.endFault("suite-3-only");
    client.machine.model.setFault("suite-17-only", null);
    expect(client.open([1, 1, 1])).toMatchObject({ isAccepted: false, status: 0x11 });
  });
});

describe("a session", () => {
  test("begins at user; what needs more is refused until it is raised", () => {
    const client = new TestClient(machineOf());
    client.logIn();
    expect(client.ask(0x00, 0x02, [1])?.completionCode).toBe(0xd4);
    expect(client.ask(APP, 0x3b, [4])?.data[0]).toBe(4);
    expect(client.ask(0x00, 0x02, [1])?.completionCode).toBe(0);
  });

  test("is not raised above the user's own limit", () => {
    const client = new TestClient(machineOf());
    client.logIn({ user: "operator", role: 0x13 });
    expect(client.ask(APP, 0x3b, [4])?.completionCode).toBe(0x81);
    expect(client.ask(APP, 0x3b, [3])?.completionCode).toBe(0);
    expect(client.ask(APP, 0x02)?.completionCode).toBe(0xd4);
  });

  test("before it, only what needs none is answered", () => {
    const client = new TestClient(machineOf());
    expect(client.askPlain(APP, 0x38, [0x8e, 4])?.data).toHaveLength(8);
    expect(client.askPlain(APP, 0x37)?.data).toHaveLength(16);
    expect(client.askPlain(APP, 0x01)?.completionCode).toBe(0xd4);
    expect(client.askPlain(STORAGE, 0x40)?.completionCode).toBe(0xd4);
    expect(client.askPlain(APP, 0x3c, [0, 0, 0, 0])?.completionCode).toBe(0xc1);
  });

  test("ends by Close Session, by silence, and by a reset of the BMC", () => {
    const closing = loggedIn();
    const id = closing.bmcId;
    const bytes = [id & 0xff, (id >>> 8) & 0xff, (id >>> 16) & 0xff, id >>> 24];
    expect(closing.ask(APP, 0x3c, bytes)?.completionCode).toBe(0);
    expect(closing.ask(APP, 0x01)).toBe(null);

    const silent = loggedIn({ sessionTimeoutMs: 1_000 });
    silent.nowMs += 1_000;
    expect(silent.ask(APP, 0x01)?.completionCode).toBe(0);
    silent.nowMs += 1_001;
    expect(silent.ask(APP, 0x01)).toBe(null);

    const reset = loggedIn();
    expect(reset.ask(APP, 0x02)?.completionCode).toBe(0);
    reset.nowMs += 1_000;
    expect(reset.ask(APP, 0x01)).toBe(null);
    reset.logIn();
    expect(reset.isProved).toBe(true);
  });

  test("takes each sequence number once, within 16 of the highest", () => {
    const client = loggedIn();
    const request = { netFn: APP, lun: 0, command: 0x01, data: new Uint8Array(0) };
    const isAnswered = (sequence: number): boolean =>
      client.send(client.seal(request, sequence)).length === 1;
    expect(isAnswered(10)).toBe(true);
    expect(isAnswered(10)).toBe(false);
    expect(isAnswered(5)).toBe(true);
    expect(isAnswered(5)).toBe(false);
    expect(isAnswered(27)).toBe(false);
    expect(isAnswered(26)).toBe(true);
    expect(isAnswered(10)).toBe(false);
    expect(isAnswered(11)).toBe(true);
    expect(isAnswered(0)).toBe(false);
  });

  test("a packet with any bit changed is dropped without a word", () => {
    const client = loggedIn();
    const request = { netFn: APP, lun: 0, command: 0x01, data: new Uint8Array(0) };
    const sealed = client.seal(request, 9);
    for (let bit = 32; bit < sealed.byteLength * 8; bit++) {
      const changed = sealed.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect([bit, client.send(changed).length]).toEqual([bit, 0]);
    }
    expect(client.send(sealed)).toHaveLength(1);
  });
});

describe("any datagram", () => {
  test("never throws, and nothing without a session changes the BMC", () => {
    const machine = machineOf();
    const client = new TestClient(machine);
    const head = fc.constantFrom(
      [],
      [6, 0, 0xff, 7],
      [6, 0, 0xff, 6],
      [6, 0, 0xff, 7, 0],
      [6, 0, 0xff, 7, 6, 0x10, 0, 0, 0, 0],
      [6, 0, 0xff, 7, 6, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 40, 0],
      [6, 0, 0xff, 7, 6, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 40, 0],
    );
    fc.assert(
      fc.property(head, fc.uint8Array({ maxLength: 80 }), (start, rest) => {
        client.send(Uint8Array.of(...start, ...rest));
      }),
      { numRuns: 2_000 },
    );
    expect(machine.model.records()).toHaveLength(0);
    expect(machine.model.state.chassis.isOn).toBe(true);
    expect(client.nowMs).toBe(START_MS);
  });

  test("a presence ping is answered with its tag", () => {
    const client = new TestClient(machineOf());
    const ping = Uint8Array.fromHex("0600ff06000011be80550000");
    const [pong] = client.send(ping);
    expect(pong?.bytes.toHex()).toBe("0600ff06000011be40550010000011be000000008100000000000000");
    client.machine.model.setFault("no-ping", null);
    expect(client.send(ping)).toHaveLength(0);
  });
});
