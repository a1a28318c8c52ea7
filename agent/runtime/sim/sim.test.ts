/**
 * Goal: the simulated twins keep the promises of the interfaces they stand in for, and break only what they may break.
 * Method: small worlds with one fault each, driven by virtual time; no real time passes.
 */
import { describe, expect, test } from "bun:test";
import { prng } from "../prng.ts";
import { SimClock, SimTime } from "./sim-clock.ts";
import { SimDisk } from "./sim-disk.ts";
import { SimLinks } from "./sim-links.ts";
import { SimLog } from "./sim-log.ts";
import { CALM, SimNetwork } from "./sim-network.ts";
import { type Behaviour, SimProcesses } from "./sim-processes.ts";

const A = { address: "10.0.0.1", port: 7000 };
const B = { address: "10.0.0.2", port: 7000 };

function runUntil(time: SimTime, limitMs: number): void {
  while (time.step(limitMs));
}

describe("virtual time", () => {
  test("events run by time, and in the order they were scheduled when the time is equal", () => {
    const time = new SimTime();
    const seen: string[] = [];
    for (const [at, name] of [
      [5, "c"],
      [1, "a"],
      [5, "d"],
      [1, "b"],
    ] as const) {
      time.at(at, () => seen.push(name));
    }
    runUntil(time, 10);
    expect(seen).toEqual(["a", "b", "c", "d"]);
    expect(time.nowMs()).toBe(10);
  });

  test("many events come up sorted, whatever the order they were scheduled in", () => {
    const random = prng(7);
    const time = new SimTime();
    const seen: number[] = [];
    for (let i = 0; i < 2_000; i++) {
      const at = random.below(500);
      time.at(at, () => seen.push(at));
    }
    runUntil(time, 1_000);
    expect(seen.length).toBe(2_000);
    expect(seen).toEqual(seen.toSorted((x, y) => x - y));
  });

  test("an ended timer does not run; one set in the past runs now", () => {
    const time = new SimTime();
    const seen: string[] = [];
    time.at(3, () => seen.push("ended")).end();
    time.at(4, () => time.at(1, () => seen.push(`late at ${time.nowMs()}`)));
    runUntil(time, 10);
    expect(seen).toEqual(["late at 4"]);
  });

  test("a fast clock is ahead, and knows when it will show a time", () => {
    const time = new SimTime();
    const clock = new SimClock(time, { startMs: 100, rate: 1.01, wallStartMs: 0 });
    time.at(1_000, () => {});
    runUntil(time, 1_000);
    expect(clock.nowMs()).toBeCloseTo(1_110, 6);
    expect(clock.trueMs(1_110)).toBeCloseTo(1_000, 6);
  });
});

describe("datagrams", () => {
  function pair() {
    const time = new SimTime();
    const network = new SimNetwork(time, prng(3));
    const heard: number[] = [];
    const a = network.datagrams<number>(A, () => {});
    network.datagrams<number>(B, (packet) => heard.push(packet));
    return { time, network, a, heard };
  }

  test("loss, doubling and reordering happen when they are on, and not when they are off", () => {
    const { time, network, a, heard } = pair();
    const send = () => {
      heard.length = 0;
      for (let i = 0; i < 200; i++) time.after(i, () => a.send(B, i));
      runUntil(time, time.nowMs() + 1_000);
    };
    send();
    expect(heard).toEqual(Array.from({ length: 200 }, (_, i) => i));
    network.setConditions({ ...CALM, lossRatio: 0.3 });
    send();
    expect(heard.length).toBeLessThan(180);
    network.setConditions({ ...CALM, duplicateRatio: 0.3 });
    send();
    expect(heard.length).toBeGreaterThan(220);
    network.setConditions({ ...CALM, reorderRatio: 0.3, reorderMsMax: 50 });
    send();
    expect(heard.length).toBe(200);
    expect(heard).not.toEqual(heard.toSorted((x, y) => x - y));
  });

  test("a cut is one-way, and swallows what was under way when it began", () => {
    const { time, network, a, heard } = pair();
    const back: number[] = [];
    const b = network.datagrams<number>(B, (packet) => heard.push(packet));
    network.datagrams<number>(A, (packet) => back.push(packet));
    a.send(B, 1);
    network.cut(A.address, B.address);
    a.send(B, 2);
    b.send(A, 3);
    runUntil(time, 100);
    expect(heard).toEqual([]);
    expect(back).toEqual([3]);
  });
});

