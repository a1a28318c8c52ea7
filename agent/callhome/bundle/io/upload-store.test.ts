/**
 * Goal: a bundle arrives in whole or not at all, goes on where it was interrupted, and everything that is wrong is refused by its own
 * error. Method: real HTTP over real sockets to the real routes; restarts on the same folder; damaged folders. (Killed processes:
 * `upload-kill.test.ts`.)
 */
import { afterEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUNDLES_PATH } from "../bundle.ts";
import { bmcEvent } from "../harness/bmc-event.ts";
import { noise, testBundle } from "../harness/bundle.ts";
import { offerHeaders, PIECE_TYPE, type UploadOffer } from "../upload.ts";
import { type BundleTarget, sendBundle } from "./upload-client.ts";
import { uploadRoutes } from "./upload-routes.ts";
import { type Upload, UploadStore, type UploadStoreSettings } from "./upload-store.ts";

let folder = mkdtempSync(join(tmpdir(), "holdfast-upload-"));
const stops: (() => unknown)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  rmSync(folder, { recursive: true, force: true });
  folder = mkdtempSync(join(tmpdir(), "holdfast-upload-"));
});

type Body_ = Buffer<ArrayBuffer> | ReadableStream;

interface Bundle {
  readonly path: string;
  readonly bytes: Buffer<ArrayBuffer>;
  readonly offer: UploadOffer;
}

async function bundle(bytes = 200_000): Promise<Bundle> {
  const path = join(folder, "b.tar.zst");
  const written = await testBundle(path, [{ name: "host/x.bin", bytes: noise(bytes) }]);
  const offer = { ...written, event: bmcEvent().id, cluster: "tokyo", node: "n7" };
  return { path, bytes: readFileSync(path), offer };
}

interface Receiver {
  readonly store: UploadStore;
  readonly said: readonly string[];
  readonly whole: readonly Upload[];
  readonly target: BundleTarget;
  ask(
    method: string,
    path: string,
    headers?: Record<string, string>,
    body?: Body_,
  ): Promise<Response>;
}

async function receiver(of: Partial<UploadStoreSettings> = {}): Promise<Receiver> {
  const said: string[] = [];
  const whole: Upload[] = [];
  const store = await UploadStore.open({
    ...{ folder: join(folder, "store"), wholeState: "delivered", nowMs: () => 1_800_000_000_000 },
    log: { say: (_, text) => said.push(text) },
    onWhole: (upload) => whole.push(upload),
    ...of,
  });
  const app = uploadRoutes(store);
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: app.fetch });
  stops.push(() => server.stop(true));
  const url = `http://127.0.0.1:${server.port}`;
  return {
    ...{ store, said, whole },
    target: { kind: "destination", name: "d", url, fetch: (at, init) => fetch(at, init) },
    ask: (method, path, headers = {}, body) =>
      fetch(`${url}${path}`, {
        method,
        headers: { "tus-resumable": "1.0.0", ...headers },
        ...(body === undefined ? {} : { body }),
      }),
  };
}

const signal = new AbortController().signal;

function piece(offset: number, bytes: Uint8Array): Record<string, string> {
  const checksum = createHash("sha256").update(bytes).digest("base64");
  return {
    "content-type": PIECE_TYPE,
    "upload-offset": String(offset),
    "upload-checksum": `sha256 ${checksum}`,
  };
}

async function refusalOf(response: Response): Promise<[number, string]> {
  const { upload, status } = (await response.json()) as { upload: string; status: number };
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(status).toBe(response.status);
  return [response.status, upload];
}

