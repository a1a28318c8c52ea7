/**
 * Requests and answers of the emulated Redfish service, apart from any web server.
 */
import type { JsonObject } from "../redfish/json.ts";

export interface HttpAsk {
  readonly method: string;
  /** Without query and without a slash at the end. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly token: string | null;
  readonly basic: { readonly user: string; readonly password: string } | null;
  /** Parsed; null where there was none or it was no JSON. */
  readonly body: unknown;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: JsonObject | null;
  readonly headers: Readonly<Record<string, string>>;
}

export function reply(
  status: number,
  body: JsonObject | null,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  return { status, body, headers };
}

const TEXTS: Readonly<Record<string, string>> = {
  ActionParameterValueNotInList: "The value of the parameter is not one that is allowed.",
  EventSubscriptionLimitExceeded: "There are as many subscriptions as there may be.",
  InsufficientPrivilege: "The account has not the privilege for this.",
  NoValidSession: "There is no valid session.",
  OperationNotAllowed: "The method is not allowed on this resource.",
  PropertyMissing: "A property that is required is missing.",
  PropertyUnknown: "A property is not one that this resource knows.",
  PropertyValueNotInList: "The value of a property is not one that is allowed.",
  ResourceInUse: "The change is not possible in the present state.",
  ResourceMissingAtURI: "There is no resource at this address.",
  ServiceTemporarilyUnavailable: "The service is not available now.",
};

/** As DSP0266 §8.6 lays it out; `key` is of the Base registry. */
export function fail(status: number, key: string): HttpAnswer {
  const text = TEXTS[key] ?? key;
  const info = {
    "@odata.type": "#Message.v1_2_0.Message",
    MessageId: `Base.1.18.${key}`,
    Message: text,
    MessageArgs: [],
    MessageSeverity: "Critical",
    Resolution: "None.",
  };
  const error = { code: `Base.1.18.${key}`, message: text, "@Message.ExtendedInfo": [info] };
  const headers: Record<string, string> = {};
  if (status === 503) headers["Retry-After"] = "1";
  if (status === 401) headers["WWW-Authenticate"] = 'Basic realm="emulated BMC"';
  return reply(status, { error }, headers);
}
