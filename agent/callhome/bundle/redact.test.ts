/**
 * Goal: what is a secret never leaves, however the text is cut into chunks, and what is none stays. Method: secrets planted by
 * fast-check into every form that has a rule, the text cut at random places; lines as they stand in real logs.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { LINE_MAX, LineRedactor, PEM_LINES_MAX, Redactor, type RedactSettings } from "./redact.ts";
import { readUserRules } from "./redact-rules.ts";

function redactor(of: Partial<RedactSettings> = {}): Redactor {
  return new Redactor({ rules: [], literals: [], hasAddresses: false, ...of });
}

function latin1(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

function redacted(text: string, cuts: readonly number[] = [], of = redactor()): string {
  const lines = new LineRedactor(of);
  const bytes = latin1(text);
  let out = "";
  let start = 0;
  for (const cut of [...cuts.map((one) => one % (bytes.length + 1)), bytes.length].sort(
    (a, b) => a - b,
  )) {
    out += lines.lines(bytes.slice(start, cut));
    start = cut;
  }
  return Buffer.from(out + lines.rest(), "latin1").toString("utf8");
}

/** Without white space and quotes, which end a bare word; of any script, and never a part of what stands around it. */
const secret = fc
  .string({ unit: "grapheme", minLength: 8, maxLength: 40 })
  .map((text) => `Z9${text.replace(/[\s"'\\@/:\p{Z}\p{Cc}]/gu, "x")}Q7`);
const alphanumeric = fc
  .array(fc.constantFrom(..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), {
    minLength: 40,
    maxLength: 60,
  })
  .map((characters) => `Z9${characters.join("")}`);

const FORMS: readonly (readonly [name: string, form: (secret: string) => string])[] = [
  ["an assignment", (word) => `password=${word}`],
  ["an assignment with spaces", (word) => `DB_PASSWORD = ${word} # for tests`],
  ["a quoted one", (word) => `secret: "${word}"`],
  ["YAML", (word) => `  api_key: ${word}`],
  ["JSON", (word) => JSON.stringify({ user: "bob", password: word, next: 1 })],
  ["JSON in JSON", (word) => JSON.stringify({ m: JSON.stringify({ token: word, b: 2 }) })],
  ["a flag", (word) => `run --password ${word} --verbose`],
  ["a flag with an equals sign", (word) => `run --client-secret=${word}`],
  ["ipmitool", (word) => `COMMAND=/usr/bin/ipmitool -I lanplus -H 10.0.0.1 -U root -P ${word} sel`],
  ["a header", (word) => `> Authorization: Basic ${word}`],
  ["a cookie", (word) => `Set-Cookie: sid=${word}; Path=/`],
  ["a query", (word) => `GET /x?access_token=${word}&b=1`],
  ["SNMP", (word) => `rocommunity ${word} 10.0.0.0/8`],
  ["a Perl hash", (word) => `'passphrase' => '${word}',`],
  ["an environment", (word) => `Environment=AWS_SECRET_ACCESS_KEY=${word}`],
];

