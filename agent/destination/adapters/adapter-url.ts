/**
 * An adapter's URL, read into one closed union.
 *
 *   webhook+https://HOST/PATH?secret-file=F[&secret-file=OLD]    webhook:?url-file=F&secret-file=F    unsigned=yes: no signature
 *   pagerduty:?key-file=F[&region=eu]
 *   opsgenie:?key-file=F[&region=eu][&responders=team:NAME,user:MAIL][&tags=A,B]     jsm:?key-file=F likewise
 *   servicenow+https://INSTANCE.service-now.com?user=U&password-file=F  |  token-file=F   [&table=em_event][&closes=no][&field.NAME=VALUE]
 *   redfish+https://HOST/PATH[?user=U&password-file=F][&context=TEXT]
 *   smtp://USER@HOST:587?password-file=F&to=A,B[&from=C][&tls=required|opportunistic|none]      smtps://… likewise
 *   dir:/PATH
 *
 * All: `name=`. Those over HTTP: `timeout=15s`, `ca-file=`, `client-cert-file=` and `client-key-file=`, `proxy=`, `proxy-password-file=`,
 * `allow-http=yes`. A secret stands in a file, never in the URL: one with a password in it is refused, and so is a setting that
 * is not known, by its name. Errors name the field and never repeat a value that might be a secret.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { AdapterSetting } from "./adapter-setting.ts";
import { folder, smtp } from "./mail-setting.ts";
import { alerts, pagerduty, redfish, servicenow, webhook } from "./service-settings.ts";
import type { Params } from "./setting-fields.ts";

const KINDS = "webhook, pagerduty, opsgenie, jsm, servicenow, redfish, smtp, smtps, dir";

/** Settings that may be given more than once become lists. */
function paramsOf(search: URLSearchParams): Result<Params, string> {
  const params: Record<string, string | string[]> = {};
  for (const [key, value] of search) {
    const before = params[key];
    if (key === "secret-file") {
      params[key] = [...(Array.isArray(before) ? before : []), value];
    } else if (before !== undefined) return err(`${key}: is given twice`);
    else params[key] = value;
  }
  return ok(params);
}

function settingOf(url: URL, params: Params): Result<AdapterSetting, string> {
  switch (url.protocol) {
    case "webhook:":
    case "webhook+https:":
    case "webhook+http:":
      return webhook(url, params);
    case "pagerduty:":
      return pagerduty(params);
    case "opsgenie:":
      return alerts("opsgenie", params);
    case "jsm:":
      return alerts("jsm", params);
    case "servicenow+https:":
    case "servicenow+http:":
      return servicenow(url, params);
    case "redfish+https:":
    case "redfish+http:":
      return redfish(url, params);
    case "smtp:":
    case "smtps:":
      return smtp(url, params);
    case "dir:":
      return folder(url, params);
    default:
      return err(`there are ${KINDS}`);
  }
}

/** The error is one line: `--adapter pagerduty: key-file: is missing: …`. */
export function parseAdapterUrl(text: string): Result<AdapterSetting, string> {
  const scheme = /^[a-z+]{1,20}(?=:)/.exec(text)?.[0] ?? "?";
  const wrong = (why: string): Result<never, string> => err(`--adapter ${scheme}: ${why}`);
  const url = URL.parse(text);
  if (url === null) return wrong(`is no URL; there are ${KINDS}`);
  const params = paramsOf(url.searchParams);
  if (!params.ok) return wrong(params.error);
  let setting: Result<AdapterSetting, string>;
  try {
    setting = settingOf(url, params.value);
  } catch {
    return wrong("has a % that is no code of a character");
  }
  return setting.ok ? setting : wrong(setting.error);
}
