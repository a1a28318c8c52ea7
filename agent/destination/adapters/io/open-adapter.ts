/**
 * An adapter by its URL, as `--adapter` gives it: whatever is wrong with the URL or its secrets is one line, said at start.
 *
 * Secrets are read once at the start, to be told of a mistake then, and anew for each delivery.
 */
import { err, ok, type Result } from "../../../../core/result.ts";
import type { TicketChange } from "../../adapter.ts";
import type { Adapter } from "../../io/adapter.ts";
import type {
  AccessSetting,
  AdapterSetting,
  AlertSetting,
  HttpSetting,
  WebhookSetting,
} from "../adapter-setting.ts";
import { parseAdapterUrl } from "../adapter-url.ts";
import { opsgenieTalk } from "../opsgenie.ts";
import { pagerdutyTalk } from "../pagerduty.ts";
import { redfishTalk } from "../redfish-event.ts";
import { eventTalk, incidentTalk } from "../servicenow.ts";
import { whyNotCleartext } from "../setting-fields.ts";
import { signedText, webhookId, webhookSecret, webhookTalk } from "../standard-webhook.ts";
import type { Secrets, Talk } from "../talk.ts";
import { folderAdapter } from "./folder-adapter.ts";
import { type HttpParts, httpAdapter } from "./http-adapter.ts";
import { readPem, readSecret } from "./secret-file.ts";
import { smtpAdapter } from "./smtp-adapter.ts";

export interface AdapterOptions {
  /** Outgoing HTTP proxy for those whose URL has none of its own; null: none. */
  readonly proxy: string | null;
  readonly nowMs: () => number;
}

function hostOf(url: string): string {
  return new URL(url).host;
}

function keySecrets(keyFile: string): Result<Secrets, string> {
  const key = readSecret("key-file", keyFile);
  return key.ok ? ok({ key: key.value }) : key;
}

function accessSecrets(access: AccessSetting): Result<Secrets, string> {
  switch (access.kind) {
    case "none":
      return ok({});
    case "bearer": {
      const token = readSecret("token-file", access.tokenFile);
      return token.ok ? ok({ authorization: `Bearer ${token.value}`, token: token.value }) : token;
    }
    case "basic": {
      const password = readSecret("password-file", access.passwordFile);
      if (!password.ok) return password;
      const pair = Buffer.from(`${access.user}:${password.value}`).toString("base64");
      return ok({ authorization: `Basic ${pair}`, pair, password: password.value });
    }
  }
}

function webhookSecrets(setting: WebhookSetting): Result<Secrets, string> {
  const secrets: Record<string, string> = {};
  for (const [index, path] of setting.secretFiles.entries()) {
    const secret = readSecret("secret-file", path);
    if (!secret.ok) return secret;
    const bytes = webhookSecret(secret.value);
    if (!bytes.ok) return err(`secret-file ${path}: ${bytes.error}`);
    secrets[`secret${index}`] = secret.value;
  }
  if (setting.url !== null) return ok({ ...secrets, url: setting.url });
  const url = readSecret("url-file", setting.urlFile ?? "");
  if (!url.ok) return url;
  const address = URL.parse(url.value);
  if (address === null || !/^https?:$/.test(address.protocol)) {
    return err(`url-file ${setting.urlFile}: must hold an https address`);
  }
  const why = whyNotCleartext(address, setting.allowsHttp);
  return why === null ? ok({ ...secrets, url: url.value }) : err(`url-file: ${why}`);
}

/** HMAC-SHA256 with each secret, the current one first. */
export function signatureHeaders(
  change: TicketChange,
  body: string,
  secrets: readonly Uint8Array[],
  nowMs: number,
): Readonly<Record<string, string>> {
  const id = webhookId(change);
  const timestamp = Math.floor(nowMs / 1_000);
  const text = signedText(id, timestamp, body);
  const signatures = secrets.map(
    (secret) => `v1,${new Bun.CryptoHasher("sha256", secret).update(text).digest("base64")}`,
  );
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    ...(signatures.length === 0 ? {} : { "webhook-signature": signatures.join(" ") }),
  };
}

interface Service {
  readonly setting: { readonly name: string; readonly http: HttpSetting };
  readonly who: string;
  readonly talk: Talk;
  readonly secrets: () => Result<Secrets, string>;
  readonly sign?: NonNullable<HttpParts["sign"]>;
}

