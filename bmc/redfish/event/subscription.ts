/**
 * Subscriptions at a service's EventService: find it, make one, look after it, remove what an earlier run of ours left.
 *
 * Services take different bodies: fields that one requires another refuses (retry policy on iLO and iDRAC, EventTypes on old
 * ones), so bodies are tried from the richest down, as long as the service says that it is the body it does not like. Ours
 * are told by their Context and by the host that they point to; those of others are never touched.
 */
import { err, ok } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { readCollection } from "../collection.ts";
import { asPath, at, type JsonObject, linkAt, listAt, textAt, textsAt, truthAt } from "../json.ts";
import { ask, get, isAbsent, post, type RedfishSteps } from "../redfish.ts";
import type { Survey } from "../survey.ts";

export const CONTEXT_PREFIX = "holdfast";

export interface EventPlace {
  /** null: nobody can subscribe. */
  readonly subscriptionsPath: string | null;
  readonly ssePath: string | null;
  /** Values for a service that subscribes by EventTypes (before EventService 1.3); null for newer ones. */
  readonly oldEventTypes: readonly string[] | null;
}

export function* findEventPlace(survey: Survey): RedfishSteps<EventPlace> {
  const path = survey.eventServicePath;
  if (path === null)
    return err(bmcError("unsupported", "this Redfish service has no EventService"));
  const service = yield* get(path);
  if (!service.ok) return service;
  const { body } = service.value;
  if (truthAt(body, "ServiceEnabled") === false) {
    return err(bmcError("unsupported", `${path} is switched off (ServiceEnabled is false)`));
  }
  const types = textsAt(body, "EventTypesForSubscription");
  const isNew = ["EventFormatTypes", "RegistryPrefixes", "ResourceTypes"].some(
    (name) => listAt(body, name).length > 0,
  );
  return ok({
    subscriptionsPath: linkAt(body, "Subscriptions"),
    ssePath: asPath(at(body, "ServerSentEventUri")),
    oldEventTypes: isNew || types.length === 0 ? null : types,
  });
}

export interface Destination {
  readonly url: string;
  readonly context: string;
}

/** From the richest to what every service has to take. */
function bodies(place: EventPlace, to: Destination): readonly JsonObject[] {
  const base = { Destination: to.url, Protocol: "Redfish", Context: to.context };
  const modern = { ...base, EventFormatType: "Event", SubscriptionType: "RedfishEvent" };
  // Else many services end or suspend a subscription after three failed deliveries.
  const lasting = { ...modern, DeliveryRetryPolicy: "RetryForever" };
  const old = { ...base, EventTypes: place.oldEventTypes ?? ["Alert", "StatusChange"] };
  return place.oldEventTypes === null ? [lasting, modern, base, old] : [old, base, modern];
}

/** Of a URL its scheme, host and port. */
function originOfUrl(url: string): string {
  return /^[a-z+]+:\/\/[^/?#]+/i.exec(url)?.[0].toLowerCase() ?? url;
}

export function isOurs(subscription: JsonObject, to: Destination): boolean {
  const context = textAt(subscription, "Context") ?? "";
  const destination = textAt(subscription, "Destination") ?? "";
  return context.startsWith(CONTEXT_PREFIX) && originOfUrl(destination) === originOfUrl(to.url);
}

/** Removes what earlier runs of ours have left; how many there were. What cannot be removed stays. */
export function* sweep(place: EventPlace, to: Destination): RedfishSteps<number> {
  if (place.subscriptionsPath === null) return ok(0);
  const all = yield* readCollection(place.subscriptionsPath);
  if (!all.ok) return isAbsent(all.error) ? ok(0) : all;
  let count = 0;
  for (const { path, body } of all.value.members) {
    if (!isOurs(body, to)) continue;
    const gone = yield* remove(path);
    if (gone.ok) count++;
  }
  return ok(count);
}

/** The path of the new subscription. */
export function* subscribe(place: EventPlace, to: Destination): RedfishSteps<string> {
  const path = place.subscriptionsPath;
  if (path === null) return err(bmcError("unsupported", "the EventService has no Subscriptions"));
  const swept = yield* sweep(place, to);
  if (!swept.ok) return swept;
  let last: BmcError = bmcError("refused", `${path}: no subscription was made`);
  for (const body of bodies(place, to)) {
    const made = yield* post(path, body);
    if (made.ok) {
      const own = made.value.location ?? linkAt(made.value.body);
      return own === null ? yield* findOwn(path, to) : ok(own);
    }
    last = made.error;
    // Only a refusal of the body itself leads to another body.
    if (last.kind !== "refused") return made;
  }
  return err(last);
}

/** Of a service that makes a subscription and does not say where. */
function* findOwn(path: string, to: Destination): RedfishSteps<string> {
  const all = yield* readCollection(path);
  if (!all.ok) return all;
  const own = all.value.members.find(
    ({ body }) => textAt(body, "Destination") === to.url && textAt(body, "Context") === to.context,
  );
  if (own !== undefined) return ok(own.path);
  return err(bmcError("malformed", `${path}: the new subscription is not in the list`));
}

export type SubscriptionState = "healthy" | "gone" | "suspended";

/** What stands at the path may be another's by now, when the service counts anew after a restart: that is gone, too. */
export function* check(path: string, to: Destination): RedfishSteps<SubscriptionState> {
  const found = yield* get(path);
  if (!found.ok) return isAbsent(found.error) ? ok("gone") : found;
  const { body } = found.value;
  const destination = textAt(body, "Destination");
  if (destination !== null && destination !== to.url) return ok("gone");
  const state = textAt(body, "Status", "State") ?? "Enabled";
  if (state === "Enabled") return ok("healthy");
  const target = asPath(at(body, "Actions", "#EventDestination.ResumeSubscription", "target"));
  if (target === null) return ok("suspended");
  const resumed = yield* post(target, {});
  if (!resumed.ok) return ok("suspended");
  const again = yield* get(path);
  if (!again.ok) return isAbsent(again.error) ? ok("gone") : again;
  const now = textAt(again.value.body, "Status", "State") ?? "Enabled";
  return ok(now === "Enabled" ? "healthy" : "suspended");
}

export function* remove(path: string): RedfishSteps<null> {
  const answer = yield* ask({ method: "DELETE", path, body: null, etag: null });
  return answer.ok || isAbsent(answer.error) ? ok(null) : answer;
}
