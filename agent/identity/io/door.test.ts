/**
 * Joining through a real door on loopback, and everything that may be wrong with who joins, with what he says, and with the door.
 */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import type { Result } from "../../../core/result.ts";
import type { Problem } from "../../net/problem.ts";
import { testDoor, until } from "../harness/test-door.ts";
import type { Principal } from "../identity.ts";
import {
  AUTHORITY_PATH,
  BUNDLE_BYTES_MAX,
  JOIN_BYTES_MAX,
  JOIN_PATH,
  RENEW_PATH,
} from "../join-protocol.ts";
import type { JoinToken } from "../join-token.ts";
import { TOKEN_FAILURES_MAX } from "./admission.ts";
import { DAY_MS, issueDoorCertificate, newAuthority, timesFrom } from "./authority.ts";
import { openAuthorityOffice } from "./authority-office.ts";
import { readLeaf } from "./certificates.ts";
import { joinCluster } from "./credentials.ts";
import { startJoinDoor } from "./join-door.ts";
import { keyPem, makeKey, makeRequest, spkiOf } from "./keys.ts";

/** Certificates are made by the dozen, perhaps on a machine that is busy. */
setDefaultTimeout(60_000);

const cluster = await testDoor();
afterAll(() => cluster.close());

function kindOf(result: Result<unknown, Problem>): string {
  return result.ok ? "ok" : result.error.kind;
}

function detailOf(result: Result<unknown, Problem>): string {
  return result.ok ? "" : result.error.detail;
}

/** Of a server, by its fingerprint; while it takes nobody, empty. */
function certificateOf(address: string): Promise<string> {
  const [host = "", port] = address.split(":");
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on("error", () => resolve(""));
  });
}

/** As somebody asks who knows nothing of certificates. */
async function post(path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  return await fetch(`https://${cluster.address}${path}`, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
    tls: { rejectUnauthorized: false },
  } as RequestInit);
}

async function kindAnswered(response: Response): Promise<string> {
  return `${response.status} ${((await response.json()) as { kind?: string }).kind}`;
}

const n1: Principal = { cluster: "c1", role: "agent", name: "n1" };

function requests(principal: Principal = n1): { tls: string; sign: string } {
  return {
    tls: makeRequest(principal, makeKey("tls")),
    sign: makeRequest(principal, makeKey("sign")),
  };
}

function credentials({ id, secret }: JoinToken): { id: string; secret: string } {
  return { id, secret };
}

describe("a node that joins", () => {
  test("has an identity that others believe, in a folder that only it can read", async () => {
    const a = await cluster.member("a1");
    const b = await cluster.member("b1", { role: "manager" });
    expect(a.principal).toEqual({ cluster: "c1", role: "agent", name: "a1" });
    const envelope = a.signer.sign("text/plain", new TextEncoder().encode("hello"));
    const verified = b.verifier.verify(envelope, "text/plain", Date.now());
    expect(verified.ok && verified.value.principal.name).toBe("a1");
    expect(a.clusterKeys().map(({ key }) => key.length)).toEqual([32]);
    expect(b.clusterKeys()).toEqual([]);
    const folder = cluster.folder("a1");
    expect(readdirSync(folder).sort()).toEqual(
      ["bundle.json", "ca.pem", "crl.pem", "settings.json", "sign.pem", "tls.pem"].sort(),
    );
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    for (const file of ["bundle.json", "sign.pem", "tls.pem"]) {
      expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
    }
  });

  test("a second time, is told that it has joined", async () => {
    await cluster.member("twice");
    const again = await cluster.join("twice");
    expect(kindOf(again)).toBe("refused");
    expect(detailOf(again)).toContain("identity show");
  });

  test("and lost the answer, joins with the same token and keys", async () => {
    const token = cluster.token();
    const order = { ...credentials(token), requests: requests({ ...n1, name: "lost" }) };
    expect((await post(JOIN_PATH, order)).status).toBe(200);
    expect((await post(JOIN_PATH, order)).status).toBe(200);
    const others = { ...order, requests: requests({ ...n1, name: "lost" }) };
    expect(await kindAnswered(await post(JOIN_PATH, others))).toBe("409 refused");
  });

  test("keeps its keys when nobody answers, and uses them when somebody does", async () => {
    const token = cluster.token();
    const folder = cluster.folder("later");
    const nobody = await joinCluster({ door: "127.0.0.1:1", token, name: "later", folder });
    expect(kindOf(nobody)).toBe("unreachable");
    const kept = readdirSync(folder).sort();
    expect(kept).toEqual(["joining-sign.key.pem", "joining-tls.key.pem"]);
    expect(kindOf(await cluster.join("later", token, folder))).toBe("ok");
    expect(readdirSync(folder)).not.toContain("joining-tls.key.pem");
  });
});

