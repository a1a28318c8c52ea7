/**
 * Takes secrets out of texts before they leave a machine: by rules, counted, the same however the bytes are cut into chunks.
 *
 * Bytes are read as Latin-1, one character each, so nothing is lost and a secret in any encoding keeps its bytes together. Rules see one
 * line at a time; a line of more than `LINE_MAX` characters is cut there and the rest of it dropped, since half a line may be the half
 * with the value. What a PEM block begins is dropped until its end, or for `PEM_LINES_MAX` lines where that never comes. When in
 * doubt more is taken out: a log with a hole serves support, a password does not. Every pattern has bounded repetitions, so that no
 * line takes longer than in proportion to its length.
 */
import { HINT, type RedactRule, RULES, SECRET_NAME } from "./redact-rules.ts";

export const LINE_MAX: number = 64 * 1024;
/** A 16384-bit RSA key has 200. */
export const PEM_LINES_MAX = 400;

const PEM_BEGIN = /-{4,5} ?BEGIN [A-Z0-9 ]{0,60}-{4,5}/;
const PEM_END = /-{4,5} ?END [A-Z0-9 ]{0,60}-{4,5}/;
/** More than the longest mark of a beginning. */
const PEM_MARK_MAX = 96;

const IPV6_MIDDLE = "(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,5})?";
const ADDRESS_RULES: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ["mac", /\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b/gi],
  [
    "ip",
    new RegExp(
      [
        "\\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\\b",
        `\\b(?:[0-9a-f]{1,4}:){1,6}:${IPV6_MIDDLE}`,
        "::[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6}",
        "\\b(?:\\d{1,3}\\.){3}\\d{1,3}\\b",
      ].join("|"),
      "gi",
    ),
  ],
];
/** Names for addresses that were seen; those after them share one. */
const ADDRESSES_MAX = 65_536;

export interface RedactSettings {
  /** The user's own, after ours. */
  readonly rules: readonly RedactRule[];
  /** Texts that are secrets wherever they stand, such as the password of the BMC. */
  readonly literals: readonly string[];
  /** IP and MAC addresses become `[ip-1]`, the same address always the same name. */
  readonly hasAddresses: boolean;
}

/** A shorter one would take half of every log with it. */
const LITERAL_MIN = 4;

