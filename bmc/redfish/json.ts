/**
 * Reading JSON that a Redfish service made: every reader is total, and what is missing or of another type is null or empty.
 *
 * Services differ in what they leave out, add, and send as null; a reader that insists would refuse most of them. Only own
 * properties are looked at, so nothing that comes from outside reaches a prototype.
 */
export type JsonObject = Readonly<Record<string, unknown>>;

const EMPTY: JsonObject = {};

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The object itself, or one without properties. */
export function asObject(value: unknown): JsonObject {
  return isObject(value) ? value : EMPTY;
}

export function at(value: unknown, ...path: readonly string[]): unknown {
  let here = value;
  for (const name of path) {
    if (!isObject(here) || !Object.hasOwn(here, name)) return null;
    here = here[name];
  }
  return here;
}

/** Control characters would break a line of output or a terminal; they become spaces. */
export function cleanText(text: string, charsMax: number): string {
  let clean = "";
  for (const char of text.length > charsMax ? `${text.slice(0, charsMax - 1)}…` : text) {
    const code = char.codePointAt(0) ?? 0;
    clean += code < 0x20 || (code >= 0x7f && code < 0xa0) ? " " : char;
  }
  return clean.replace(/ {2,}/g, " ").trim();
}

/** More than any name or message that a service has a use for. */
const TEXT_CHARS_MAX = 2_000;

/** A string on one line, null where it is missing or blank. */
export function textAt(value: unknown, ...path: readonly string[]): string | null {
  const found = at(value, ...path);
  if (typeof found !== "string") return null;
  const text = cleanText(found, TEXT_CHARS_MAX);
  return text === "" ? null : text;
}

/** A number, or a string that is one: some services quote them. */
export function numberAt(value: unknown, ...path: readonly string[]): number | null {
  const found = at(value, ...path);
  if (typeof found === "number") return Number.isFinite(found) ? found : null;
  if (typeof found !== "string" || !/^[+-]?\d+(?:\.\d+)?$/.test(found)) return null;
  return Number(found);
}

export function truthAt(value: unknown, ...path: readonly string[]): boolean | null {
  const found = at(value, ...path);
  return typeof found === "boolean" ? found : null;
}

export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
}

export function textsAt(value: unknown, ...path: readonly string[]): readonly string[] {
  return listAt(value, ...path).flatMap((one) => {
    if (typeof one === "number") return [String(one)];
    return typeof one === "string" ? [cleanText(one, TEXT_CHARS_MAX)] : [];
  });
}

/**
 * A path of this service, or null. An address of another host is none: credentials go to the service that they are for, and
 * to no other that it may name.
 */
export function asPath(value: unknown): string | null {
  if (typeof value !== "string" || value.length > TEXT_CHARS_MAX) return null;
  // Visible ASCII only: what is no URL is not sent as one.
  return /^\/(?!\/)[!-~]*$/.test(value) && !value.includes("\\") ? value : null;
}

/** The `@odata.id` of the object at `path`; a bare string is taken for one as well. */
export function linkAt(value: unknown, ...path: readonly string[]): string | null {
  const found = at(value, ...path);
  return asPath(typeof found === "string" ? found : at(found, "@odata.id"));
}

export function linksAt(value: unknown, ...path: readonly string[]): readonly string[] {
  return listAt(value, ...path).flatMap((one) => linkAt(one) ?? []);
}

/** `Power Supply / Converter` and `PhysicalContext` → `power-supply-converter`, `physical-context`. */
export function kebab(text: string): string {
  return text
    .replace(/([a-z0-9])([A-Z])/g, "$1-$2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1-$2")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
}
