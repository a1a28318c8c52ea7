/**
 * Goal: offers and pieces are read as tus has them, and whatever is wrong with one has its own refusal. Method: round trips by
 * fast-check; wrong headers one by one.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type HeaderOf,
  offerHeaders,
  PIECE_TYPE,
  readOffer,
  readPiece,
  stepAfter,
  UPLOAD_BYTES_MAX,
  UPLOAD_REFUSALS,
  whyNotPiece,
  whyNotVersion,
} from "./upload.ts";

const OFFER = {
  digest: "ab".repeat(32),
  event: "12".repeat(32),
  cluster: "tokyo",
  node: "n7",
  bytes: 1_000,
};

function headerOf(headers: Readonly<Record<string, string>>): HeaderOf {
  return (name) => headers[name] ?? null;
}

describe("an offer", () => {
  test("is read as it was written, whatever the names", () => {
    const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(
        name,
        name,
        fc.integer({ min: 1, max: UPLOAD_BYTES_MAX }),
        (cluster, node, bytes) => {
          fc.pre(cluster.isWellFormed() && node.isWellFormed());
          const offer = { ...OFFER, cluster, node, bytes };
          const headers = headerOf(offerHeaders(offer));
          expect(readOffer(headers, UPLOAD_BYTES_MAX)).toEqual({ ok: true, value: offer });
          expect(whyNotVersion(headers)).toBeNull();
        },
      ),
    );
  });

  const good = offerHeaders(OFFER);
  test.each([
    ["no length", { "upload-length": "" }, "malformed"],
    ["a length of zero", { "upload-length": "0" }, "malformed"],
    ["a negative length", { "upload-length": "-1" }, "malformed"],
    ["a length of 1 GiB", { "upload-length": String(1024 ** 3) }, "too-large"],
    ["metadata that is no base64", { "upload-metadata": "digest !!!" }, "malformed"],
    ["metadata that is no UTF-8", { "upload-metadata": "digest /w==" }, "malformed"],
    ["a digest that is a path", { "upload-metadata": `digest ${btoa("../../x")}` }, "malformed"],
    ["a name twice", { "upload-metadata": "node bg==,node bg==" }, "malformed"],
    ["metadata without end", { "upload-metadata": `node ${"A".repeat(5_000)}` }, "malformed"],
  ] as const)("with %s is refused", (_, change, kind) => {
    const read = readOffer(headerOf({ ...good, ...change }), UPLOAD_BYTES_MAX);
    expect(read).toMatchObject({ ok: false, error: { kind } });
  });

  test("of another version is refused", () => {
    expect(whyNotVersion(headerOf({ "tus-resumable": "0.2.2" }))?.kind).toBe("wrong-version");
    expect(whyNotVersion(headerOf({}))?.kind).toBe("wrong-version");
  });
});

describe("a piece", () => {
  const good = { "content-type": PIECE_TYPE, "upload-offset": "70" };

  test("has an offset, and a checksum where it likes", () => {
    expect(readPiece(headerOf(good))).toEqual({ ok: true, value: { offset: 70, checksum: null } });
    expect(readPiece(headerOf({ ...good, "upload-checksum": "sha1 Kq5s" }))).toMatchObject({
      ok: true,
      value: { checksum: { algorithm: "sha1", base64: "Kq5s" } },
    });
  });

  test.each([
    [{ "content-type": "text/plain" }, "wrong-type"],
    [{ "upload-offset": "x" }, "malformed"],
    [{ "upload-offset": "-1" }, "malformed"],
    [{ "upload-checksum": "md5 Kq5s" }, "bad-algorithm"],
    [{ "upload-checksum": "sha256" }, "malformed"],
  ] as const)("with %j is refused as %s", (change, kind) => {
    expect(readPiece(headerOf({ ...good, ...change }))).toMatchObject({ error: { kind } });
  });

  test("fits only where the upload stands, and only up to its end", () => {
    const at = { offset: 70, bytes: 100 };
    const claim = { offset: 70, checksum: null };
    expect(whyNotPiece(claim, 30, at)).toBeNull();
    expect(whyNotPiece(claim, 31, at)?.kind).toBe("too-large");
    expect(whyNotPiece({ ...claim, offset: 0 }, 30, at)?.kind).toBe("offset-mismatch");
  });
});

test("a sender has an answer to every refusal, and to answers of others", () => {
  const steps = Object.fromEntries(
    Object.entries(UPLOAD_REFUSALS).map(([kind, { status }]) => [kind, stepAfter(status, kind)]),
  );
  expect(steps).toEqual({
    "wrong-version": "give-up",
    malformed: "give-up",
    "bad-algorithm": "give-up",
    "too-large": "give-up",
    "wrong-type": "give-up",
    unknown: "offer",
    "offset-mismatch": "look",
    "other-offer": "give-up",
    busy: "look",
    "bad-checksum": "again",
    "bad-digest": "offer",
    "bad-bundle": "give-up",
    "no-room": "later",
  });
  expect(stepAfter(500, null)).toBe("later");
  expect(stepAfter(404, null)).toBe("offer");
  expect(stepAfter(403, null)).toBe("later");
  expect(stepAfter(400, null)).toBe("give-up");
});