/** UTF-8 bytes as Latin-1 characters, as a text file's lines are read. */
function asBytes(text: string): string {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return bytes;
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** Rules with their counts; one for a bundle, so that addresses keep their names in all of it. */
export class Redactor {
  readonly #rules: readonly RedactRule[];
  readonly #userRules: readonly RedactRule[];
  readonly #literals: RegExp | null;
  readonly #hasAddresses: boolean;
  readonly #settings: RedactSettings;
  readonly #addresses: Map<string, string>;
  #counts = new Map<string, number>();

  /** `addresses`: names that were given before. */
  constructor(settings: RedactSettings, addresses: Map<string, string> = new Map()) {
    const { rules, literals, hasAddresses } = settings;
    this.#settings = settings;
    this.#addresses = addresses;
    this.#rules = RULES;
    this.#userRules = rules;
    this.#hasAddresses = hasAddresses;
    const long = literals.filter((literal) => literal.length >= LITERAL_MIN);
    const forms = [...new Set(long.flatMap((literal) => [literal, asBytes(literal)]))];
    // The longest first, lest one that begins another leaves the other's end.
    forms.sort((a, b) => b.length - a.length);
    this.#literals = forms.length === 0 ? null : new RegExp(forms.map(escaped).join("|"), "g");
  }

  get ruleNames(): readonly string[] {
    const names = [...this.#rules, ...this.#userRules].map(({ name }) => name);
    const more = [
      ...(this.#literals === null ? [] : ["literal"]),
      ...(this.#hasAddresses ? ["mac", "ip"] : []),
    ];
    return ["pem", ...names, ...more];
  }

  /** With counts of its own, for what is gathered at the same time; addresses keep their names. */
  another(): Redactor {
    return new Redactor(this.#settings, this.#addresses);
  }

  /** What was taken out since the last call, by rule. */
  takeCounts(): Readonly<Record<string, number>> {
    const counts = Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
    this.#counts = new Map();
    return counts;
  }

  count(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  /** One line, without its end; PEM blocks are the caller's. */
  line(line: string): string {
    let text = line;
    if (this.#literals !== null) text = this.#take(text, "literal", this.#literals);
    if (HINT.test(text)) {
      for (const { name, pattern } of this.#rules) text = this.#take(text, name, pattern);
    }
    for (const { name, pattern } of this.#userRules) text = this.#take(text, name, pattern);
    return this.#hasAddresses ? this.#nameAddresses(text) : text;
  }

  /** A text of several lines, as a whole. */
  text(text: string): string {
    const lines = new LineRedactor(this);
    return lines.lines(text) + lines.rest();
  }

  /** JSON: texts by the rules, and whatever stands under a secret's name. Depth is bounded. */
  document(value: unknown, depth = 0): unknown {
    if (typeof value === "string") return this.text(value);
    if (typeof value !== "object" || value === null) return value;
    if (depth > 64) return "[too deep]";
    if (Array.isArray(value)) return value.map((one) => this.document(one, depth + 1));
    const entries = Object.entries(value).map(([name, member]) => {
      const isSecret = SECRET_NAME.test(name) && ["string", "number"].includes(typeof member);
      if (!isSecret || member === "") return [name, this.document(member, depth + 1)];
      this.count("named");
      return [name, "[redacted:named]"];
    });
    return Object.fromEntries(entries);
  }

  #take(text: string, name: string, pattern: RegExp): string {
    return text.replace(pattern, (...match: unknown[]) => {
      this.count(name);
      const last = match.at(-1);
      const groups = (typeof last === "object" && last !== null ? last : {}) as Groups;
      return `${groups.keep ?? ""}[redacted:${name}]${groups.tail ?? ""}`;
    });
  }

  #nameAddresses(line: string): string {
    let text = line;
    for (const [kind, pattern] of ADDRESS_RULES) {
      text = text.replace(pattern, (address) => {
        this.count(kind);
        const key = address.toLowerCase();
        const known = this.#addresses.get(key);
        if (known !== undefined) return known;
        if (this.#addresses.size >= ADDRESSES_MAX) return `[${kind}]`;
        const name = `[${kind}-${this.#addresses.size + 1}]`;
        this.#addresses.set(key, name);
        return name;
      });
    }
    return text;
  }
}

interface Groups {
  readonly keep?: string;
  readonly tail?: string;
}

/** A text that comes in chunks. Holds at most a line. */
export class LineRedactor {
  readonly #redactor: Redactor;
  #pending = "";
  /** Of a line that is too long: the end of what was dropped of it, to see a PEM block begin there. */
  #dropped: string | null = null;
  #pemLinesLeft = 0;
  #cutCount = 0;

  constructor(redactor: Redactor) {
    this.#redactor = redactor;
  }

  /** Characters that were dropped from lines that are too long. */
  get cutCount(): number {
    return this.#cutCount;
  }

  /** Whole lines as far as they have come; Latin-1. */
  lines(chunk: string): string {
    const out: string[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf("\n", start);
      if (end < 0) break;
      this.#gather(chunk.slice(start, end));
      out.push(this.#ended(), "\n");
      start = end + 1;
    }
    this.#gather(chunk.slice(start));
    return out.join("");
  }

  /** What stands after the last line's end. */
  rest(): string {
    return this.#pending === "" && this.#dropped === null ? "" : this.#ended();
  }

  #gather(part: string): void {
    const room = LINE_MAX - this.#pending.length;
    if (part.length <= room && this.#dropped === null) {
      this.#pending += part;
      return;
    }
    this.#pending += part.slice(0, room);
    this.#cutCount += part.length - room;
    const dropped = (this.#dropped ?? this.#pending.slice(-PEM_MARK_MAX)) + part.slice(room);
    if (PEM_BEGIN.test(dropped)) this.#pemLinesLeft = PEM_LINES_MAX + 1;
    this.#dropped = dropped.slice(-PEM_MARK_MAX);
  }

  #ended(): string {
    const isCut = this.#dropped !== null;
    const text = this.#shown(this.#pending);
    this.#pending = "";
    this.#dropped = null;
    if (this.#pemLinesLeft > 0) this.#pemLinesLeft--;
    return isCut ? `${text}[cut: the line is longer than ${LINE_MAX}]` : text;
  }

  /** Without what is of PEM blocks; the rules see what stands around them. */
  #shown(line: string): string {
    let shown = "";
    let rest = line;
    // At most as often as the line has marks.
    for (;;) {
      if (this.#pemLinesLeft > 0 && this.#pemLinesLeft <= PEM_LINES_MAX) {
        const end = PEM_END.exec(rest);
        if (end === null) return shown;
        this.#pemLinesLeft = 0;
        rest = rest.slice(end.index + end[0].length);
      }
      const begin = PEM_BEGIN.exec(rest);
      if (begin === null) return shown + this.#redactor.line(rest);
      this.#redactor.count("pem");
      shown += `${this.#redactor.line(rest.slice(0, begin.index))}[redacted:pem]`;
      rest = rest.slice(begin.index + begin[0].length);
      this.#pemLinesLeft = PEM_LINES_MAX;
    }
  }
}
