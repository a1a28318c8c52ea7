/**
 * By which forms and names secrets are known in texts: ours, and those that a user adds.
 *
 * Patterns see one line, read as Latin-1. Every repetition is bounded or cannot be begun anew within itself, so a line costs time in
 * proportion to its length. White space is only that of ASCII: in Latin-1 a byte of UTF-8 may look like a no-break space, and half a
 * password would stay.
 */
import { z } from "zod";
import { err, ok, type Result } from "../../../core/result.ts";

/** What `keep` and `tail` name in a match stays, the rest becomes `[redacted:NAME]`. */
export interface RedactRule {
  readonly name: string;
  /** With the flag `g`. */
  readonly pattern: RegExp;
}

const SPACE = "\\t\\n\\v\\f\\r ";
/** Up to white space; or up to the closing quote, where one that JSON within JSON has escaped counts as a quote. */
const VALUE = `(?:\\\\{0,8}"(?:[^"\\\\]|\\\\.)*"?|'(?:[^'\\\\]|\\\\.)*'?|[^${SPACE}]+)`;

const SECRET_WORDS: string = [
  "passw(?:or)?d",
  "passphrase",
  "passcode",
  "pwd",
  "secret",
  "token",
  "credential",
  "(?:api|access|private|auth|routing|license|encryption|client|shared|kg)[_-]?key",
  "psk",
  "session[_-]?id",
  "community",
  "bindpw",
  "otp",
  "pin[_-]?code",
].join("|");

const SEPARATOR = "(?:\\\\{0,8}[\"'])?[\\t ]{0,8}(?:=>|:=|[:=])[\\t ]{0,8}";

const KNOWN_TOKENS: string = [
  "\\b(?:AKIA|ASIA)[0-9A-Z]{16}\\b",
  "\\bgh[pousr]_\\w{20,255}",
  "\\bgithub_pat_\\w{20,255}",
  "\\bglpat-[\\w-]{20,64}",
  "\\bxox[abposr]-[\\w-]{10,255}",
  "\\bwhsec_[A-Za-z0-9+/=]{16,100}",
  "\\bsk_(?:live|test)_\\w{16,255}",
  "\\bAIza[\\w-]{35}",
].join("|");

const SECRET_HEADERS: string = [
  "\\b(?:proxy-)?authorization[\"']?[\\t ]{0,8}[:=]",
  "\\b(?:set-)?cookie[\"']?[\\t ]{0,8}:",
  "\\bx-(?:auth|api|csrf)[a-z-]{0,20}[\"']?[\\t ]{0,8}:",
].join("|");

/** In the order in which they look: what is known by its form comes first, lest it is read as the name of something. */
export const RULES: readonly RedactRule[] = [
  { name: "jwt", pattern: /\beyJ[\w-]{5,4096}\.[\w-]{5,4096}\.[\w-]{0,4096}/g },
  { name: "known-token", pattern: new RegExp(KNOWN_TOKENS, "g") },
  {
    name: "password-hash",
    pattern: /\$(?:1|2[abxy]?|5|6|y|7|gy|argon2(?:id|i|d))\$[^\t\n\v\f\r :"',]{8,512}/g,
  },
  { name: "header", pattern: new RegExp(`(?<keep>(?:${SECRET_HEADERS})[\\t ]{0,8})[^\\n]+`, "gi") },
  {
    name: "bearer",
    pattern:
      /(?<keep>\b(?:bearer|basic|geniekey|digest|negotiate)[\t ]{1,8})[A-Za-z0-9+/=._~-]{8,}/gi,
  },
  {
    name: "url-password",
    pattern:
      /(?<keep>\b[a-z][a-z0-9+.-]{0,20}:\/\/[^\t\n\v\f\r :@/"']{0,256}:)[^\t\n\v\f\r @/"']{1,512}(?<tail>@)/gi,
  },
  {
    name: "flag",
    pattern: new RegExp(
      `(?<keep>(?:^|[\\t "'])--?(?:${SECRET_WORDS})[\\w.-]{0,40}[\\t ]{1,8})(?!-)${VALUE}`,
      "gi",
    ),
  },
  // Of ipmitool and the like: password, Kg.
  {
    name: "ipmi-flag",
    pattern: new RegExp(
      `(?<keep>\\bipmi[a-z-]{0,20}[^\\n]{0,400}?[\\t ]-[PKky][\\t ]{0,8})${VALUE}`,
      "g",
    ),
  },
  {
    name: "named",
    pattern: new RegExp(`(?<keep>(?:${SECRET_WORDS})[\\w.-]{0,40}${SEPARATOR})${VALUE}`, "gi"),
  },
  { name: "snmp-community", pattern: /(?<keep>\br[ow]community6?[\t ]{1,8})[^\t\n\v\f\r ]+/gi },
];

/** One look tells of most lines that no rule has anything to do with them. */
export const HINT: RegExp = new RegExp(
  [
    SECRET_WORDS,
    "authorization|cookie|bearer|basic|geniekey|digest|negotiate|x-(?:auth|api|csrf)|://|ipmi|community",
    "eyJ|akia|asia|gh[pousr]_|github_pat|glpat|xox|whsec|sk_|aiza|\\$",
  ].join("|"),
  "i",
);

/** A name in JSON whose value is a secret whatever it looks like. */
export const SECRET_NAME: RegExp = new RegExp(
  `(?:${SECRET_WORDS})|^authorization$|^(?:set-)?cookie$`,
  "i",
);

export interface UserRules {
  readonly rules: readonly RedactRule[];
  readonly hasAddresses: boolean;
}

const USER_RULES_MAX = 200;

const userSchema = z.strictObject({
  addresses: z.boolean("must be true or false").default(false),
  rule: z
    .array(
      z.strictObject({
        name: z
          .string("is missing: what stands in place of it")
          .regex(/^[a-z0-9][a-z0-9-]{0,40}$/, "must be small letters, digits, dashes"),
        pattern: z.string("is missing: a regular expression").min(1).max(1_000),
        "ignore-case": z.boolean("must be true or false").default(false),
      }),
    )
    .max(USER_RULES_MAX, `may be ${USER_RULES_MAX}`)
    .default([]),
});

/**
 * What a user's TOML file says, already parsed. The error is one line that names the rule.
 *
 *   addresses = true               # IP and MAC addresses become [ip-1], [mac-2]
 *   [[rule]]
 *   name = "asset"                 # becomes [redacted:asset]
 *   pattern = "(?<keep>asset )AT-[0-9]+"
 *   ignore-case = true
 */
export function readUserRules(document: unknown): Result<UserRules, string> {
  const parsed = userSchema.safeParse(document);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return err(`${issue?.path.join(".") || "the file"}: ${issue?.message ?? "is not understood"}`);
  }
  const rules: RedactRule[] = [];
  for (const { name, pattern, ...rest } of parsed.data.rule) {
    try {
      const made = new RegExp(pattern, rest["ignore-case"] ? "gi" : "g");
      if (made.test("")) return err(`rule ${name}: its pattern fits where nothing stands`);
      made.lastIndex = 0;
      rules.push({ name, pattern: made });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      return err(`rule ${name}: its pattern is no regular expression (${why})`);
    }
  }
  return ok({ rules, hasAddresses: parsed.data.addresses });
}
