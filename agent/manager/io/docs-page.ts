/**
 * The readable page of the API: made from its OpenAPI document alone, on the server, as plain HTML.
 *
 * No script, no font, no style from elsewhere: it can be read where there is no network, and the browser is told to load
 * nothing. Every text of the document is escaped.
 */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly prefixItems?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly additionalProperties?: Schema | boolean;
  readonly description?: string;
  readonly pattern?: string;
  readonly maximum?: number;
  readonly default?: unknown;
}

interface Media {
  readonly schema?: Schema;
}

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly description?: string;
    readonly schema?: Schema;
  }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<
    Record<
      string,
      { readonly description: string; readonly content?: Readonly<Record<string, Media>> }
    >
  >;
}

export interface OpenApiDocument {
  readonly info: {
    readonly title: string;
    readonly version: string;
    readonly description?: string;
  };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
}

const DEPTH_MAX = 8;

function escaped(text: string): string {
  return text
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;")
    .replace(/"/g, "&quot;");
}

/** Backquotes mark code, as they do in the texts. */
function prose(text: string): string {
  return escaped(text).replace(/`([^`]+)`/g, "<code>$1</code>");
}

function alternatives(schemas: readonly Schema[], depth: number): string {
  return schemas.map((one) => typeText(one, depth)).join("\n| ");
}

/** A schema in the manner of TypeScript, which most readers know. */
function typeText(schema: Schema, depth: number = 0): string {
  if (schema.$ref !== undefined) return schema.$ref.split("/").at(-1) ?? "?";
  if (depth > DEPTH_MAX) return "…";
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  const either = schema.oneOf ?? schema.anyOf;
  if (either !== undefined) return alternatives(either, depth);
  const types = typeof schema.type === "string" ? [schema.type] : (schema.type ?? []);
  return types.map((type) => plainType(schema, type, depth)).join(" | ") || "any";
}

function plainType(schema: Schema, type: string, depth: number): string {
  if (type === "array") {
    if (schema.prefixItems !== undefined) {
      return `[${schema.prefixItems.map((one) => typeText(one, depth + 1)).join(", ")}]`;
    }
    const item = typeText(schema.items ?? {}, depth);
    return item.includes("\n") || !item.includes("|") ? `${item}[]` : `(${item})[]`;
  }
  if (type !== "object") return type;
  if (schema.properties === undefined) {
    const values = schema.additionalProperties;
    return typeof values === "object" ? `{ [name]: ${typeText(values, depth)} }` : "object";
  }
  const pad = "  ".repeat(depth + 1);
  const required = new Set(schema.required ?? []);
  const lines = Object.entries(schema.properties).map(
    ([name, one]) => `${pad}${name}${required.has(name) ? "" : "?"}: ${typeText(one, depth + 1)}`,
  );
  return `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
}

function parametersHtml({ parameters = [] }: Operation): string {
  if (parameters.length === 0) return "";
  const rows = parameters.map((one) => {
    const type = typeText(one.schema ?? {});
    const { default: initial, maximum } = one.schema ?? {};
    const notes = [
      ...(one.description === undefined ? [] : [prose(one.description)]),
      ...(initial === undefined ? [] : [`default ${escaped(JSON.stringify(initial))}`]),
      ...(maximum === undefined || maximum > 1e9 ? [] : [`at most ${maximum}`]),
    ];
    const mark = one.required === true ? "" : "?";
    const cells = [
      `<code>${escaped(one.name)}${mark}</code>`,
      escaped(one.in),
      `<code>${escaped(type)}</code>`,
      notes.join("; "),
    ];
    return `<tr>${cells.map((text) => `<td>${text}</td>`).join("")}</tr>`;
  });
  return `<table><tbody>${rows.join("")}</tbody></table>`;
}

function mediaHtml(content: Readonly<Record<string, Media>> | undefined): string {
  return Object.entries(content ?? {})
    .map(([type, { schema }]) => {
      const text = schema === undefined ? "" : escaped(typeText(schema));
      return `<p class="type">${escaped(type)}</p><pre>${text}</pre>`;
    })
    .join("");
}

function operationHtml(path: string, method: string, operation: Operation): string {
  const id = `${method}-${path}`.replace(/[^a-z0-9]+/gi, "-");
  const { "200": success, ...others } = operation.responses;
  const problems = Object.entries(others)
    .map(
      ([status, { description }]) => `<li><b>${escaped(status)}</b> ${escaped(description)}</li>`,
    )
    .join("");
  const body =
    operation.requestBody === undefined
      ? ""
      : `<details><summary>Body</summary>${mediaHtml(operation.requestBody.content)}</details>`;
  return `<section id="${id}"><h3><span class="m">${method.toUpperCase()}</span> <code>${escaped(path)}</code></h3>
<p><b>${prose(operation.summary ?? "")}.</b> ${prose(operation.description ?? "")}</p>
${parametersHtml(operation)}${body}
<details><summary>Answer: ${prose(success?.description ?? "")}</summary>${mediaHtml(success?.content)}</details>
<details><summary>Problems</summary><ul>${problems}</ul></details></section>`;
}

const STYLE = `:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1.5rem}
h1{font-size:1.4rem}h2{margin-top:2rem;border-bottom:1px solid #8886}h3{margin:1.5rem 0 .2rem;font-size:1rem}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{overflow:auto;padding:.7rem;background:#8881;border-radius:6px}
table{border-collapse:collapse}td{padding:.15rem .9rem .15rem 0;vertical-align:top}.m{font-weight:700;color:#2a7}
.type{margin:.4rem 0 0;opacity:.7}summary{cursor:pointer}a{color:inherit}`;

const STYLE_DIGEST: string = new Bun.CryptoHasher("sha256").update(STYLE).digest("base64");

export const DOCS_POLICY: string = [
  "default-src 'none'",
  `style-src 'sha256-${STYLE_DIGEST}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

export function docsPage(document: OpenApiDocument): string {
  const byTag = new Map<string, string[]>();
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? "other";
      const sections = byTag.get(tag) ?? [];
      sections.push(operationHtml(path, method, operation));
      byTag.set(tag, sections);
    }
  }
  const schemas = Object.entries(document.components?.schemas ?? {})
    .map(
      ([name, schema]) =>
        `<section id="schema-${escaped(name)}"><h3>${escaped(name)}</h3>
<p>${prose(schema.description ?? "")}</p><pre>${escaped(typeText(schema))}</pre></section>`,
    )
    .join("");
  const { title, version, description = "" } = document.info;
  const groups = [...byTag]
    .map(([tag, html]) => `<h2>${escaped(tag)}</h2>${html.join("")}`)
    .join("");
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title><style>${STYLE}</style></head><body><h1>${escaped(title)} ${escaped(version)}</h1>
<p>${prose(description)}</p><p>For programs: <a href="/openapi.json"><code>/openapi.json</code></a></p>${groups}
${schemas === "" ? "" : `<h2>schemas</h2>${schemas}`}</body></html>`;
}
