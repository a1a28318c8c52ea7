/**
 * Goal: the faults that others are tested against are what they say: what is kept and what is heard differ as they should.
 * Method: one parcel after another to a test destination in each mood.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Parcel, ParcelResult, ParcelsAnswer } from "../../callhome/protocol.ts";
import type { Identity } from "../../identity/identity.ts";
import { openLocalIdentity } from "../../identity/io/open-identity.ts";
import { TestDestination } from "./test-destination.ts";
import { testEvent, testParcel } from "./test-events.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-test-destination-"));
let node: Identity;
let support: TestDestination;

beforeAll(async () => {
  node = openLocalIdentity(folder, "agent", "n1");
  support = await TestDestination.start();
});

afterAll(async () => {
  await support.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function post(parcel: Parcel, withinMs = 4_000): Promise<ParcelResult | number | "broken"> {
  try {
    const response = await fetch(`${support.url}/v1/callhome/parcels`, {
      method: "POST",
      body: JSON.stringify({ parcels: [parcel] }),
      signal: AbortSignal.timeout(withinMs),
    });
    if (!response.ok) return response.status;
    const [result] = ((await response.json()) as ParcelsAnswer).results;
    return result ?? "broken";
  } catch {
    return "broken";
  }
}

function parcel(): Parcel {
  return testParcel(node.signer, testEvent());
}

function isKept({ id }: Parcel): boolean {
  return support.destination.store.receipt(id) !== null;
}

describe("a test destination", () => {
  test("answers as told so often as told, then as it should, and remembers who asked", async () => {
    support.fail({ kind: "status", status: 500 }, 2);
    const one = parcel();
    expect([await post(one), await post(one)]).toEqual([500, 500]);
    expect(isKept(one)).toBe(false);
    expect(await post(one)).toMatchObject({ kind: "delivered", isDuplicate: false });
    expect(support.requests.slice(-3).map(({ parcelCount }) => parcelCount)).toEqual([1, 1, 1]);
  });

  test("keeps what it was given and cuts the answer, or cuts before it keeps", async () => {
    support.fail({ kind: "drop-answer" }, 1);
    const kept = parcel();
    expect(await post(kept)).toBe("broken");
    expect(isKept(kept)).toBe(true);
    expect(await post(kept)).toMatchObject({ kind: "delivered", isDuplicate: true });
    support.fail({ kind: "drop-request" }, 1);
    const lost = parcel();
    expect(await post(lost)).toBe("broken");
    expect(isKept(lost)).toBe(false);
  });

  test("takes it twice, answers late, does not answer", async () => {
    support.fail({ kind: "twice" }, 1);
    expect(await post(parcel())).toMatchObject({ kind: "delivered", isDuplicate: true });
    support.fail({ kind: "slow", ms: 50 }, 1);
    expect(await post(parcel())).toMatchObject({ kind: "delivered", isDuplicate: false });
    support.fail({ kind: "hang" });
    const one = parcel();
    expect(await post(one, 100)).toBe("broken");
    support.fail(null);
    expect(await post(one)).toMatchObject({ kind: "delivered", isDuplicate: false });
  });

  test("is away and back with what it had", async () => {
    const one = parcel();
    await post(one);
    await support.pause();
    expect(await post(one)).toBe("broken");
    await support.resume();
    expect(await post(one)).toMatchObject({ kind: "delivered", isDuplicate: true });
    await support.restart();
    expect(await post(one)).toMatchObject({ kind: "delivered", isDuplicate: true });
  });
});