function serviceAdapter(service: Service, options: AdapterOptions): Result<Adapter, string> {
  const { setting, who, talk, secrets, sign } = service;
  const { http, name } = setting;
  const first = secrets();
  if (!first.ok) return err(`--adapter ${name}: ${first.error}`);
  const files = [
    ["ca-file", http.caFile],
    ["client-cert-file", http.clientCertFile],
    ["client-key-file", http.clientKeyFile],
  ] as const;
  for (const [field, path] of files) {
    const pem = path === null ? ok("") : readPem(field, path);
    if (!pem.ok) return err(`--adapter ${name}: ${pem.error}`);
  }
  const parts = { name, who, http, talk, secrets, proxy: options.proxy, nowMs: options.nowMs };
  return ok(httpAdapter(sign === undefined ? parts : { ...parts, sign }));
}

function webhookAdapter(setting: WebhookSetting, options: AdapterOptions): Result<Adapter, string> {
  const who =
    setting.url === null ? `webhook ${setting.name}` : `webhook at ${hostOf(setting.url)}`;
  const service: Service = {
    setting,
    who,
    talk: webhookTalk(who),
    secrets: () => webhookSecrets(setting),
    sign: (change, body, secrets) => {
      const keys: Uint8Array[] = [];
      for (const index of setting.secretFiles.keys()) {
        const key = webhookSecret(secrets[`secret${index}`] ?? "");
        if (!key.ok) return key;
        keys.push(key.value);
      }
      return ok(signatureHeaders(change, body, keys, options.nowMs()));
    },
  };
  return serviceAdapter(service, options);
}

function alertAdapter(setting: AlertSetting, options: AdapterOptions): Result<Adapter, string> {
  const product = setting.kind === "jsm" ? "Jira Service Management" : "Opsgenie";
  const who = `${product} at ${hostOf(setting.url)}`;
  const { url, responders, tags } = setting;
  const hasPriorities = setting.kind === "opsgenie";
  const talk = opsgenieTalk({ who, url, responders, tags, hasPriorities });
  return serviceAdapter(
    { setting, who, talk, secrets: () => keySecrets(setting.keyFile) },
    options,
  );
}

function adapterOf(setting: AdapterSetting, options: AdapterOptions): Result<Adapter, string> {
  switch (setting.kind) {
    case "webhook":
      return webhookAdapter(setting, options);
    case "pagerduty": {
      const who = `PagerDuty at ${hostOf(setting.url)}`;
      const talk = pagerdutyTalk(setting.url, who);
      const secrets = (): Result<Secrets, string> => keySecrets(setting.keyFile);
      return serviceAdapter({ setting, who, talk, secrets }, options);
    }
    case "opsgenie":
    case "jsm":
      return alertAdapter(setting, options);
    case "servicenow": {
      const { url, access, closes, closeCode, fields } = setting;
      const who = `ServiceNow at ${hostOf(url)}`;
      const talkOf = setting.table === "incident" ? incidentTalk : eventTalk;
      const talk = talkOf({ who, url, closes, closeCode, fields });
      return serviceAdapter({ setting, who, talk, secrets: () => accessSecrets(access) }, options);
    }
    case "redfish": {
      const who = `Redfish listener at ${hostOf(setting.url)}`;
      const talk = redfishTalk(setting.url, setting.context, who);
      const secrets = (): Result<Secrets, string> => accessSecrets(setting.access);
      return serviceAdapter({ setting, who, talk, secrets }, options);
    }
    case "smtp": {
      const { passwordFile, caFile } = setting;
      const password = passwordFile === null ? ok("") : readSecret("password-file", passwordFile);
      if (!password.ok) return err(`--adapter ${setting.name}: ${password.error}`);
      const ca = caFile === null ? ok("") : readPem("ca-file", caFile);
      if (!ca.ok) return err(`--adapter ${setting.name}: ${ca.error}`);
      return ok(smtpAdapter(setting));
    }
    case "dir":
      return folderAdapter(setting.name, setting.path);
  }
}

/** The error is one line that names the field and the remedy, never a secret. */
export function openAdapter(url: string, options: AdapterOptions): Result<Adapter, string> {
  const setting = parseAdapterUrl(url);
  return setting.ok ? adapterOf(setting.value, options) : setting;
}

/** Several, whose names must differ: what still waits is kept under them. */
export function openAdapters(
  urls: readonly string[],
  options: AdapterOptions,
): Result<readonly Adapter[], string> {
  const adapters: Adapter[] = [];
  for (const url of urls) {
    const adapter = openAdapter(url, options);
    if (!adapter.ok) return adapter;
    const { name } = adapter.value;
    if (adapters.some((other) => other.name === name)) {
      return err(`--adapter: two are called ${name}: give one of them a name=…`);
    }
    adapters.push(adapter.value);
  }
  return ok(adapters);
}
