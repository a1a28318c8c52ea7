/**
 * Settings of the adapters that speak HTTP, each from its URL and the settings behind the question mark.
 */
import { z } from "zod";
import { err, ok, type Result } from "../../../core/result.ts";
import type { AdapterSetting } from "./adapter-setting.ts";
import { JSM_URL, OPSGENIE_URLS } from "./opsgenie.ts";
import { PAGERDUTY_URLS } from "./pagerduty.ts";
import {
  accessOf,
  file,
  httpOf,
  needsFile,
  overHttp,
  type Params,
  read,
  targetOf,
  webAddress,
  whyNotCleartext,
  withUser,
  words,
  yesNo,
} from "./setting-fields.ts";

const alert = z.strictObject({
  ...overHttp,
  "key-file": needsFile("the integration's API key"),
  region: z.enum(["us", "eu"], "must be us or eu").optional(),
  url: webAddress.optional(),
  responders: z
    .string()
    .regex(
      /^(?:(?:team|user|escalation|schedule):[^,:]+)(?:,(?:team|user|escalation|schedule):[^,:]+)*$/,
      "must be such as team:platform,user:ann@example.com",
    )
    .optional(),
  tags: words.optional(),
});

const SCHEMAS = {
  webhook: z.strictObject({
    ...overHttp,
    "url-file": file.optional(),
    "secret-file": z.array(file).max(4, "may be given four times").optional(),
    unsigned: yesNo.optional(),
  }),
  pagerduty: z.strictObject({
    ...overHttp,
    "key-file": needsFile("the integration's routing key"),
    region: z.enum(["us", "eu"], "must be us or eu").optional(),
    url: webAddress.optional(),
  }),
  alert,
  servicenow: z.strictObject({
    ...overHttp,
    ...withUser,
    "token-file": file.optional(),
    table: z.enum(["incident", "em_event"], "must be incident or em_event").optional(),
    closes: yesNo.optional(),
    "close-code": words.optional(),
  }),
  redfish: z.strictObject({ ...overHttp, ...withUser, context: words.optional() }),
} as const;

export function webhook(url: URL, all: Params): Result<AdapterSetting, string> {
  const params = read(SCHEMAS.webhook, all);
  if (!params.ok) return params;
  const http = httpOf(params.value);
  if (!http.ok) return http;
  const urlFile = params.value["url-file"] ?? null;
  const allowsHttp = params.value["allow-http"] === "yes";
  const hasUrl = url.protocol !== "webhook:";
  if (hasUrl === (urlFile !== null)) return err("url-file: goes with webhook:, and only there");
  const target = hasUrl ? targetOf(url, allowsHttp) : ok(null);
  if (!target.ok) return target;
  const secretFiles = params.value["secret-file"] ?? [];
  const isUnsigned = params.value.unsigned === "yes";
  if ((secretFiles.length === 0) !== isUnsigned) {
    return err("secret-file: is missing (a file with whsec_…), or say unsigned=yes");
  }
  const name = params.value.name ?? (hasUrl ? `webhook-${nameOfHost(target.value)}` : "webhook");
  const rest = { urlFile, secretFiles, allowsHttp, http: http.value };
  return ok({ kind: "webhook", name, url: target.value, ...rest });
}

function nameOfHost(url: string | null): string {
  return url === null ? "" : new URL(url).host.replace(/[^A-Za-z0-9.]+/g, "-");
}

function knownService(
  params: { readonly url?: string | undefined; readonly region?: "us" | "eu" | undefined },
  urls: { readonly us: string; readonly eu: string },
  allowsHttp: boolean,
): Result<string, string> {
  if (params.url === undefined) return ok(urls[params.region ?? "us"]);
  if (params.region !== undefined) return err("region: goes without url");
  const why = whyNotCleartext(new URL(params.url), allowsHttp);
  return why === null ? ok(params.url.replace(/\/$/, "")) : err(`url: ${why}`);
}

