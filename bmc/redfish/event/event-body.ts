/**
 * What a service pushes: the body of a POST, or the data of a server-sent event, read into what the watch acts on.
 *
 * Total and bounded. A metric report and a heartbeat hold no event, but they are a sign of life; a message that says that
 * events were dropped or that the subscription has ended makes the watch read the log and look after the subscription.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { asObject, isObject, listAt, textAt } from "../json.ts";
import { type Draft, draftOfPushed } from "../redfish-event.ts";

export interface PushedBody {
  readonly context: string | null;
  readonly drafts: readonly Draft[];
  /** Events may have been lost: the log is to be read. */
  readonly hasGap: boolean;
  /** The subscription is ending or has been changed. */
  readonly isEnding: boolean;
}

/** bmcweb refuses bodies beyond 128 KiB of its own (`callhome.md` of the facts); others send batches. */
export const PUSHED_CHARS_MAX = 1_048_576;
const EVENTS_MAX = 1_000;

const HEARTBEAT = /RedfishServiceFunctional/;
const GAP = /EventBufferExceeded|LogCleared/;
const ENDING = /SubscriptionTerminated/;

/** The error is a line for whoever runs the endpoint. */
export function readPushedBody(text: string): Result<PushedBody, string> {
  if (text.length > PUSHED_CHARS_MAX) return err("the body is too long");
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return err("the body is not JSON");
  }
  if (!isObject(body)) return err("the body is not a JSON object");
  const type = textAt(body, "@odata.type") ?? "";
  const records = listAt(body, "Events").slice(0, EVENTS_MAX).filter(isObject).map(asObject);
  if (records.length === 0 && !/MetricReport|Event/.test(type)) {
    return err("the body is neither an Event nor a MetricReport");
  }
  const ids = records.map((record) => textAt(record, "MessageId") ?? "");
  const isMeant = (id: string): boolean => !HEARTBEAT.test(id) && !ENDING.test(id) && !GAP.test(id);
  return ok({
    context: textAt(body, "Context"),
    drafts: records.filter((_, index) => isMeant(ids[index] ?? "")).map(draftOfPushed),
    hasGap: ids.some((id) => GAP.test(id)) || listAt(body, "Events").length > EVENTS_MAX,
    isEnding: ids.some((id) => ENDING.test(id)),
  });
}
