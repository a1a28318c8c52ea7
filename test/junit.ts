/**
 * Reads the JUnit report that `bun test` writes: which test of which file passed, failed or was skipped.
 *
 * Not an XML parser: it knows the elements and attributes Bun 1.4 writes, `testcase` with or without a body, and nothing more.
 */
export interface JunitCase {
  readonly file: string;
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&apos;": "'",
  "&#10;": " ",
  "&amp;": "&",
};

function decodeText(text: string): string {
  return text.replace(/&(?:lt|gt|quot|apos|amp|#10);/g, (entity) => ENTITIES[entity] ?? entity);
}

function attribute(attributes: string, name: string): string {
  return decodeText(new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
}

export function parseJunit(xml: string): readonly JunitCase[] {
  const cases: JunitCase[] = [];
  for (const match of xml.matchAll(/<testcase\s([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const [, attributes = "", body = ""] = match;
    cases.push({
      file: attribute(attributes, "file").replace(/^\.\//, ""),
      name: [attribute(attributes, "classname"), attribute(attributes, "name")]
        .filter((part) => part !== "")
        .join(" > "),
      outcome:
        body.includes("<failure") || body.includes("<error")
          ? "failed"
          : body.includes("<skipped")
            ? "skipped"
            : "passed",
    });
  }
  return cases;
}