describe("links", () => {
  function world() {
    const time = new SimTime();
    const network = new SimNetwork(time, prng(5));
    const links = new SimLinks(network, { dialMs: 500, giveUpMs: 2_000 });
    const heard: string[] = [];
    const handler = (who: string) => ({
      onOpen: (peer: string) => heard.push(`${who} open ${peer}`),
      onMessage: (peer: string, message: string) => heard.push(`${who} ${peer} says ${message}`),
      onClose: (peer: string, detail: string) => heard.push(`${who} lost ${peer}: ${detail}`),
    });
    return { time, network, links, heard, handler };
  }

  test("messages arrive in order although a loss delays some", () => {
    const { time, network, links, heard, handler } = world();
    network.setConditions({ ...CALM, lossRatio: 0.3 });
    const a = links.listen<string>("a", A, handler("a"));
    links.listen<string>("b", B, handler("b"));
    for (let i = 0; i < 50; i++) time.after(i, () => a.send("b", B, String(i)));
    runUntil(time, 60_000);
    const said = heard.filter((line) => line.startsWith("b a says"));
    expect(said).toEqual(Array.from({ length: 50 }, (_, i) => `b a says ${i}`));
  });

  test("both dial at once: one link, nothing lost", () => {
    const { time, links, heard, handler } = world();
    const a = links.listen<string>("a", A, handler("a"));
    const b = links.listen<string>("b", B, handler("b"));
    a.send("b", B, "from a");
    b.send("a", A, "from b");
    runUntil(time, 1_000);
    expect(heard.filter((line) => line.includes("says")).toSorted()).toEqual([
      "a b says from b",
      "b a says from a",
    ]);
    expect(a.openCount()).toBe(1);
    expect(b.openCount()).toBe(1);
  });

  test("a short cut delays, a long cut closes both ends", () => {
    const { time, network, links, heard, handler } = world();
    const a = links.listen<string>("a", A, handler("a"));
    const b = links.listen<string>("b", B, handler("b"));
    a.open("b", B);
    runUntil(time, 100);
    network.cut(A.address, B.address);
    a.send("b", B, "late");
    runUntil(time, 1_000);
    expect(heard).not.toContain("b a says late");
    network.mendAll();
    runUntil(time, 1_100);
    expect(heard).toContain("b a says late");
    network.cut(A.address, B.address);
    a.send("b", B, "never");
    runUntil(time, 10_000);
    expect(heard).not.toContain("b a says never");
    expect(heard).toContain("a lost b: no answer");
    expect(a.openCount() + b.openCount()).toBe(0);
  });

  test("a dead process is heard of at once, a dead host only by silence, a stranger's port refuses", () => {
    const { time, links, heard, handler } = world();
    const a = links.listen<string>("a", A, handler("a"));
    const b = links.listen<string>("b", B, handler("b"));
    a.open("b", B);
    runUntil(time, 100);
    b.closeAll();
    runUntil(time, 110);
    expect(heard.at(-1)).toBe("a lost b: closed by the peer");
    a.open("b", B);
    runUntil(time, 200);
    expect(heard.at(-1)).toBe("a lost b: refused");
    const again = links.listen<string>("b", B, handler("b"));
    a.open("b", B);
    runUntil(time, 300);
    again.vanish();
    links.setDark(B.address, true);
    runUntil(time, 10_000);
    expect(heard.at(-1)).toBe("a open b");
    a.send("b", B, "anybody?");
    runUntil(time, 20_000);
    expect(heard.at(-1)).toBe("a lost b: no answer");
  });
});

describe("disk", () => {
  function disk(seed: number) {
    const time = new SimTime();
    const random = prng(seed);
    return { time, disk: new SimDisk(time, random, { latencyMsMin: 1, latencyMsMax: 5 }) };
  }

  test("what was acknowledged survives a power loss; what was not is old or new, never else", () => {
    const fates = new Set<unknown>();
    for (let seed = 1; seed <= 40; seed++) {
      const { time, disk: d } = disk(seed);
      const told: string[] = [];
      d.write("x", 1, () => told.push("first"));
      runUntil(time, 10);
      d.write("x", 2, () => told.push("second"));
      d.write("x", 3, () => told.push("third"));
      d.powerLost();
      runUntil(time, 100);
      expect(told).toEqual(["first"]);
      const read = d.read("x");
      fates.add(read.kind === "document" ? read.document : read.kind);
    }
    expect([...fates].toSorted()).toEqual([1, 2, 3]);
  });

  test("a full disk says so and keeps the old document; a damaged one is reported", () => {
    const { time, disk: d } = disk(1);
    const told: (string | null)[] = [];
    d.write("x", 1, () => {});
    runUntil(time, 10);
    d.setFull(true);
    d.write("x", 2, (failure) => told.push(failure === null ? null : failure.kind));
    runUntil(time, 20);
    expect(told).toEqual(["no-space"]);
    expect(d.read("x")).toEqual({ kind: "document", document: 1 });
    d.damage("x");
    expect(d.read("x").kind).toBe("damaged");
  });
});

describe("processes", () => {
  test("an end is heard once, an unknown program ends with 127, a dead agent hears nothing", () => {
    const time = new SimTime();
    const heard: string[] = [];
    const sleeper: Behaviour = { begin: () => {}, ended: () => heard.push("ended") };
    const processes = new SimProcesses(
      time,
      prng(1),
      { startMsMin: 1, startMsMax: 2, reapMsMax: 3, pidFirst: 100 },
      (command) => (command.argv[0] === "sleep" ? sleeper : null),
    );
    const start = (name: string) =>
      processes.start(
        { argv: [name], cwd: "/", env: {} },
        {
          onStart: (pid) => heard.push(`start ${pid}`),
          onExit: (code, detail) => heard.push(`${code} ${detail}`),
        },
      );
    const child = start("sleep");
    start("nonsense");
    runUntil(time, 10);
    expect(heard.toSorted()).toEqual(["127 nonsense: no such program", "start 100"]);
    child.kill();
    child.kill();
    runUntil(time, 20);
    expect(heard.slice(2)).toEqual(["ended", "null killed by SIGKILL"]);
    start("sleep");
    runUntil(time, 30);
    processes.endAllSilently();
    runUntil(time, 40);
    expect(heard.slice(4)).toEqual(["start 102", "ended"]);
  });
});

describe("the event log", () => {
  test("its hash is equal for equal lines and different for a different time, name or text", () => {
    const hashOf = (at: number, who: string, text: string) => {
      const log = new SimLog(() => at, false);
      log.say(who, text);
      return log.hash();
    };
    expect(hashOf(1, "n1", "hears n2")).toBe(hashOf(1, "n1", "hears n2"));
    const others = [
      hashOf(2, "n1", "hears n2"),
      hashOf(1, "n2", "hears n2"),
      hashOf(1, "n1", "no"),
    ];
    expect(new Set([hashOf(1, "n1", "hears n2"), ...others]).size).toBe(4);
  });
});
