/**
 * Goal: all mails of a ticket are one thread, and nothing that came from a machine reaches a header as more than text. Method: ids of
 * the mails of one ticket; properties over names and texts.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { change } from "./harness/change.ts";
import { mailOf } from "./mail.ts";

describe("the mails of a ticket", () => {
  const first = mailOf(change(), "example.com");
  const second = mailOf(change({ key: "T-2026-000123.2", kind: "raised" }), "example.com");
  const last = mailOf(change({ key: "T-2026-000123.3", kind: "closed" }), "example.com");

  test("all refer to the first", () => {
    expect(first.inReplyTo).toBeNull();
    for (const mail of [second, last]) {
      expect(mail.inReplyTo).toBe(first.messageId);
      expect(mail.references).toEqual([first.messageId]);
      expect(mail.subject).toBe(`Re: ${first.subject}`);
    }
    expect(new Set([first.messageId, second.messageId, last.messageId]).size).toBe(3);
  });

  test("keep their id when sent again", () => {
    expect(mailOf(change({ key: "T-2026-000123.2", kind: "raised" }), "example.com")).toEqual(
      second,
    );
  });

  test("are urgent while the fault is grave", () => {
    expect([first.priority, last.priority]).toEqual(["high", "normal"]);
    expect(mailOf(change({ severity: "warning" }), "example.com").priority).toBe("normal");
  });
});

test("no name breaks out of an id or a header", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (name, text) => {
      const mail = mailOf(change({ destination: name, title: text, text }), "example.com");
      expect(mail.messageId).toMatch(/^<[A-Za-z0-9._-]+@example\.com>$/);
      expect(mail.subject).not.toMatch(/[\r\n]/);
      for (const value of Object.values(mail.headers)) expect(value).not.toMatch(/[\r\n]/);
    }),
  );
});