describe("an upload", () => {
  test("arrives in pieces, is verified, and is given again", async () => {
    const { path, bytes, offer } = await bundle();
    const { target, ask, whole, store } = await receiver();
    const sent = await sendBundle(path, offer, target, { signal, pieceBytes: 30_000 });
    expect(sent).toEqual({ kind: "delivered" });
    expect(whole).toHaveLength(1);
    expect(Buffer.compare(readFileSync(store.pathOf(offer.digest)), bytes)).toBe(0);
    // The same bundle by another path is no second upload.
    expect(await sendBundle(path, offer, target, { signal })).toEqual({ kind: "delivered" });
    expect(whole).toHaveLength(1);
    const got = await ask("GET", `${BUNDLES_PATH}/${offer.digest}`);
    expect(Buffer.compare(Buffer.from(await got.arrayBuffer()), bytes)).toBe(0);
    const listed = await (await ask("GET", `${BUNDLES_PATH}?event=${offer.event}`)).json();
    expect(listed).toMatchObject({ bundles: [{ digest: offer.digest, node: "n7" }] });
    expect(await (await ask("GET", `${BUNDLES_PATH}?event=x`)).json()).toEqual({ bundles: [] });
  });

  test("speaks tus 1.0: options, creation, head, patch, termination", async () => {
    const { bytes, offer } = await bundle();
    const { ask } = await receiver();
    const options = await ask("OPTIONS", BUNDLES_PATH);
    expect(options.status).toBe(204);
    expect(options.headers.get("tus-version")).toBe("1.0.0");
    expect(options.headers.get("tus-checksum-algorithm")).toContain("sha1");
    const created = await ask("POST", BUNDLES_PATH, { ...offerHeaders(offer) });
    expect(created.status).toBe(201);
    const location = created.headers.get("location") ?? "";
    expect(created.headers.get("upload-expires")).toMatch(/GMT$/);
    const first = bytes.subarray(0, 1_000);
    const patched = await ask("PATCH", location, piece(0, first), first);
    expect([patched.status, patched.headers.get("upload-offset")]).toEqual([204, "1000"]);
    const head = await ask("HEAD", location);
    expect(head.headers.get("upload-offset")).toBe("1000");
    expect(head.headers.get("upload-length")).toBe(String(offer.bytes));
    expect(head.headers.get("cache-control")).toBe("no-store");
    expect((await ask("DELETE", location)).status).toBe(204);
    expect((await ask("HEAD", location)).status).toBe(404);
  });

  test("goes on where it was when its receiver starts again", async () => {
    const { path, bytes, offer } = await bundle();
    const first = await receiver();
    const location = `${BUNDLES_PATH}/${offer.digest}`;
    await first.ask("POST", BUNDLES_PATH, { ...offerHeaders(offer) });
    const part = bytes.subarray(0, 50_000);
    await first.ask("PATCH", location, piece(0, part), part);
    // What a crash leaves behind the last answer is not believed.
    appendFileSync(join(folder, "store", `${offer.digest}.part`), "torn");
    const second = await receiver();
    expect((await second.ask("HEAD", location)).headers.get("upload-offset")).toBe("50000");
    let sentBytes = 0;
    const counting: BundleTarget = {
      ...second.target,
      fetch: (at, init) => {
        if (init?.body instanceof Uint8Array) sentBytes += init.body.length;
        return fetch(at, init);
      },
    };
    expect(await sendBundle(path, offer, counting, { signal })).toEqual({ kind: "delivered" });
    expect(sentBytes).toBe(offer.bytes - 50_000);
  });

  test("whose bytes on disk have become fewer begins anew", async () => {
    const { path, bytes, offer } = await bundle();
    const first = await receiver();
    await first.ask("POST", BUNDLES_PATH, { ...offerHeaders(offer) });
    const part = bytes.subarray(0, 50_000);
    await first.ask("PATCH", `${BUNDLES_PATH}/${offer.digest}`, piece(0, part), part);
    truncateSync(join(folder, "store", `${offer.digest}.part`), 10);
    const second = await receiver();
    expect(await sendBundle(path, offer, second.target, { signal })).toEqual({ kind: "delivered" });
  });
});

