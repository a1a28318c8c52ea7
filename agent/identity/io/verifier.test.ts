/**
 * Signatures by real certificates: what is believed, and every way in which something is not.
 */
import { expect, test } from "bun:test";
import { testIdentities } from "../harness/test-authority.ts";

const TYPE = "application/vnd.holdfast.test+json";
const text = new TextEncoder();

test("what a node signs is believed by another one of its cluster, with its name", async () => {
  const ids = await testIdentities("c1");
  const node = await ids.of("agent", "n1");
  const manager = await ids.of("manager", "m1");
  const envelope = node.signer.sign(TYPE, text.encode("hello"));
  const result = manager.verifier.verify(envelope, TYPE, Date.now());
  expect(result).toEqual({
    ok: true,
    value: {
      principal: { cluster: "c1", role: "agent", name: "n1" },
      payload: text.encode("hello"),
    },
  });
});
