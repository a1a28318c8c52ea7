/**
 * Goal: any library of Standard Webhooks takes our webhooks. Method: the vector of the specification's own JavaScript library
 * (standard-webhooks/standard-webhooks, `libraries/javascript/src/webhook.test.ts`, "sign function works").
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { change } from "./harness/change.ts";
import { signedText, webhookBody, webhookId, webhookSecret } from "./standard-webhook.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

describe("the signature", () => {
  test("is that of the public vector", () => {
    const secret = webhookSecret(SECRET);
    if (!secret.ok) throw new Error(secret.error);
    const text = signedText("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}');
    const signature = new Bun.CryptoHasher("sha256", secret.value).update(text).digest("base64");
    expect(signature).toBe("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });

  test("needs a secret of 24 to 64 bytes, and says so without showing it", () => {
    for (const text of ["whsec_", "whsec_c2hvcnQ=", "whsec_!!!", `whsec_${btoa("x".repeat(65))}`]) {
      const secret = webhookSecret(text);
      expect(secret.ok).toBe(false);
      if (!secret.ok) expect(secret.error).not.toContain(text.slice(6) || "whsec_c2");
    }
    expect(webhookSecret(`whsec_${btoa("x".repeat(64))}`).ok).toBe(true);
  });
});

describe("the id", () => {
  test("has no dot and differs for different changes", () => {
    const texts = fc.string({ minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(texts, texts, texts, texts, (d1, k1, d2, k2) => {
        const one = webhookId(change({ destination: d1, key: k1 }));
        const two = webhookId(change({ destination: d2, key: k2 }));
        expect(one).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(one === two).toBe(`${d1}/${k1}` === `${d2}/${k2}`);
      }),
    );
  });
});

describe("the body", () => {
  test("has a hierarchical type, a time and the same members for each type", () => {
    const kinds = ["opened", "appended", "raised", "closed", "reopened"] as const;
    const bodies = kinds.map((kind) => webhookBody(change({ kind })) as Record<string, object>);
    for (const [index, body] of bodies.entries()) {
      expect(body["type"] as unknown).toBe(`ticket.${kinds[index]}`);
      expect(body["timestamp"] as unknown).toBe("2026-11-25T09:34:10.000Z");
      expect(Object.keys(body["data"] ?? {})).toEqual(Object.keys(bodies[0]?.["data"] ?? {}));
    }
  });
});
