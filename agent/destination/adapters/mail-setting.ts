/**
 * Settings of the adapters that are not over HTTP: mail and a directory.
 */
import { z } from "zod";
import { err, ok, type Result } from "../../../core/result.ts";
import type { AdapterSetting, SmtpSetting } from "./adapter-setting.ts";
import {
  duration,
  file,
  isLoopback,
  named,
  type Params,
  read,
  TIMEOUT_MS,
  words,
} from "./setting-fields.ts";

const smtpSchema = z.strictObject({
  ...named,
  timeout: duration.optional(),
  "ca-file": file.optional(),
  "password-file": file.optional(),
  to: z.string({ error: "is missing: who gets the mails" }).pipe(words),
  from: words.optional(),
  tls: z
    .enum(["required", "opportunistic", "none"], "must be required, opportunistic or none")
    .optional(),
});

const MAIL_ADDRESS = /^[^\s@,;<>"]{1,64}@[A-Za-z0-9.-]{1,253}$/;

function addressesOf(text: string, field: string): Result<readonly string[], string> {
  const addresses = text.split(",").map((one) => one.trim());
  const wrong = addresses.find((one) => !MAIL_ADDRESS.test(one));
  return wrong === undefined ? ok(addresses) : err(`${field}: must be addresses, by commas`);
}

type Security = SmtpSetting["security"];

/** Without TLS a password and faults would be read by whoever listens; on the machine itself nobody does. */
function securityOf(url: URL, tls: string | undefined): Result<Security, string> {
  if (url.protocol === "smtps:") return tls === undefined ? ok("tls") : err("tls: smtps has it");
  if (tls === "required") return ok("starttls");
  if (tls === "none") return ok("none");
  if (tls === "opportunistic") return ok("opportunistic");
  return ok(isLoopback(url.hostname) ? "opportunistic" : "starttls");
}

interface Account {
  readonly user: string | null;
  readonly passwordFile: string | null;
  readonly security: Security;
}

function accountOf(
  url: URL,
  params: { readonly "password-file"?: string | undefined; readonly tls?: string | undefined },
): Result<Account, string> {
  const user = url.username === "" ? null : decodeURIComponent(url.username);
  const passwordFile = params["password-file"] ?? null;
  if (user !== null && passwordFile === null)
    return err("password-file: is missing, user is there");
  if (user === null && passwordFile !== null) return err("user: is missing: smtp://USER@HOST");
  const security = securityOf(url, params.tls);
  if (!security.ok) return security;
  const isPlain = security.value === "none" || security.value === "opportunistic";
  if (isPlain && user !== null && !isLoopback(url.hostname)) {
    return err("tls: must be required where a password is sent to another machine");
  }
  return ok({ user, passwordFile, security: security.value });
}

function senderOf(from: string | undefined, user: string | null): Result<string, string> {
  const sender = from ?? user ?? "";
  if (MAIL_ADDRESS.test(sender)) return ok(sender);
  return err(
    from === undefined ? "from: is missing: the sender's address" : "from: must be one address",
  );
}

export function smtp(url: URL, all: Params): Result<AdapterSetting, string> {
  const params = read(smtpSchema, all);
  if (!params.ok) return params;
  if (url.hostname === "") return err("names no host");
  if (url.password !== "") return err("the password does not stand in the URL: password-file=…");
  const account = accountOf(url, params.value);
  if (!account.ok) return account;
  const to = addressesOf(params.value.to, "to");
  if (!to.ok) return to;
  const from = senderOf(params.value.from, account.value.user);
  if (!from.ok) return from;
  const usualPort = account.value.security === "tls" ? 465 : 587;
  return ok({
    kind: "smtp",
    name: params.value.name ?? `smtp-${url.hostname.replace(/[^A-Za-z0-9.]+/g, "-")}`,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? usualPort : Number(url.port),
    ...account.value,
    from: from.value,
    to: to.value,
    caFile: params.value["ca-file"] ?? null,
    timeoutMs: params.value.timeout ?? TIMEOUT_MS,
  });
}

export function folder(url: URL, all: Params): Result<AdapterSetting, string> {
  const params = read(z.strictObject(named), all);
  if (!params.ok) return params;
  const path = decodeURIComponent(url.pathname);
  if (url.host !== "" || !file.safeParse(path).success) return err("must be dir:/ABSOLUTE/PATH");
  return ok({ kind: "dir", name: params.value.name ?? "dir", path });
}
