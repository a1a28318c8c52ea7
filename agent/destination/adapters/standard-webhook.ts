/**
 * A webhook signed in the Standard Webhooks way, which any receiver can check with a library that exists.
 *
 * Documentation: github.com/standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`. Signed is `id.timestamp.body`, by
 * HMAC-SHA256 with the bytes of the secret (`whsec_` and base64 of 24 to 64 bytes); the header holds one `v1,BASE64` for each
 * secret, the current one first, so that a secret is changed without a moment in which none fits. `webhook-id` is the same at each
 * attempt and never has a dot in it. A 2xx is a success, everything else a failure; 410 ends it; 429 and 503 may say when.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { TicketChange } from "../adapter.ts";
import { detailsOf, isoText, oneLine, safeName } from "./change-text.ts";
import { failureOf, isSuccess } from "./http-answer.ts";
import { delivered, failed, jsonAsk, type Talk } from "./talk.ts";

const SECRET_BYTES_MIN = 24;
const SECRET_BYTES_MAX = 64;

/** Bytes of a secret as it stands in its file. The error never repeats it. */
export function webhookSecret(text: string): Result<Uint8Array, string> {
  const base64 = text.startsWith("whsec_") ? text.slice("whsec_".length) : text;
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
    return err(
      "must hold whsec_ and base64, such as `echo whsec_$(openssl rand -base64 32)` makes",
    );
  }
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.fromBase64(base64);
  } catch {
    return err("is not base64 after whsec_");
  }
  if (bytes.length >= SECRET_BYTES_MIN && bytes.length <= SECRET_BYTES_MAX) return ok(bytes);
  return err(
    `has ${bytes.length} bytes; Standard Webhooks wants ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX}`,
  );
}

/** Without dots, so that no id can be read as id and timestamp; distinct changes keep distinct ids. */
export function webhookId(change: TicketChange): string {
  return `msg_${safeName(`${change.destination}/${change.key}`, /[^A-Za-z0-9-]/gu)}`;
}

/** What the HMAC is over. */
export function signedText(id: string, timestampSeconds: number, body: string): string {
  return `${id}.${timestampSeconds}.${body}`;
}

/** `type` is hierarchical, as the specification recommends; `data` has the same members for every type. */
export function webhookBody(change: TicketChange): unknown {
  const { key, kind, ticket, destination, title, severity, component, text } = change;
  return {
    type: `ticket.${kind}`,
    timestamp: isoText(change.atMs),
    data: {
      key,
      ticket,
      destination,
      title: oneLine(title, 1_000),
      severity,
      component,
      system: change.system,
      node: change.node,
      cluster: change.cluster,
      event_count: change.eventCount,
      new_event_count: change.newEventCount,
      first_at: isoText(change.firstMs),
      last_at: isoText(change.lastMs),
      text: oneLine(text, 4_096),
      event_id: change.eventId,
      related: change.related,
      link: change.link,
      details: detailsOf(change),
    },
  };
}

/** The signature is added by whoever sends: it needs the time and the secrets' bytes. */
export function webhookTalk(who: string): Talk {
  return {
    // The URL may itself be a secret, hence from a file.
    step: (change, [answer], secrets) => {
      if (answer === undefined) return jsonAsk("POST", secrets["url"] ?? "", webhookBody(change));
      if (isSuccess(answer)) return delivered(null);
      return failed(failureOf(answer, who, null));
    },
  };
}
