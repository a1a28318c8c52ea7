/**
 * How the page is handed to a browser: compressed, with an entity tag, and under a policy by which the browser runs the one
 * script and the one style sheet that were built into it and nothing else, asks only this origin, and makes no markup of text
 * (Trusted Types): a text that comes from a BMC stays a text even where the page had a defect.
 */

const ELEMENTS = /<(script|style)>([\s\S]*?)<\/\1>/g;

function digestOf(text: string): string {
  return `'sha256-${new Bun.CryptoHasher("sha256").update(text).digest("base64")}'`;
}

function policyOf(page: string): string {
  const digests = { script: [] as string[], style: [] as string[] };
  for (const [, tag, text = ""] of page.matchAll(ELEMENTS)) {
    digests[tag === "script" ? "script" : "style"].push(digestOf(text));
  }
  return [
    "default-src 'none'",
    `script-src ${digests.script.join(" ")}`,
    `style-src ${digests.style.join(" ")}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}

/** `page` is what `build-page.ts` made. Digests and compression are done once, here. */
export function pageAnswer(page: string): (request: Request) => Response {
  const body = new TextEncoder().encode(page);
  const packed = Bun.gzipSync(body, { level: 9 });
  const tag = `"${new Bun.CryptoHasher("sha256").update(page).digest("hex").slice(0, 32)}"`;
  const headers: Readonly<Record<string, string>> = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": policyOf(page),
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    etag: tag,
    vary: "accept-encoding",
  };
  return (request) => {
    if (request.headers.get("if-none-match") === tag) {
      return new Response(null, { status: 304, headers });
    }
    const takesGzip = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/.test(
      request.headers.get("accept-encoding") ?? "",
    );
    return takesGzip
      ? new Response(packed, { headers: { ...headers, "content-encoding": "gzip" } })
      : new Response(body, { headers });
  };
}