export function pagerduty(all: Params): Result<AdapterSetting, string> {
  const params = read(SCHEMAS.pagerduty, all);
  if (!params.ok) return params;
  const http = httpOf(params.value);
  if (!http.ok) return http;
  const url = knownService(params.value, PAGERDUTY_URLS, params.value["allow-http"] === "yes");
  if (!url.ok) return url;
  const keyFile = params.value["key-file"];
  const name = params.value.name ?? "pagerduty";
  return ok({ kind: "pagerduty", name, url: url.value, keyFile, http: http.value });
}

export function alerts(kind: "opsgenie" | "jsm", all: Params): Result<AdapterSetting, string> {
  const params = read(SCHEMAS.alert, all);
  if (!params.ok) return params;
  const http = httpOf(params.value);
  if (!http.ok) return http;
  if (kind === "jsm" && params.value.region !== undefined) {
    return err("region: is no setting of jsm, which has one address for all");
  }
  const urls = kind === "jsm" ? { us: JSM_URL, eu: JSM_URL } : OPSGENIE_URLS;
  const url = knownService(params.value, urls, params.value["allow-http"] === "yes");
  if (!url.ok) return url;
  const responders = (params.value.responders ?? "").split(",").flatMap((one) => {
    const [type = "", name = ""] = one.split(":");
    return name === "" ? [] : [{ type, name }];
  });
  const tags = (params.value.tags ?? "").split(",").filter((tag) => tag !== "");
  const rest = { keyFile: params.value["key-file"], responders, tags, http: http.value };
  return ok({ kind, name: params.value.name ?? kind, url: url.value, ...rest });
}

/** `field.assignment_group=…`: columns of the user's own instance, hence not in the schema. */
function splitFields(all: Params): Result<[Params, Readonly<Record<string, string>>], string> {
  const fields: Record<string, string> = {};
  const rest: Record<string, string | readonly string[]> = {};
  for (const [key, value] of Object.entries(all)) {
    if (!key.startsWith("field.")) rest[key] = value;
    else if (/^field\.[a-z][a-z0-9_]{0,79}$/.test(key)) fields[key.slice(6)] = String(value);
    else return err(`${key}: must be field. and the name of a column`);
  }
  return ok([rest, fields]);
}

export function servicenow(url: URL, all: Params): Result<AdapterSetting, string> {
  const split = splitFields(all);
  if (!split.ok) return split;
  const [rest, fields] = split.value;
  const params = read(SCHEMAS.servicenow, rest);
  if (!params.ok) return params;
  const http = httpOf(params.value);
  if (!http.ok) return http;
  const target = targetOf(url, params.value["allow-http"] === "yes");
  if (!target.ok) return target;
  const access = accessOf(params.value);
  if (!access.ok) return access;
  if (access.value.kind === "none") {
    return err("user: is missing; or give token-file for an OAuth token");
  }
  return ok({
    kind: "servicenow",
    name: params.value.name ?? `servicenow-${nameOfHost(target.value)}`,
    url: target.value.replace(/\/$/, ""),
    table: params.value.table ?? "incident",
    access: access.value,
    closes: params.value.closes !== "no",
    closeCode: params.value["close-code"] ?? "Solution provided",
    fields,
    http: http.value,
  });
}

export function redfish(url: URL, all: Params): Result<AdapterSetting, string> {
  const params = read(SCHEMAS.redfish, all);
  if (!params.ok) return params;
  const http = httpOf(params.value);
  if (!http.ok) return http;
  const target = targetOf(url, params.value["allow-http"] === "yes");
  if (!target.ok) return target;
  const access = accessOf(params.value);
  if (!access.ok) return access;
  const name = params.value.name ?? `redfish-${nameOfHost(target.value)}`;
  const context = params.value.context ?? "holdfast";
  const rest = { access: access.value, context, http: http.value };
  return ok({ kind: "redfish", name, url: target.value, ...rest });
}