describe("a planted secret", () => {
  test.each(FORMS)("in %s does not survive, however the text is cut", (_, form) => {
    fc.assert(
      fc.property(
        secret,
        fc.array(fc.nat({ max: 10_000 }), { maxLength: 8 }),
        fc.string(),
        (word, cuts, noise) => {
          const before = noise.replace(/["'\\]/g, "");
          const text = `${before}\n10:00 app ${form(word)}\nafter\n`;
          const out = redacted(text, cuts);
          expect(out).not.toContain(word);
          expect(out).toContain("[redacted:");
          expect(out).toEndWith("\nafter\n");
          expect(out).toBe(redacted(text));
        },
      ),
      { numRuns: 150 },
    );
  });

  test.each([
    ["bearer", (word: string) => `curl said bearer ${word}`],
    ["url-password", (word: string) => `postgres://app:${word}@db.example.com/x`],
    ["jwt", (word: string) => `got eyJ${word}.${word}.${word}`],
    ["known-token", (word: string) => `push with ghp_${word}`],
    ["known-token", (word: string) => `signed by whsec_${word}=`],
    ["password-hash", (word: string) => `bob:$6$salt$${word}:19000:0:99999:7:::`],
  ] as const)("known by its form (%s) does not survive", (name, form) => {
    fc.assert(
      fc.property(alphanumeric, fc.array(fc.nat(500), { maxLength: 5 }), (word, cuts) => {
        const of = redactor();
        const out = redacted(`one\n${form(word)} x\ntwo`, cuts, of);
        expect(out).not.toContain(word);
        expect(out).toStartWith("one\n");
        expect(out).toEndWith("\ntwo");
        expect(of.takeCounts()).toEqual({ [name]: 1 });
      }),
      { numRuns: 100 },
    );
  });

  test("that is a known text does not survive anywhere, in any script", () => {
    fc.assert(
      fc.property(secret, fc.string(), fc.array(fc.nat(400)), (word, around, cuts) => {
        const of = redactor({ literals: [word] });
        const out = redacted(`${around}${word}${around}\n${word}`, cuts, of);
        expect(out).not.toContain(word);
      }),
    );
  });
});

describe("a PEM block", () => {
  const body = Array.from({ length: 26 }, (_, n) => `MIIEvQ${n}`.padEnd(64, "A"));
  const key = ["-----BEGIN PRIVATE KEY-----", ...body, "Kw==", "-----END PRIVATE KEY-----"];

  test("goes, in lines of its own, behind a log's prefix, or in one line", () => {
    for (const text of [
      key.join("\n"),
      key.map((line) => `Nov 25 10:00:00 n7 app[3]: ${line}`).join("\n"),
      JSON.stringify({ message: key.join("\n") }),
      key.join("\r\n"),
    ]) {
      fc.assert(
        fc.property(fc.array(fc.nat(3_000), { maxLength: 6 }), (cuts) => {
          const of = redactor();
          const out = redacted(`before\n${text}\nafter\n`, cuts, of);
          expect(out).not.toMatch(/MIIEvQ|Kw==/);
          expect(out).toStartWith("before\n");
          expect(out).toEndWith("after\n");
          expect(of.takeCounts()).toEqual({ pem: 1 });
        }),
        { numRuns: 40 },
      );
    }
  });

  test("without an end takes a bounded number of lines with it", () => {
    const lines = Array.from({ length: PEM_LINES_MAX + 50 }, (_, n) => `line ${n}`);
    const out = redacted(`-----BEGIN RSA PRIVATE KEY-----\n${lines.join("\n")}\n`);
    expect(out).not.toContain("line 10\n");
    expect(out).toContain(`line ${PEM_LINES_MAX + 20}\n`);
  });

  test("that begins where a line was cut still goes", () => {
    const long = "y".repeat(LINE_MAX + 500);
    for (const at of [LINE_MAX - 10, LINE_MAX + 100]) {
      const line = `${long.slice(0, at)}-----BEGIN PRIVATE KEY-----`;
      const out = redacted(`${line}\nMIIEsecret\n-----END PRIVATE KEY-----\nafter\n`, [at, at + 9]);
      expect(out).not.toContain("MIIEsecret");
      expect(out).toEndWith("\nafter\n");
    }
  });

  test("twice in one line goes twice", () => {
    const one = "-----BEGIN A-----x-----END A-----";
    expect(redacted(`a ${one} b ${one} c`)).toBe("a [redacted:pem] b [redacted:pem] c");
  });
});

describe("what is no secret", () => {
  test.each([
    "kernel: EDAC MC0: 1 UE memory read error on CPU_SrcID#0_MC#0_Chan#1_DIMM#0",
    "sshd[812]: Failed password for root from 10.0.0.9 port 4022 ssh2",
    "systemd[1]: Started Daily apt download activities.",
    "smartd: Device /dev/sda [SAT], 8 Currently unreadable (pending) sectors",
    "at 10:34:09 UTC node n7 is dead, view 12: n1 n2 n3",
    "https://support.example.com/tickets/1 is where",
    'ipmi: sensor "DIMM_A1" uncorrectable ECC',
    "mce: [Hardware Error]: Machine check events logged",
  ])("stays: %s", (line) => {
    const of = redactor();
    expect(redacted(line, [], of)).toBe(line);
    expect(of.takeCounts()).toEqual({});
  });

  test("is every byte of a file that holds no secret", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), fc.array(fc.nat(2_000)), (bytes, cuts) => {
        const text = Buffer.from(bytes)
          .toString("latin1")
          .replace(/[A-Za-z$:=-]/g, ".");
        const lines = new LineRedactor(redactor());
        let out = "";
        let start = 0;
        for (const cut of [...cuts.map((one) => one % (text.length + 1)), text.length].sort(
          (a, b) => a - b,
        )) {
          out += lines.lines(text.slice(start, cut));
          start = cut;
        }
        expect(out + lines.rest()).toBe(text);
      }),
    );
  });
});