describe("what is wrong", () => {
  test("is refused by its own error, and changes nothing", async () => {
    const { bytes, offer } = await bundle();
    const { ask, store } = await receiver();
    const location = `${BUNDLES_PATH}/${offer.digest}`;
    const some = bytes.subarray(0, 100);
    const patch = (
      headers: Record<string, string>,
      body: Buffer<ArrayBuffer> = some,
    ): Promise<Response> => ask("PATCH", location, { ...piece(0, some), ...headers }, body);
    expect(await refusalOf(await patch({}))).toEqual([404, "unknown"]);
    await ask("POST", BUNDLES_PATH, { ...offerHeaders(offer) });
    expect(await refusalOf(await patch({ "tus-resumable": "0.2" }))).toEqual([
      412,
      "wrong-version",
    ]);
    expect(await refusalOf(await patch({ "content-type": "text/plain" }))).toEqual([
      415,
      "wrong-type",
    ]);
    expect(await refusalOf(await patch({ "upload-offset": "7" }))).toEqual([
      409,
      "offset-mismatch",
    ]);
    expect(await refusalOf(await patch({ "upload-checksum": "sha256 AAAA" }))).toEqual([
      460,
      "bad-checksum",
    ]);
    expect(await refusalOf(await patch({ "upload-checksum": "md5 AAAA" }))).toEqual([
      400,
      "bad-algorithm",
    ]);
    const long = Buffer.concat([bytes, Buffer.alloc(10)]);
    expect(await refusalOf(await patch(piece(0, long), long))).toEqual([413, "too-large"]);
    const huge = { ...offerHeaders({ ...offer, bytes: 1024 ** 3 }) };
    expect(await refusalOf(await ask("POST", BUNDLES_PATH, huge))).toEqual([413, "too-large"]);
    const other = { ...offerHeaders({ ...offer, event: "9".repeat(64) }) };
    expect(await refusalOf(await ask("POST", BUNDLES_PATH, other))).toEqual([409, "other-offer"]);
    expect(store.of(offer.digest)).toMatchObject({ offset: 0, state: "partial" });
  });

  test("is a body of 1 GiB, and no more of it is read than a piece may have", async () => {
    const { offer } = await bundle();
    const { ask, store } = await receiver();
    await ask("POST", BUNDLES_PATH, { ...offerHeaders(offer) });
    const chunk = new Uint8Array(256 * 1024);
    let given = 0;
    const endless = new ReadableStream({
      pull: (controller) => {
        given += chunk.length;
        if (given > 1024 ** 3) controller.close();
        else controller.enqueue(chunk);
      },
    });
    const headers = { "content-type": PIECE_TYPE, "upload-offset": "0" };
    const refused = await ask("PATCH", `${BUNDLES_PATH}/${offer.digest}`, headers, endless).catch(
      () => null,
    );
    if (refused !== null) expect(refused.status).toBe(413);
    expect(given).toBeLessThan(64 * 1024 * 1024);
    expect(store.of(offer.digest)?.offset).toBe(0);
  });

  test("is a name that leads elsewhere", async () => {
    const { ask } = await receiver();
    writeFileSync(join(folder, "secret.tar.zst"), "secret");
    for (const name of [
      "..%2fsecret",
      "%2e%2e%2fsecret",
      "secret",
      "a".repeat(63),
      "A".repeat(64),
    ]) {
      const got = await ask("GET", `${BUNDLES_PATH}/${name}`);
      expect(got.status).toBe(404);
      expect(await got.text()).not.toBe("secret");
      expect((await ask("DELETE", `${BUNDLES_PATH}/${name}`)).status).toBe(404);
    }
    expect(existsSync(join(folder, "secret.tar.zst"))).toBe(true);
  });

  test("is a whole that is not what was offered, or no bundle, or another node's", async () => {
    const { path, bytes, offer } = await bundle();
    const { target, store, whole } = await receiver();
    const wrong = { ...offer, digest: "ab".repeat(32) };
    const sent = await sendBundle(path, wrong, target, { signal });
    expect(sent.kind).toBe("later");
    expect(store.of(wrong.digest)).toBeNull();
    const text = Buffer.from("this is a text and no bundle");
    const file = join(folder, "text");
    writeFileSync(file, text);
    const digest = createHash("sha256").update(text).digest("hex");
    const refused = await sendBundle(file, { ...offer, digest, bytes: text.length }, target, {
      signal,
    });
    expect(refused).toMatchObject({ kind: "refused" });
    const foreign = await sendBundle(path, { ...offer, node: "n8" }, target, { signal });
    expect(foreign).toMatchObject({ kind: "refused" });
    expect(JSON.stringify(foreign)).toContain("names another node");
    // Cut in the middle, with a digest of its own.
    const cut = bytes.subarray(0, bytes.length >> 1);
    writeFileSync(file, cut);
    const cutDigest = createHash("sha256").update(cut).digest("hex");
    const cutOffer = { ...offer, digest: cutDigest, bytes: cut.length };
    expect(await sendBundle(file, cutOffer, target, { signal })).toMatchObject({ kind: "refused" });
    expect(whole).toHaveLength(0);
    expect(readdirSync(join(folder, "store"))).toEqual([]);
  });
});

