/**
 * Routes of the emulated EventService: reading it, subscribing, resuming, ending, and the test event.
 *
 * The stream itself is opened by `io/redfish-server.ts`, as it is no answer that ends.
 */
import { asObject, type JsonObject, textAt } from "../redfish/json.ts";
import type { RedfishService } from "./redfish.ts";
import { RETRY_POLICIES, type Subscription } from "./redfish-events.ts";
import { fail, type HttpAnswer, type HttpAsk, reply } from "./redfish-http.ts";
import { collectionOf, link, ROOT } from "./redfish-resources.ts";

export const EVENT_SERVICE: string = `${ROOT}/EventService`;
export const STREAM_PATH: string = `${EVENT_SERVICE}/SSE`;
const SUBSCRIPTIONS: string = `${EVENT_SERVICE}/Subscriptions`;
const TEST_EVENT: string = `${EVENT_SERVICE}/Actions/EventService.SubmitTestEvent`;

function serviceResource(service: RedfishService): JsonObject {
  const { hasStream, hasSubscriptions } = service.setting;
  const { retryAttempts, retryIntervalMs } = service.events.limits;
  return {
    "@odata.id": EVENT_SERVICE,
    "@odata.type": "#EventService.v1_10_0.EventService",
    Id: "EventService",
    Name: "Event Service",
    ServiceEnabled: true,
    Status: { State: "Enabled", Health: "OK" },
    DeliveryRetryAttempts: retryAttempts,
    DeliveryRetryIntervalSeconds: Math.ceil(retryIntervalMs / 1000),
    EventFormatTypes: ["Event"],
    RegistryPrefixes: ["HoldfastSel"],
    ...(hasStream ? { ServerSentEventUri: STREAM_PATH } : {}),
    ...(hasSubscriptions ? { Subscriptions: link(SUBSCRIPTIONS) } : {}),
    Actions: { "#EventService.SubmitTestEvent": { target: TEST_EVENT } },
  };
}

function resourceOf(subscription: Subscription): JsonObject {
  const path = `${SUBSCRIPTIONS}/${subscription.id}`;
  return {
    "@odata.id": path,
    "@odata.type": "#EventDestination.v1_14_0.EventDestination",
    Id: subscription.id,
    Name: `Subscription ${subscription.id}`,
    Destination: subscription.destination,
    Context: subscription.context,
    Protocol: "Redfish",
    SubscriptionType: "RedfishEvent",
    EventFormatType: "Event",
    DeliveryRetryPolicy: subscription.policy,
    Status: { State: subscription.isSuspended ? "Disabled" : "Enabled", Health: "OK" },
    Actions: {
      "#EventDestination.ResumeSubscription": {
        target: `${path}/Actions/EventDestination.ResumeSubscription`,
      },
    },
  };
}

/** What a client may give; another property is refused, as bmcweb does. */
const FIELDS: readonly string[] = [
  "Destination",
  "Protocol",
  "Context",
  "EventFormatType",
  "SubscriptionType",
  "DeliveryRetryPolicy",
  "EventTypes",
  "RegistryPrefixes",
  "ResourceTypes",
  "MessageIds",
  "OriginResources",
  "HttpHeaders",
  "VerifyCertificate",
  "SubordinateResources",
];

function subscribe(service: RedfishService, body: JsonObject): HttpAnswer {
  const destination = textAt(body, "Destination");
  if (destination === null || textAt(body, "Protocol") === null)
    return fail(400, "PropertyMissing");
  if (!/^https?:\/\/[^/]+/.test(destination)) return fail(400, "PropertyValueNotInList");
  const { refusedField } = service.faults;
  const isUnknown = (name: string): boolean => !FIELDS.includes(name) || name === refusedField;
  if (Object.keys(body).some(isUnknown)) return fail(400, "PropertyUnknown");
  const policy = textAt(body, "DeliveryRetryPolicy") ?? service.faults.defaultPolicy;
  if (!RETRY_POLICIES.includes(policy)) return fail(400, "PropertyValueNotInList");
  const made = service.events.add(destination, textAt(body, "Context") ?? "", policy);
  if (made === null) return fail(409, "EventSubscriptionLimitExceeded");
  return reply(201, resourceOf(made), { Location: `${SUBSCRIPTIONS}/${made.id}` });
}

function answerOne(
  service: RedfishService,
  subscription: Subscription,
  ask: HttpAsk,
): HttpAnswer | null {
  const own = `${SUBSCRIPTIONS}/${subscription.id}`;
  const { method, path } = ask;
  if (path === `${own}/Actions/EventDestination.ResumeSubscription` && method === "POST") {
    service.events.resume(subscription);
    return reply(204, null);
  }
  if (path !== own) return null;
  switch (method) {
    case "GET":
      return reply(200, resourceOf(subscription));
    case "DELETE":
      service.events.remove(subscription.id);
      return reply(204, null);
    default:
      return fail(405, "OperationNotAllowed");
  }
}

function submitTestEvent(service: RedfishService, body: JsonObject): HttpAnswer {
  if (textAt(body, "MessageId") === null) return fail(400, "PropertyMissing");
  const origin = textAt(body, "OriginOfCondition");
  const { EventId: _told, OriginOfCondition: _plain, ...rest } = body;
  service.raise({ ...rest, ...(origin === null ? {} : { OriginOfCondition: link(origin) }) });
  return reply(204, null);
}

export function answerEvents(service: RedfishService, ask: HttpAsk): HttpAnswer | null {
  const { method, path } = ask;
  if (!path.startsWith(EVENT_SERVICE)) return null;
  if (path === EVENT_SERVICE && method === "GET") return reply(200, serviceResource(service));
  if (path === TEST_EVENT && method === "POST") return submitTestEvent(service, asObject(ask.body));
  if (!service.setting.hasSubscriptions) return null;
  if (path === SUBSCRIPTIONS && method === "POST") return subscribe(service, asObject(ask.body));
  if (path === SUBSCRIPTIONS && method === "GET") {
    const members = service.events.list().map(({ id }) => link(`${SUBSCRIPTIONS}/${id}`));
    return reply(200, collectionOf(path, "EventDestination", "Subscriptions", members));
  }
  const id = path.slice(SUBSCRIPTIONS.length + 1).split("/")[0] ?? "";
  const subscription = path.startsWith(`${SUBSCRIPTIONS}/`) ? service.events.get(id) : null;
  return subscription === null ? null : answerOne(service, subscription, ask);
}