describe("a line that is too long", () => {
  test("is cut, says so, and keeps no half of a secret", () => {
    const line = `${"a ".repeat(LINE_MAX / 2 - 6)}password=hunter2hunter2hunter2`;
    const of = redactor();
    const lines = new LineRedactor(of);
    const out = lines.lines(`${line}\nnext\n`) + lines.rest();
    expect(out).not.toContain("hunter2");
    expect(out).toContain("[cut: the line is longer than 65536]");
    expect(out).toEndWith("\nnext\n");
    expect(lines.cutCount).toBe(line.length - LINE_MAX);
  });

  test("takes time in proportion to its length, whatever it repeats", () => {
    for (const piece of [
      "password",
      "eyJ",
      "-----BEGIN ",
      '"',
      "\\",
      "a=",
      "://a:",
      "ipmi -P ",
      "$6$",
    ]) {
      const line = piece.repeat(Math.floor(LINE_MAX / piece.length));
      const began = performance.now();
      redacted(`${line}\n${line}\n`);
      expect(performance.now() - began).toBeLessThan(2_000);
    }
  });
});

describe("a document", () => {
  test("loses what stands under a secret's name, and secrets in its texts", () => {
    const of = redactor();
    const out = of.document({
      user: "bob",
      password: "hunter2",
      list: [{ token: 12345, note: "token=abc" }],
      nested: { Authorization: "Basic x" },
      empty: { secret: "" },
    });
    expect(out).toEqual({
      user: "bob",
      password: "[redacted:named]",
      list: [{ token: "[redacted:named]", note: "token=[redacted:named]" }],
      nested: { Authorization: "[redacted:named]" },
      empty: { secret: "" },
    });
    expect(of.takeCounts()).toEqual({ named: 4 });
  });
});

describe("addresses", () => {
  test("get the same name wherever they stand, where that is asked for", () => {
    const of = redactor({ hasAddresses: true });
    const text = "10.0.0.1 asks fe80::1 and 10.0.0.1 at 10:00:00, 3c:ec:ef:00:11:22\n10.0.0.2";
    expect(redacted(text, [], of)).toBe(
      "[ip-2] asks [ip-3] and [ip-2] at 10:00:00, [mac-1]\n[ip-4]",
    );
  });
});

test("the user's rules come after ours, and may keep a part", () => {
  const rules = [{ name: "asset", pattern: /(?<keep>asset )AT-\d+/g }];
  const of = redactor({ rules });
  expect(redacted("asset AT-1234 password=x", [], of)).toBe(
    "asset [redacted:asset] password=[redacted:named]",
  );
  expect(of.ruleNames).toContain("asset");
});

describe("the user's file", () => {
  test("gives rules, with or without regard to case", () => {
    const read = readUserRules({
      addresses: true,
      rule: [{ name: "asset", pattern: "at-[0-9]+", "ignore-case": true }],
    });
    if (!read.ok) throw new Error(read.error);
    expect(redacted("AT-12 at 10.0.0.1", [], redactor({ ...read.value }))).toBe(
      "[redacted:asset] at [ip-1]",
    );
    expect(readUserRules({})).toEqual({ ok: true, value: { rules: [], hasAddresses: false } });
  });

  test.each([
    [{ rule: [{ name: "x" }] }, "rule.0.pattern: is missing"],
    [{ rule: [{ name: "X y", pattern: "a" }] }, "rule.0.name: must be small letters"],
    [{ rule: [{ name: "x", pattern: "(" }] }, "rule x: its pattern is no regular expression"],
    [{ rule: [{ name: "x", pattern: "a*" }] }, "rule x: its pattern fits where nothing stands"],
    [{ rules: [] }, "Unrecognized key"],
    [{ addresses: "yes" }, "addresses: must be true or false"],
  ])("that says %j is refused by the name of the rule", (document, why) => {
    const read = readUserRules(document);
    expect(read.ok).toBe(false);
    if (!read.ok) expect(read.error).toContain(why);
  });
});
