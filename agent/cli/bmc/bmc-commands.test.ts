/**
 * Goal: what each `bmc` command prints for people and for machines, what it asks of the BMC, and with which code it ends.
 * Method: the commands on a BMC made of a script, with a clock of the test's own; printed texts are compared as a whole.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommanderError } from "commander";
import { BMC_ERRORS, bmcError } from "../../../bmc/bmc-error.ts";
import { err, ok } from "../../../core/result.ts";
import { bmcCommand } from "../bmc.ts";
import { CliError } from "../cli-error.ts";
import { FAKE_IDENTITY, FAKE_SENSORS, FakeBmc, fakeEvent, REFUSED } from "./harness/fake-bmc.ts";
import type { BmcWorld } from "./world.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-bmc-cli-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly said: string;
}

class Scene {
  readonly bmc: FakeBmc = new FakeBmc();
  readonly opened: string[] = [];
  readonly stop: AbortController = new AbortController();
  readonly shown: string[] = [];
  env: Record<string, string> = { HOLDFAST_BMC: "lan://admin@bmc.example" };
  openError: Parameters<typeof err>[0] | null = null;
  isTerminal = false;
  nowMs: number = Date.UTC(2026, 10, 23);
  readonly #out: string[] = [];
  readonly #said: string[] = [];
  #code = 0;

  get out(): string {
    return this.#out.join("\n");
  }

  #world(): BmcWorld {
    return {
      open: (url, { passwordFile }) => {
        this.opened.push(passwordFile === null ? url : `${url} with ${passwordFile}`);
        const { openError } = this;
        if (openError !== null) return Promise.resolve(err(openError as typeof REFUSED));
        return Promise.resolve(ok(this.bmc));
      },
      env: this.env,
      print: (text) => this.#out.push(text),
      say: (text) => this.#said.push(text),
      showProgress: this.isTerminal ? (text) => this.shown.push(text) : null,
      nowMs: () => this.nowMs,
      sleep: (ms) => {
        this.nowMs += ms;
        return Promise.resolve();
      },
      interrupted: this.stop.signal,
      setExitCode: (code) => {
        this.#code = code;
      },
    };
  }

  async run(...args: readonly string[]): Promise<Ended> {
    const command = bmcCommand(this.#world());
    for (const one of [
      command,
      ...command.commands,
      ...command.commands.flatMap((c) => c.commands),
    ]) {
      one
        .exitOverride()
        .configureOutput({ writeErr: () => undefined, writeOut: (text) => this.#out.push(text) });
    }
    try {
      await command.parseAsync(args, { from: "user" });
    } catch (error) {
      if (error instanceof CliError) {
        this.#code = error.exitCode;
        this.#said.push(
          [error.message, error.remedy].filter((part) => part !== undefined).join("; "),
        );
      } else if (error instanceof CommanderError) {
        this.#code = error.exitCode === 0 ? 0 : 2;
        this.#said.push(error.message);
      } else throw error;
    }
    return { code: this.#code, out: this.out, said: this.#said.join("\n") };
  }
}

describe("bmc info", () => {
  test("shows who the BMC is, aligned", async () => {
    const scene = new Scene();
    const ended = await scene.run("info");
    expect(ended.out).toMatchInlineSnapshot(`
      "manufacturer  Dell Inc. (674)
      product       PowerEdge
      product id    0x0100 (256)
      serial        ABC1234
      firmware      6.10
      protocol      2.0
      device id     0x20 (32)
      system guid   00112233445566778899aabbccddeeff
      self test     passed
      supports      sel, sdr, fru, chassis"
    `);
    expect(ended).toMatchObject({ code: 0, said: "" });
    expect(scene.opened).toEqual(["lan://admin@bmc.example"]);
    expect(scene.bmc.isClosed).toBe(true);
  });

  test("gives machines the identity as it is", async () => {
    expect(JSON.parse((await new Scene().run("info", "--json")).out)).toEqual(FAKE_IDENTITY);
  });
});

describe("which BMC", () => {
  test("is told by the flag, which wins over the environment, and where the password is", async () => {
    const scene = new Scene();
    await scene.run("info", "--bmc", "kcs:/dev/ipmi0", "--password-file", "/etc/secret");
    expect(scene.opened).toEqual(["kcs:/dev/ipmi0 with /etc/secret"]);
  });

  test("must be told", async () => {
    const scene = new Scene();
    scene.env = {};
    const ended = await scene.run("info");
    expect(ended.code).toBe(2);
    expect(ended.said).toContain("--bmc is missing");
    expect(ended.said).toContain("HOLDFAST_BMC");
  });
});

describe("an error of the BMC", () => {
  test.each(Object.entries(BMC_ERRORS))(
    "%s ends with the code of its kind",
    async (kind, { exitCode }) => {
      const scene = new Scene();
      scene.bmc.error = bmcError(kind as keyof typeof BMC_ERRORS, "what went wrong");
      const ended = await scene.run("sensors");
      expect(ended).toMatchObject({ code: exitCode, out: "" });
      expect(ended.said).toStartWith(
        `${BMC_ERRORS[kind as keyof typeof BMC_ERRORS].title}: lan://bmc.example: what went wrong`,
      );
      expect(ended.said).not.toContain("\n");
      expect(scene.bmc.isClosed).toBe(true);
    },
  );

  test("while opening never repeats what stands before the @ of a URL", async () => {
    const scene = new Scene();
    scene.openError = bmcError("bad-url", "a password does not belong in a URL");
    const ended = await scene.run("info", "--bmc", "lan://admin:secret@bmc.example");
    expect(ended.code).toBe(2);
    expect(ended.said).not.toContain("secret");
  });
});

describe("bmc sel", () => {
  const scene = (): Scene => {
    const made = new Scene();
    made.bmc.entries = [
      { recordId: "0x0001", event: fakeEvent(1) },
      {
        recordId: "0x0002",
        event: fakeEvent(7200, {
          severity: "warning",
          category: "temperature",
          subject: "CPU0 Temp",
          text: "upper non-critical going high\u001b[31m",
        }),
      },
      { recordId: "0x0003", event: fakeEvent(3, { whenMs: null, severity: "information" }) },
    ];
    return made;
  };

  test("shows the log, oldest first, with nothing in it that drives a terminal", async () => {
    expect((await scene().run("sel")).out).toMatchInlineSnapshot(`
      "ID      TIME                  SEVERITY     CATEGORY     EVENT
      0x0001  2026-11-22 10:36:43Z  critical     memory       DIMM A1: uncorrectable ECC error
      0x0002  2026-11-22 12:36:42Z  warning      temperature  CPU0 Temp: upper non-critical going high\\x1b[31m
      0x0003  time unknown          information  memory       DIMM A1: uncorrectable ECC error"
    `);
  });

  test("gives machines the whole log", async () => {
    const log = JSON.parse((await scene().run("sel", "--json")).out);
    expect(log).toMatchObject({ isOverflowed: false, freeBytes: 4096 });
    expect(log.entries[0]).toEqual({ recordId: "0x0001", event: fakeEvent(1) });
  });

  test("leaves out what is older or less grave, but never what has no time", async () => {
    const ids = async (...flags: string[]) =>
      JSON.parse((await scene().run("sel", "--json", ...flags)).out).entries.map(
        (entry: { recordId: string }) => entry.recordId,
      );
    expect(await ids("--since", "2026-11-22T11:00:00Z")).toEqual(["0x0002", "0x0003"]);
    expect(await ids("--since", "12h")).toEqual(["0x0002", "0x0003"]);
    expect(await ids("--least", "warning")).toEqual(["0x0001", "0x0002"]);
  });

  test("says on standard error that the log has overflowed", async () => {
    const full = scene();
    full.bmc.isOverflowed = true;
    const ended = await full.run("sel");
    expect(ended.said).toContain("overflowed");
    expect(ended.code).toBe(0);
  });

  test("that is empty says so", async () => {
    expect((await new Scene().run("sel")).out).toBe("no entries");
  });

  test("shows its progress on a terminal and takes it away", async () => {
    const long = scene();
    long.isTerminal = true;
    long.bmc.progress = [
      { done: 10, total: 5000 },
      { done: 600, total: 5000 },
    ];
    const onProgress = long.bmc.log.bind(long.bmc);
    long.bmc.log = (options) => {
      long.nowMs += 150;
      return onProgress(options);
    };
    await long.run("sel");
    expect(long.shown).toEqual(["10 of 5000 entries", ""]);
  });

  test("--clear removes every entry, and refuses to remove a part", async () => {
    const whole = scene();
    expect((await whole.run("sel", "--clear")).out).toBe(
      "the event log of lan://bmc.example is cleared",
    );
    expect(whole.bmc.asked).toEqual(["clearLog"]);
    const part = scene();
    expect((await part.run("sel", "--clear", "--since", "1d")).code).toBe(2);
    expect(part.bmc.asked).toEqual([]);
  });

  test("refuses a moment or a severity that is none", async () => {
    for (const flags of [
      ["--since", "soon"],
      ["--since", "2026-13-40"],
      ["--least", "bad"],
    ]) {
      expect((await scene().run("sel", ...flags)).code).toBe(2);
    }
  });
});

describe("bmc sensors", () => {
  test("shows readings and states", async () => {
    expect((await new Scene().run("sensors")).out).toMatchInlineSnapshot(`
      "NO    NAME         CATEGORY      READING  STATUS
      0x30  CPU0 Temp    temperature   41 °C    ok
      0x41  P12V\\x1b[2J  voltage       13.1 V   upper-critical
      -     PSU1 Status  power-supply  -        presence detected, power supply failure detected"
    `);
  });

  test("shows limits where asked, of the wanted kind only", async () => {
    const ended = await new Scene().run("sensors", "--thresholds", "--category", "temperature");
    expect(ended.out).toMatchInlineSnapshot(`
      "NO    NAME       CATEGORY     READING  STATUS  LNR  LC  LNC  UNC  UC  UNR
      0x30  CPU0 Temp  temperature  41 °C    ok      0    5   10   70   80  90.5"
    `);
  });

  test("gives machines every digit", async () => {
    expect(JSON.parse((await new Scene().run("sensors", "--json")).out)).toEqual(
      JSON.parse(JSON.stringify(FAKE_SENSORS)),
    );
  });
});

describe("bmc fru", () => {
  test("shows the fields of each device", async () => {
    const scene = new Scene();
    scene.bmc.fruDevices = [
      {
        id: 0,
        name: "Mainboard",
        fields: [
          ["board.maker", "ACME"],
          ["board.serial", "X1"],
        ],
        problems: [],
      },
      { id: 7, name: "Riser", fields: [], problems: [] },
    ];
    const ended = await scene.run("fru");
    expect(ended.out).toMatchInlineSnapshot(`
      "fru 0: Mainboard
        board.maker   ACME
        board.serial  X1

      fru 7: Riser
        no fields"
    `);
    expect(ended.code).toBe(0);
  });

  test("with a wrong checksum shows the rest, says so, and does not end with 0", async () => {
    const scene = new Scene();
    const problems = [bmcError("bad-checksum", "board area: the checksum is wrong")];
    scene.bmc.fruDevices = [
      { id: 0, name: "Mainboard", fields: [["product.name", "N"]], problems },
    ];
    const ended = await scene.run("fru");
    expect(ended.out).toMatchInlineSnapshot(`
      "fru 0: Mainboard
        product.name  N
        damaged: a checksum is wrong: board area: the checksum is wrong"
    `);
    expect(ended.said).toBe(
      "holdfast: lan://bmc.example: fru 0 (Mainboard): board area: the checksum is wrong",
    );
    expect(ended.code).toBe(91);
  });
});

describe("bmc power", () => {
  test("shows how it stands", async () => {
    const ended = await new Scene().run("power");
    expect(ended.out).toMatchInlineSnapshot(`
      "power            on
      after a failure  previous
      last cause       power button
      faults           drive fault"
    `);
    expect(JSON.parse((await new Scene().run("power", "status", "--json")).out)).toEqual({
      isOn: true,
      restorePolicy: "previous",
      lastCause: "power button",
      faults: ["drive fault"],
    });
  });

  test("does what it is told, without claiming that it happened", async () => {
    for (const action of ["on", "off", "soft-off", "cycle", "reset", "nmi"]) {
      const scene = new Scene();
      const ended = await scene.run("power", action);
      expect(scene.bmc.asked).toEqual([`control ${action}`]);
      expect(ended.out).toContain("is accepted");
    }
  });

  test("off --wait ends when the machine was seen off, through a BMC that is away meanwhile", async () => {
    const scene = new Scene();
    scene.bmc.powerStates = [true, bmcError("timeout", "no answer"), true, false];
    const ended = await scene.run("power", "off", "--wait");
    expect(ended).toMatchObject({ code: 0, out: "off is done: power is off after 0.6 s" });
  });

  test("off --wait that the machine does not follow ends with 75, and names the limit", async () => {
    const scene = new Scene();
    const ended = await scene.run("power", "off", "--within", "5s");
    expect(ended.code).toBe(75);
    expect(ended.out).toBe("");
    expect(ended.said).toContain("off was accepted, but after 5 s the machine is on");
  });

  test("cycle --wait wants to see off, then on", async () => {
    const scene = new Scene();
    scene.bmc.powerStates = [true, true, false, false, true];
    const ended = await scene.run("power", "cycle", "--wait", "--json");
    expect(JSON.parse(ended.out)).toEqual({
      action: "cycle",
      verified: true,
      tookMs: 800,
      isOn: true,
    });
    const never = await new Scene().run("power", "cycle", "--wait");
    expect(never.code).toBe(75);
    expect(never.said).toContain("was never seen off");
  });

  test("an error that does not pass ends the waiting at once", async () => {
    const scene = new Scene();
    scene.bmc.powerStates = [bmcError("privilege-too-low", "Get Chassis Status")];
    expect((await scene.run("power", "off", "--wait")).code).toBe(85);
    expect(scene.nowMs).toBe(new Scene().nowMs);
  });

  test("what cannot be seen cannot be waited for, and an unknown action is refused", async () => {
    const scene = new Scene();
    expect((await scene.run("power", "reset", "--wait")).code).toBe(2);
    expect((await scene.run("power", "explode")).code).toBe(2);
    expect(scene.bmc.asked).toEqual([]);
  });

  test("that is refused says so", async () => {
    const scene = new Scene();
    scene.bmc.error = REFUSED;
    expect(await scene.run("power", "cycle")).toMatchObject({ code: 87, out: "" });
  });
});

describe("bmc watchdog, identify, raw", () => {
  test("the watchdog is shown, set, fed and stopped", async () => {
    expect((await new Scene().run("watchdog")).out).toMatchInlineSnapshot(`
      "watchdog  running
      use       sms-os
      action    cycle
      timeout   120 s
      left      61.3 s"
    `);
    const scene = new Scene();
    await scene.run("watchdog", "set", "--action", "reset", "--timeout", "1.5m");
    await scene.run("watchdog", "feed");
    await scene.run("watchdog", "off");
    await scene.run("watchdog", "status", "--json");
    expect(scene.bmc.asked).toEqual([
      "setWatchdog reset 90000",
      "resetWatchdog",
      "stopWatchdog",
      "watchdog",
    ]);
    expect((await scene.run("watchdog", "set", "--action", "reset")).code).toBe(2);
  });

  test("the machine blinks as long as it is told", async () => {
    const scene = new Scene();
    for (const how of [[], ["255"], ["on"], ["off"], ["30s"]]) await scene.run("identify", ...how);
    expect(scene.bmc.asked).toEqual([
      "identify 15",
      "identify 255",
      "identify on",
      "identify off",
      "identify 30",
    ]);
    for (const how of ["0", "256", "1.5", "blink"]) {
      expect((await scene.run("identify", how)).code).toBe(2);
    }
  });

  test("a raw message goes as it is, its reply comes as it is", async () => {
    const scene = new Scene();
    const ended = await scene.run("raw", "06", "0x24", "84", "0", "ff");
    expect(scene.bmc.asked).toEqual(["raw 6 36 8400ff"]);
    expect(ended).toMatchObject({ out: "00 20 81", code: 0 });
    for (const wrong of [
      ["07", "1"],
      ["40", "1"],
      ["6", "zz"],
      ["6", "100"],
      ["6", "1", "g"],
      ["6"],
    ]) {
      expect((await new Scene().run("raw", ...wrong)).code).toBe(2);
    }
  });

  test("a raw message that is refused prints the reply and ends with 87", async () => {
    const scene = new Scene();
    scene.bmc.reply = Uint8Array.of(0xc1);
    const ended = await scene.run("raw", "6", "1", "--json");
    expect(JSON.parse(ended.out)).toEqual({ completionCode: 0xc1, data: "" });
    expect(ended.code).toBe(87);
  });
});

describe("bmc watch", () => {
  test("tells events and notices as they come, and keeps what it told", async () => {
    const state = join(folder, "fresh.json");
    const scene = new Scene();
    const running = scene.run("watch", "--json", "--state", state, "--poll", "2s");
    await Bun.sleep(0);
    const { handlers, watchOptions } = scene.bmc;
    expect(watchOptions).toEqual({ pollMs: 2000, memory: null, tellsOld: false });
    handlers?.onEvent(fakeEvent(1));
    handlers?.onMemory({ told: 1 });
    handlers?.onNotice({ kind: "cleared" });
    handlers?.onMemory({ told: 2 });
    scene.stop.abort(0);
    const ended = await running;
    expect(JSON.parse(ended.out)).toEqual(fakeEvent(1));
    expect(ended).toMatchObject({
      code: 0,
      said: "holdfast: lan://bmc.example: its event log was cleared",
    });
    expect(scene.bmc.asked).toEqual(["watch stopped"]);
    expect(scene.bmc.isClosed).toBe(true);
    expect(JSON.parse(readFileSync(state, "utf8"))).toEqual({
      format: "holdfast watch 1",
      url: "lan://bmc.example",
      memory: { told: 2 },
    });
  });

  test("goes on from what it kept", async () => {
    const kept = { format: "holdfast watch 1", url: "lan://bmc.example", memory: { told: 2 } };
    const state = join(folder, "kept.json");
    writeFileSync(state, JSON.stringify(kept));
    const scene = new Scene();
    const running = scene.run("watch", "--old", "--state", state);
    await Bun.sleep(0);
    scene.stop.abort(0);
    await running;
    expect(scene.bmc.watchOptions).toEqual({ pollMs: 5000, memory: { told: 2 }, tellsOld: true });
  });

  test("shows an event to people as one line", async () => {
    const scene = new Scene();
    const running = scene.run("watch");
    await Bun.sleep(0);
    scene.bmc.handlers?.onEvent(fakeEvent(1, { subject: "DIMM\nA1", text: "two\nlines" }));
    scene.stop.abort(0);
    expect((await running).out).toMatchInlineSnapshot(
      `"2026-11-22 10:36:43Z  critical     memory  DIMM\\x0aA1: two\\x0alines"`,
    );
  });

  test("refuses a memory of another BMC, a damaged one, and a place it cannot write to", async () => {
    const other = join(folder, "other.json");
    const saved = { format: "holdfast watch 1", url: "lan://other", memory: {} };
    writeFileSync(other, JSON.stringify(saved));
    const foreign = await new Scene().run("watch", "--state", other);
    expect(foreign.code).toBe(2);
    expect(foreign.said).toContain("was written for lan://other");
    writeFileSync(other, JSON.stringify(saved).slice(0, -9));
    expect((await new Scene().run("watch", "--state", other)).code).toBe(65);
    const scene = new Scene();
    const running = scene.run("watch", "--state", join(folder, "no", "such", "folder"));
    await Bun.sleep(0);
    scene.bmc.handlers?.onMemory({ told: 1 });
    const ended = await running;
    expect(ended.code).toBe(73);
    expect(scene.bmc.isClosed).toBe(true);
  });
});

describe("Ctrl-C", () => {
  test("ends what waits for a BMC, and closes the session", async () => {
    const scene = new Scene();
    scene.bmc.isSilent = true;
    const running = scene.run("sel");
    await Bun.sleep(0);
    scene.stop.abort(130);
    expect(await running).toMatchObject({ code: 130, out: "" });
    expect(scene.bmc.isClosed).toBe(true);
  });
});

describe("help", () => {
  test.each(["info", "sel", "sensors", "fru", "power", "watchdog", "identify", "raw", "watch"])(
    "of %s has examples and exit codes",
    async (name) => {
      const { out } = await new Scene().run(name, "--help");
      expect(out).toContain("Examples:");
      expect(out).toContain("Exit codes:");
      for (const { exitCode } of Object.values(BMC_ERRORS)) {
        expect(out.slice(out.indexOf("Exit codes:"))).toMatch(new RegExp(`\\b${exitCode} [a-z]`));
      }
      expect(out).toContain(`holdfast bmc ${name}`);
    },
  );
});
