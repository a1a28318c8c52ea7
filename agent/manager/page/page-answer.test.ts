/**
 * Goal: a browser gets the page whole, and runs nothing else. Method: build it, read the answer as a browser would.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildPage } from "./build-page.ts";
import { pageAnswer } from "./page-answer.ts";

const ROOT = join(import.meta.dir, "../../..");
/** Sent at every visit over slow lines too. */
const PACKED_BYTES_MAX = 60_000;

async function built(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-page-"));
  try {
    await buildPage(ROOT, join(folder, "page"));
    return readFileSync(join(folder, "page"), "utf8");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function request(headers: Readonly<Record<string, string>> = {}): Request {
  return new Request("http://manager.example/", { headers });
}

describe("the page", () => {
  test("is one file that asks for nothing and fits its budget", async () => {
    const page = await built();
    // Found parts, not the page itself: it would be the failure's text.
    const found = (pattern: RegExp): readonly string[] => page.match(pattern) ?? [];
    expect(found(/<!-- (?:style|script) -->/g)).toEqual([]);
    expect(found(/<(?:script|link|img|iframe)[^>]*\s(?:src|href)=(?!"data:)/g)).toEqual([]);
    expect(found(/https?:\/\/(?!www\.w3\.org\/).{9}/g)).toEqual([]);
    expect(found(/<[^>]*\s(?:on\w+|style)=|javascript:/gi)).toEqual([]);
    expect(Bun.gzipSync(page).length).toBeLessThan(PACKED_BYTES_MAX);
    expect((await built()) === page).toBe(true);
  });

  test("allows exactly the script and the style that are in it", async () => {
    const page = await built();
    const policy = pageAnswer(page)(request()).headers.get("content-security-policy") ?? "";
    for (const tag of ["script", "style"] as const) {
      const text = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(page)?.[1] ?? "";
      const digest = new Bun.CryptoHasher("sha256").update(text).digest("base64");
      expect(policy).toContain(`${tag}-src 'sha256-${digest}'`);
    }
    expect(policy).not.toContain("unsafe");
    expect(policy).toContain("default-src 'none'");
  });

  test("comes compressed to whom takes that, and not at all to whom has it", async () => {
    const page = "<!doctype html><title>x</title><script>1</script><style>a{}</style>";
    const answer = pageAnswer(page);
    const packed = answer(request({ "accept-encoding": "gzip, br" }));
    expect(packed.headers.get("content-encoding")).toBe("gzip");
    expect(new TextDecoder().decode(Bun.gunzipSync(await packed.bytes()))).toBe(page);
    const plain = answer(request({ "accept-encoding": "gzip;q=0" }));
    expect(plain.headers.get("content-encoding")).toBeNull();
    expect(await plain.text()).toBe(page);
    const tag = packed.headers.get("etag") ?? "";
    expect(answer(request({ "if-none-match": tag })).status).toBe(304);
  });
});
