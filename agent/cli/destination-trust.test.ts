/**
 * Goal: a destination of another cluster is reached and believed where its authority is named, and nobody else of that cluster is.
 * Method: servers over TLS with certificates of two real authorities.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RECEIPT_TYPE, type Receipt } from "../callhome/protocol.ts";
import { faultOfReceipt } from "../callhome/receipt-check.ts";
import { type TestIdentities, testIdentities } from "../identity/harness/test-authority.ts";
import type { Identity, PrincipalRole } from "../identity/identity.ts";
import { serveTls } from "../net/io/secure.ts";
import { NO_PROXY_AT_ALL } from "../net/outgoing-proxy.ts";
import { CliError } from "./cli-error.ts";
import { trustDestination } from "./destination-trust.ts";

let folder = "";
let own: TestIdentities;
let vendor: TestIdentities;
let node: Identity;
const servers: Bun.Server<undefined>[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-trust-"));
  own = await testIdentities("rack1");
  vendor = await testIdentities("vendor");
  node = await own.of("agent", "n1");
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(true);
  rmSync(folder, { recursive: true, force: true });
});

/** Serves as that one, and lets nodes of both clusters in. */
async function serve(ids: TestIdentities, role: PrincipalRole): Promise<string> {
  const identity = await ids.of(role, "d");
  const material = serveTls(identity);
  if (material === undefined) throw new Error("no certificates");
  // A list of one authority would be asked for of the other too.
  const { crl: _, ...tls } = material;
  const ca = [...tls.ca, ...(node.tls()?.ca ?? [])];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    tls: { ...tls, ca },
    fetch: () => new Response("heard"),
  });
  servers.push(server);
  return `https://127.0.0.1:${server.port}/`;
}

async function vendorFile(): Promise<string> {
  const path = join(folder, "vendor.pem");
  const [pem] = (await vendor.of("destination", "x")).tls()?.ca ?? [];
  writeFileSync(path, pem ?? "");
  return path;
}

function outcome(url: string, file: string | null): Promise<string> {
  const { fetch: to } = trustDestination(file, node, NO_PROXY_AT_ALL);
  return to(url).then(
    (response) => response.text(),
    () => "refused",
  );
}

describe("a destination of another cluster", () => {
  test("is reached only where its authority is named", async () => {
    const url = await serve(vendor, "destination");
    expect(await outcome(url, await vendorFile())).toBe("heard");
    expect(await outcome(url, null)).toBe("refused");
  });

  test("is no other process of that cluster, and one of a third cluster is none", async () => {
    const file = await vendorFile();
    expect(await outcome(await serve(vendor, "agent"), file)).toBe("refused");
    expect(await outcome(await serve(await testIdentities("third"), "destination"), file)).toBe(
      "refused",
    );
  });

  test("may be replaced by one of the own cluster", async () => {
    const url = await serve(own, "destination");
    expect(await outcome(url, await vendorFile())).toBe("heard");
  });

  test("gives receipts that are believed, and nobody of a third cluster does", async () => {
    const { verifier } = trustDestination(await vendorFile(), node, NO_PROXY_AT_ALL);
    const fields = { id: "a".repeat(64), destination: "d", ticket: "T-1", receivedMs: Date.now() };
    const payload = new TextEncoder().encode(JSON.stringify({ v: 1, ...fields }));
    const faultBy = async (ids: TestIdentities): Promise<string | null> => {
      const { signer } = await ids.of("destination", "d");
      const receipt: Receipt = { ...fields, proof: signer.sign(RECEIPT_TYPE, payload) };
      return faultOfReceipt(receipt, verifier, "rack1");
    };
    expect(await faultBy(vendor)).toBeNull();
    expect(await faultBy(own)).toBeNull();
    expect(await faultBy(await testIdentities("third"))).not.toBeNull();
  });

  test("is refused with a line for the user where the file is none", () => {
    const path = join(folder, "nothing.pem");
    writeFileSync(path, "hello");
    const complain = (file: string) => () => trustDestination(file, node, NO_PROXY_AT_ALL);
    expect(complain(path)).toThrow(CliError);
    expect(complain(path)).toThrow(/^--destination-ca .*nothing\.pem: /);
    expect(complain(join(folder, "absent.pem"))).toThrow(/--destination-ca/);
  });
});
