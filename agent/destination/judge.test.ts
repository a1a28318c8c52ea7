/**
 * Goal: only what a node of a trusted cluster signed as its own is taken, each refusal has its own reason, and nothing throws.
 * Method: real certificates and signatures of a test authority, changed one thing at a time; random values in place of parcels.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EVENT_TYPE, type Parcel } from "../callhome/protocol.ts";
import { type TestIdentities, testIdentities } from "../identity/harness/test-authority.ts";
import type { Identity } from "../identity/identity.ts";
import { testEvent, testParcel } from "./harness/test-events.ts";
import { CLOCK_AHEAD_MS, judge, REPLAY_HORIZON_MS, type Setting } from "./judge.ts";

const NOW = Date.now();
const DAY_MS = 86_400_000;

let ids: TestIdentities;
let node: Identity;
let support: Identity;
let setting: Setting;

beforeAll(async () => {
  ids = await testIdentities("c1");
  node = await ids.of("agent", "n1", {
    notBeforeMs: NOW - 400 * DAY_MS,
    notAfterMs: NOW + 30 * DAY_MS,
  });
  support = await ids.of("destination", "support");
  setting = { verifier: support.verifier, nowMs: NOW, horizonMs: NOW - REPLAY_HORIZON_MS };
});

function refusalOf(value: unknown): string | null {
  const judged = judge(value, setting);
  if (judged.ok) return judged.value.tooOld?.kind ?? null;
  expect(judged.error.isPermanent).toBe(true);
  expect(judged.error.reason).toStartWith(`${judged.error.kind}: `);
  expect(judged.error.reason).not.toContain("\n");
  return judged.error.kind;
}

function resigned(parcel: Parcel, change: Partial<Parcel["envelope"]>): Parcel {
  return { ...parcel, envelope: { ...parcel.envelope, ...change } };
}

describe("a parcel", () => {
  test("of an agent and of a manager is taken, with the trail it has", async () => {
    const parcel = testParcel(node.signer, testEvent());
    const judged = judge(parcel, setting);
    if (!judged.ok) throw new Error(judged.error.reason);
    expect(judged.value.arrival).toMatchObject({
      signer: { cluster: "c1", role: "agent", name: "n1" },
      trail: parcel.trail,
      receivedMs: NOW,
      note: null,
    });
    const manager = await ids.of("manager", "m1");
    expect(refusalOf(testParcel(manager.signer, testEvent()))).toBeNull();
  });

  test("that was changed on the way is refused: payload, signature, type, id", () => {
    const parcel = testParcel(node.signer, testEvent());
    const other = testParcel(node.signer, testEvent({ severity: "non-recoverable" }));
    expect(refusalOf(resigned(parcel, { payload: other.envelope.payload }))).toBe("bad-signature");
    expect(refusalOf(resigned(parcel, { signatures: other.envelope.signatures }))).toBe(
      "bad-signature",
    );
    expect(refusalOf(resigned(parcel, { payloadType: "application/json" }))).toBe("wrong-type");
    expect(refusalOf({ ...parcel, id: other.id })).toBe("wrong-id");
    expect(refusalOf(resigned(parcel, { payload: "bm90IGpzb24=" }))).toBe("malformed");
  });

  test("of another cluster, of nobody's authority, of a revoked or ended certificate is refused", async () => {
    const others = await testIdentities("c2");
    const foreign = await others.of("agent", "n1");
    expect(refusalOf(testParcel(foreign.signer, testEvent()))).toBe("wrong-cluster");
    const impostors = await testIdentities("c1");
    const impostor = await impostors.of("agent", "n1");
    expect(refusalOf(testParcel(impostor.signer, testEvent()))).toBe("unknown-authority");
    const ended = await ids.of("agent", "n7", {
      notBeforeMs: NOW - 9 * DAY_MS,
      notAfterMs: NOW - DAY_MS,
    });
    expect(refusalOf(testParcel(ended.signer, testEvent()))).toBe("certificate-expired");
    const inTime = { signedMs: NOW - 2 * DAY_MS };
    expect(refusalOf(testParcel(ended.signer, testEvent(), inTime))).toBeNull();
    expect(refusalOf(testParcel(node.signer, testEvent(), { signedMs: NOW - 500 * DAY_MS }))).toBe(
      "not-yet-valid",
    );
    const lost = await ids.of("agent", "n8");
    await ids.revoke("agent", "n8");
    expect(refusalOf(testParcel(lost.signer, testEvent()))).toBe("revoked");
  });

  test("that a node signed in another's name, or that a role signed which sees no errors, is refused", async () => {
    expect(refusalOf(testParcel(node.signer, testEvent(), { node: "n2" }))).toBe("wrong-node");
    expect(refusalOf(testParcel(node.signer, testEvent(), { cluster: "c2" }))).toBe(
      "wrong-cluster",
    );
    const operator = await ids.of("operator", "alice");
    expect(refusalOf(testParcel(operator.signer, testEvent()))).toBe("wrong-role");
  });

  test("that was signed before the horizon is refused as expired, unless its id is known, which is looked at later", () => {
    const signedMs = setting.horizonMs - 1;
    const judged = judge(testParcel(node.signer, testEvent(), { signedMs }), setting);
    if (!judged.ok) throw new Error(judged.error.reason);
    expect(judged.value.tooOld).toMatchObject({ kind: "expired", isPermanent: true });
    expect(judged.value.tooOld?.reason).toContain("n1");
    expect(refusalOf(testParcel(node.signer, testEvent(), { signedMs: signedMs + 1 }))).toBeNull();
  });

  test("from the future is taken, and says whose clock is ahead, by however much", () => {
    const noteAt = (aheadMs: number): string | null => {
      const judged = judge(
        testParcel(node.signer, testEvent(), { signedMs: NOW + aheadMs }),
        setting,
      );
      if (!judged.ok) throw new Error(judged.error.reason);
      return judged.value.arrival.note;
    };
    expect(noteAt(CLOCK_AHEAD_MS)).toBeNull();
    expect(noteAt(CLOCK_AHEAD_MS + 60_000)).toContain("the clock of n1 is ahead: by 6 min");
    expect(noteAt(3 * DAY_MS)).toContain("by 3 days");
  });

  test("that is none is refused by its shape, and names the field", () => {
    const parcel = testParcel(node.signer, testEvent());
    const refused = judge({ ...parcel, trail: "x" }, setting);
    expect(refused.ok ? null : refused.error).toMatchObject({ kind: "malformed", id: parcel.id });
    expect(refused.ok ? "" : refused.error.reason).toContain("trail");
    const bytes = new TextEncoder().encode(JSON.stringify({ v: 2 }));
    const odd = { ...parcel, envelope: node.signer.sign(EVENT_TYPE, bytes) };
    expect(refusalOf(odd)).toBe("malformed");
  });

  test("of any shape at all never makes it throw", () => {
    const good = testParcel(node.signer, testEvent());
    fc.assert(
      fc.property(
        fc.oneof(
          fc.anything(),
          fc.record({ id: fc.constant(good.id), envelope: fc.anything(), trail: fc.anything() }),
          fc.anything().map((payload) => ({
            ...good,
            envelope: {
              ...good.envelope,
              payload: Buffer.from(JSON.stringify(payload) ?? "").toString("base64"),
            },
          })),
        ),
        (value) => {
          expect(judge(value, setting).ok).toBe(false);
        },
      ),
      { numRuns: 500 },
    );
  });
});