describe("a token", () => {
  test("that was used by somebody else is of no use", async () => {
    const token = cluster.token();
    expect(kindOf(await cluster.join("first", token))).toBe("ok");
    const second = await cluster.join("second", token);
    expect(kindOf(second)).toBe("refused");
    expect(detailOf(second)).toContain("was used");
  });

  test("is used by one of two who come at once", async () => {
    const token = cluster.token();
    const both = await Promise.all([cluster.join("race-a", token), cluster.join("race-b", token)]);
    expect(both.map(kindOf).sort()).toEqual(["ok", "refused"]);
  });

  test("that has expired is refused with its time", async () => {
    const token = cluster.token({ ttlMs: 1_000 });
    cluster.clock.aheadMs = 1_001;
    const late = await cluster.join("late", token);
    cluster.clock.aheadMs = 0;
    expect(kindOf(late)).toBe("forbidden");
    expect(detailOf(late)).toContain("expired");
  });

  test("with a wrong secret is refused, and after some tries the right one is too", async () => {
    const token = cluster.token();
    const wrong = { ...token, secret: "A".repeat(43) };
    for (let i = 0; i < TOKEN_FAILURES_MAX; i++) {
      const refused = await cluster.join("guess", wrong, cluster.folder(`guess-${i}`));
      expect(detailOf(refused)).toContain("not known");
    }
    expect(kindOf(await cluster.join("guess", token))).toBe("forbidden");
  });

  test("that nobody made is refused in the same words as a wrong secret", async () => {
    const token = cluster.token();
    const unknown = await cluster.join("u1", { ...token, id: "0".repeat(16) });
    const wrong = await cluster.join("u2", { ...token, secret: "A".repeat(43) });
    expect(detailOf(unknown)).toBe(detailOf(wrong));
  });

  test("for one name is for no other, and for one role for no other", async () => {
    const token = cluster.token({ name: "right" });
    expect(kindOf(await cluster.join("wrong", token))).toBe("forbidden");
    const asManager = await cluster.join("right", { ...token, role: "manager" });
    expect(detailOf(asManager)).toContain("for agent right, not for manager right");
    expect(kindOf(await cluster.join("right", token))).toBe("ok");
  });

  test("without a name does not take one over, with the name it does", async () => {
    const before = await cluster.member("taken");
    const signed = before.signer.sign("text/plain", new Uint8Array(1));
    const refused = await cluster.join("taken", cluster.token(), cluster.folder("taken-2"));
    expect(kindOf(refused)).toBe("refused");
    expect(detailOf(refused)).toContain("has certificates already");
    const token = cluster.token({ name: "taken" });
    expect(kindOf(await cluster.join("taken", token, cluster.folder("taken-3")))).toBe("ok");
    const after = cluster.open("taken-3");
    const nowMs = Date.now() + 1_000;
    const verdict = (atMs: number): string => {
      const verified = after.verifier.verify(signed, "text/plain", atMs);
      return verified.ok ? "believed" : verified.error.kind;
    };
    expect(verdict(nowMs)).toBe("revoked");
    expect(verdict(Date.now() - 60_000)).toBe("believed");
  });
});

