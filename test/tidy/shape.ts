/**
 * The outer shape of files: a head comment, a length one can read, lines that fit, text and nothing else, nothing of the
 * machine they were written on, and pointers into native code from one file only.
 */
import { codeOf, isTest, type Source } from "./sources.ts";

/** A file that is longer for a reason. */
export const LONG_FILES: Readonly<Record<string, string>> = {};

export const LINES_MAX = 400;
export const TEST_LINES_MAX = 600;
/** The formatter keeps code at 100; comments may be a little wider. */
export const COLUMNS_MAX = 140;

/** A file opens with a comment of at least this much, or a reader does not know what it decides. */
const HEAD_CHARS_MIN = 40;

export function withoutHead(sources: readonly Source[]): readonly string[] {
  return sources
    .filter(({ text }) => {
      const head = /^(?:#!.*\n)?\/\*\*([\s\S]*?)\*\//.exec(text)?.[1] ?? "";
      return head.replace(/[\s*]+/g, " ").trim().length < HEAD_CHARS_MIN;
    })
    .map(({ path }) => `${path}: opens without a comment that says what it is for`);
}

export function tooLong(sources: readonly Source[]): readonly string[] {
  return sources.flatMap(({ path, text }) => {
    const lines = text.split("\n").length - 1;
    const most = isTest(path) ? TEST_LINES_MAX : LINES_MAX;
    return lines > most && !(path in LONG_FILES)
      ? [`${path}: ${lines} lines, at most ${most}`]
      : [];
  });
}

/** URLs, long hexadecimal digits, and a message to the user in one literal, which must be one line and can be searched for. */
const UNBREAKABLE = /https?:\/\/|[0-9a-f]{32}|[`"'].{60,}[`"'][,;)]*$/i;

export function tooWide(sources: readonly Source[]): readonly string[] {
  return sources.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, index) => {
      return line.length > COLUMNS_MAX && !UNBREAKABLE.test(line)
        ? [`${path}:${index + 1}: ${line.length} columns, at most ${COLUMNS_MAX}`]
        : [];
    }),
  );
}

/** Native code that keeps a pointer into a small typed array writes into freed memory later: one file knows how. */
export function pointersOutside(sources: readonly Source[]): readonly string[] {
  return sources
    .filter(({ path }) => path !== "core/io/native.ts")
    .flatMap(({ path, text }) =>
      codeOf(text)
        .split("\n")
        .flatMap((line, index) =>
          /(?<![.\w$])ptr\s*\(/.test(line) ? [`${path}:${index + 1}: ptr() outside native.ts`] : [],
        ),
    );
}

const MACHINE: readonly (readonly [RegExp, string])[] = [
  [/(?<![\w.-])\/(?:work|root|home\/\w+|Users)\/[\w.]/, "a path of somebody's machine"],
  [/\bregistry\.[a-z0-9.-]+\.[a-z]{2,}/i, "a registry's host"],
  [
    /\b(?:npm|node|proxy|mirror|artifactory|nexus)\.[a-z0-9-]+\.(?:internal|corp|local|lan)\b/i,
    "a private host",
  ],
];

export function machineNames(sources: readonly Source[]): readonly string[] {
  return sources.flatMap(({ path, text }) =>
    text
      .split("\n")
      .flatMap((line, index) =>
        MACHINE.filter(([pattern]) => pattern.test(line)).map(
          ([, what]) => `${path}:${index + 1}: ${what}`,
        ),
      ),
  );
}

export function isBinary(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 8_000).includes(0);
}