describe("room and time", () => {
  test("have an end: uploads that are unfinished, bytes of all, hours", async () => {
    const { offer } = await bundle();
    let nowMs = 1_800_000_000_000;
    const { ask, store, said } = await receiver({
      ...{ partialMax: 2, storeBytesMax: offer.bytes * 2 + 10, nowMs: () => nowMs },
    });
    const offered = async (digit: string, bytes: number): Promise<number> => {
      const headers = { ...offerHeaders({ ...offer, digest: digit.repeat(64), bytes }) };
      return (await ask("POST", BUNDLES_PATH, headers)).status;
    };
    expect(await offered("1", offer.bytes)).toBe(201);
    expect(await offered("2", offer.bytes * 3)).toBe(507);
    expect(await offered("3", 5)).toBe(201);
    expect(await offered("4", 5)).toBe(507);
    // The same offer again is no further one.
    expect(await offered("3", 5)).toBe(201);
    nowMs += 25 * 3_600_000;
    await store.expire();
    expect(said.join()).toContain("expired");
    expect(await offered("4", 5)).toBe(201);
    expect(readdirSync(join(folder, "store"))).toEqual([`${"4".repeat(64)}.json`]);
  });

  test("that a disk has not are said, and the upload goes on later", async () => {
    const { path, offer } = await bundle();
    const { target, ask } = await receiver();
    await ask("POST", BUNDLES_PATH, { ...offerHeaders(offer) });
    // A folder in the way of the file: what a disk that takes nothing does.
    mkdirSync(join(folder, "store", `${offer.digest}.part`));
    expect(await sendBundle(path, offer, target, { signal })).toMatchObject({ kind: "later" });
    rmSync(join(folder, "store", `${offer.digest}.part`), { recursive: true });
    expect(await sendBundle(path, offer, target, { signal })).toEqual({ kind: "delivered" });
  });

  test("damaged notes are set aside, and the store opens", async () => {
    const { path, offer } = await bundle();
    const first = await receiver();
    await sendBundle(path, offer, first.target, { signal });
    writeFileSync(join(folder, "store", `${"5".repeat(64)}.json`), "{ torn");
    const second = await receiver();
    expect(second.said.join()).toContain("damaged; set aside");
    expect(second.store.of(offer.digest)?.state).toBe("delivered");
    expect((await second.ask("HEAD", `${BUNDLES_PATH}/${"5".repeat(64)}`)).status).toBe(404);
  });

  test("a crash between the last piece and its note loses nothing", async () => {
    const { path, offer } = await bundle();
    const first = await receiver();
    await sendBundle(path, offer, first.target, { signal });
    const note = join(folder, "store", `${offer.digest}.json`);
    const partial = {
      ...first.store.of(offer.digest),
      state: "partial",
      offset: 10,
      wholeMs: null,
    };
    writeFileSync(note, JSON.stringify(partial));
    const second = await receiver();
    expect(second.store.of(offer.digest)?.state).toBe("delivered");
    expect(second.whole).toHaveLength(1);
  });
});

describe("a sender", () => {
  test("leaves a target that cannot be reached, or does not answer, for later", async () => {
    const { path, offer } = await bundle(1_000);
    const nobody: BundleTarget = {
      ...{ kind: "manager", name: "m", url: "http://127.0.0.1:1" },
      fetch: (at, init) => fetch(at, init),
    };
    expect(await sendBundle(path, offer, nobody, { signal })).toMatchObject({ kind: "later" });
    const silent = Bun.serve({ port: 0, fetch: () => new Promise<Response>(() => undefined) });
    stops.push(() => silent.stop(true));
    const stalled = { ...nobody, url: `http://127.0.0.1:${silent.port}` };
    const sent = await sendBundle(path, offer, stalled, { signal, pieceTimeoutMs: 200 });
    expect(sent).toEqual({ kind: "later", detail: "m does not answer in time" });
  });

  test("gives up on a target that answers nonsense for ever, after a few tries", async () => {
    const { path, offer } = await bundle(1_000);
    let count = 0;
    const target: BundleTarget = {
      ...{ kind: "manager", name: "m", url: "http://m" },
      fetch: async () => {
        count++;
        return new Response(null, { status: 204, headers: { "upload-offset": "0" } });
      },
    };
    expect(await sendBundle(path, offer, target, { signal })).toMatchObject({ kind: "later" });
    expect(count).toBeLessThan(10);
  });

  test("sends a piece again that came wrong", async () => {
    const { path, offer } = await bundle();
    const { target } = await receiver();
    let isSpoiled = false;
    const spoiling: BundleTarget = {
      ...target,
      fetch: (at, init) => {
        if (isSpoiled || !(init?.body instanceof Uint8Array)) return target.fetch(at, init);
        isSpoiled = true;
        const body = Buffer.from(init.body);
        body[0] = (body[0] ?? 0) ^ 1;
        return target.fetch(at, { ...init, body });
      },
    };
    const sent = await sendBundle(path, offer, spoiling, { signal, pieceBytes: 50_000 });
    expect(sent).toEqual({ kind: "delivered" });
    expect(isSpoiled).toBe(true);
  });
});