describe("a request for a certificate", () => {
  async function asked(change: Readonly<Record<string, string>>): Promise<string> {
    const order = { ...credentials(cluster.token()), requests: { ...requests(), ...change } };
    return await kindAnswered(await post(JOIN_PATH, order));
  }

  test("that is none, or of another kind of key, is refused", async () => {
    expect(await asked({ tls: "garbage" })).toBe("400 bad-request");
    expect(await asked({ sign: "" })).toBe("400 bad-request");
    expect(await asked({ tls: makeRequest(n1, makeKey("sign")) })).toBe("400 bad-request");
    expect(await asked({ sign: makeRequest(n1, makeKey("tls")) })).toBe("400 bad-request");
  });

  test("whose signature is wrong is refused: somebody else's key is in it", async () => {
    const [head = "", ...lines] = makeRequest(n1, makeKey("sign")).trim().split("\n");
    const der = Buffer.from(lines.slice(0, -1).join(""), "base64");
    der.writeUInt8((der.at(-1) ?? 0) ^ 1, der.length - 1);
    const forged = `${head}\n${der.toString("base64")}\n${lines.at(-1)}\n`;
    expect(await asked({ sign: forged })).toBe("400 bad-request");
  });

  test("for two names, or for another cluster, is refused", async () => {
    const other = { ...n1, name: "n2" };
    expect(await asked({ tls: makeRequest(other, makeKey("tls")) })).toBe("400 bad-request");
    const order = {
      ...credentials(cluster.token()),
      requests: requests({ ...n1, cluster: "c2" }),
    };
    expect(await kindAnswered(await post(JOIN_PATH, order))).toBe("403 forbidden");
  });
});

describe("a door that is not the cluster's", () => {
  /** Answers as a door would, and keeps what it was told. */
  function falseDoor(tls: { key: string; cert: string }, authorities: readonly string[]) {
    const heard: string[] = [];
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      tls,
      fetch: async (request) => {
        heard.push(`${request.method} ${new URL(request.url).pathname} ${await request.text()}`);
        return Response.json({ cluster: "c1", authorities });
      },
    });
    return { heard, address: `127.0.0.1:${server.port}`, stop: () => server.stop(true) };
  }

  async function trapped(tls: { key: string; cert: string }, authorities: readonly string[]) {
    const door = falseDoor(tls, authorities);
    const token = cluster.token();
    const folder = cluster.folder(`trapped-${door.address.slice(-5)}`);
    const joined = await joinCluster({ door: door.address, token, name: "trapped", folder });
    await door.stop();
    return { joined, heard: door.heard, token };
  }

  async function doorPair(authority: { key: string; cert: string }) {
    const key = makeKey("tls");
    const times = timesFrom(Date.now());
    const { cert } = await issueDoorCertificate(authority, "c1", spkiOf(key), times);
    return { key: keyPem(key), cert };
  }

  test("and shows an authority of its own is not told the secret", async () => {
    const authority = await newAuthority("c1", 1, Date.now());
    const { joined, heard } = await trapped(await doorPair(authority), [authority.cert]);
    expect(kindOf(joined)).toBe("forbidden");
    expect(detailOf(joined)).toContain("somebody in between");
    expect(heard).toEqual([`GET ${AUTHORITY_PATH} `]);
  });

  test("and shows the cluster's authority, but has no certificate of it, is not told either", async () => {
    const { cert } = cluster.office.current().pair;
    const authority = await newAuthority("c1", 1, Date.now());
    const { joined, heard } = await trapped(await doorPair(authority), [cert]);
    expect(kindOf(joined)).toBe("forbidden");
    expect(heard).toEqual([`GET ${AUTHORITY_PATH} `]);
  });

  test("and has the certificate of a node of the cluster is not told either", async () => {
    const node = await cluster.member("stolen");
    const { cert = "", key = "" } = node.tls() ?? {};
    const { joined, heard } = await trapped({ cert, key }, [cluster.office.current().pair.cert]);
    expect(kindOf(joined)).toBe("forbidden");
    expect(heard).toEqual([`GET ${AUTHORITY_PATH} `]);
  });

  test("and answers nonsense, or without end, is told from a door", async () => {
    const pair = await doorPair(await newAuthority("c1", 1, Date.now()));
    for (const body of ["nonsense", "[]", '{"cluster":"c1","authorities":["x"]}']) {
      const server = Bun.serve({ port: 0, tls: pair, fetch: () => new Response(body) });
      const door = `127.0.0.1:${server.port}`;
      const folder = cluster.folder(`nonsense-${server.port}`);
      const token = cluster.token();
      const joined = await joinCluster({ door, token, name: "x1", folder });
      expect(["unreachable", "forbidden"]).toContain(kindOf(joined));
      await server.stop(true);
    }
    const endless = Bun.serve({
      port: 0,
      tls: pair,
      fetch: () =>
        new Response(
          new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(BUNDLE_BYTES_MAX / 4)) }),
        ),
    });
    const folder = cluster.folder("endless");
    const door = `127.0.0.1:${endless.port}`;
    const joined = await joinCluster({ door, token: cluster.token(), name: "x1", folder });
    expect(kindOf(joined)).toBe("too-large");
    await endless.stop(true);
  });
});

describe("the door", () => {
  test("takes no body that is larger than it may be, announced or not", async () => {
    const long = "x".repeat(JOIN_BYTES_MAX + 1);
    expect(await kindAnswered(await post(JOIN_PATH, long))).toBe("413 too-large");
    expect(await kindAnswered(await post(RENEW_PATH, long))).toBe("413 too-large");
    let sent = 0;
    const stream = new ReadableStream({
      pull: (controller) => {
        sent += 16 * 1024;
        if (sent > 4 * JOIN_BYTES_MAX) controller.close();
        else controller.enqueue(new Uint8Array(16 * 1024));
      },
    });
    const response = await post(JOIN_PATH, "", { body: stream });
    expect(response.status).toBe(413);
  });

  test("says what is wrong with a request that it does not understand", async () => {
    expect(await kindAnswered(await post(JOIN_PATH, "{"))).toBe("400 bad-request");
    expect(await kindAnswered(await post(JOIN_PATH, {}))).toBe("400 bad-request");
    expect(await kindAnswered(await post(JOIN_PATH, { id: 7, secret: null }))).toBe(
      "400 bad-request",
    );
    expect(await kindAnswered(await post(RENEW_PATH, { envelope: {} }))).toBe("400 bad-request");
    expect(await kindAnswered(await post("/v1/jobs", {}))).toBe("404 not-found");
    expect(cluster.said).toEqual([]);
  });

  test("cannot be opened where somebody listens, and says so", async () => {
    const other = await testDoor("c3");
    const port = Number(cluster.address.split(":")[1]);
    const log = { say: () => undefined };
    const office = openAuthorityOffice(other.office.store.folder);
    const opened = await startJoinDoor(office, { hostname: "127.0.0.1", port, log });
    expect(opened.ok ? "open" : opened.error.kind).toBe("in-use");
    await other.close();
  });

  test("makes itself a new certificate in time, and answers a question that is under way then", async () => {
    const old = await testDoor("c6", 90, -21 * DAY_MS);
    const before = await certificateOf(old.address);
    const half = Promise.withResolvers<void>();
    const stream = new ReadableStream({
      start: async (controller) => {
        controller.enqueue(new TextEncoder().encode('{"id":'));
        await half.promise;
        controller.enqueue(new TextEncoder().encode("7}"));
        controller.close();
      },
    });
    const asked = fetch(`https://${old.address}${JOIN_PATH}`, {
      ...{ method: "POST", body: stream, tls: { rejectUnauthorized: false } },
    } as RequestInit);
    await old.member("n1");
    old.clock.doorAheadMs = 0;
    await old.office.rotateClusterKey();
    await until(
      async () => !["", before].includes(await certificateOf(old.address)),
      "a new certificate",
    );
    half.resolve();
    expect(await kindAnswered(await asked)).toBe("400 bad-request");
    await old.member("n2");
    expect(old.said).toEqual([]);
    await old.close();
  });

  test("lets nobody ask more often than it may", async () => {
    const busy = await testDoor("c4");
    const statuses = new Set<number>();
    const ask = async (): Promise<void> => {
      const response = await fetch(`https://${busy.address}${AUTHORITY_PATH}`, {
        tls: { rejectUnauthorized: false },
      } as RequestInit);
      await response.text();
      statuses.add(response.status);
    };
    // The first connections may take so long to be made that a slow machine asks no more often than it may.
    const isRefused = async (): Promise<boolean> => {
      await Promise.all(Array.from({ length: 300 }, ask));
      return statuses.has(429);
    };
    await until(isRefused, "a refusal");
    expect([...statuses].sort()).toEqual([200, 429]);
    await busy.close();
  });
});

test("certificates hold for the days that were asked for", async () => {
  const short = await testDoor("c5", 7);
  const node = await short.member("n1");
  const leaf = readLeaf(node.tls()?.cert ?? "");
  if (!leaf.ok) throw new Error(leaf.error);
  const days = (leaf.value.notAfterMs - Date.now()) / DAY_MS;
  expect(days).toBeGreaterThan(6.9);
  expect(days).toBeLessThan(7.1);
  await short.close();
});
