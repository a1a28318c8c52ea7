/**
 * The fields that adapters' URLs have in common, and how what is wrong with one is said: by its name, never by its value.
 */
import { z } from "zod";
import { err, ok, type Result } from "../../../core/result.ts";
import type { AccessSetting, HttpSetting } from "./adapter-setting.ts";

export type Params = Readonly<Record<string, string | readonly string[]>>;

export const TIMEOUT_MS = 15_000;
/** Below the limit of a delivery, which may take several requests. */
const TIMEOUT_MS_MAX = 25_000;

type Maybe<Value> = z.ZodOptional<z.ZodType<Value>>;

export const file: z.ZodType<string, string> = z
  .string()
  .regex(/^\/[^\0]*$/, "must be an absolute path");
export const yesNo: z.ZodType<"yes" | "no"> = z.enum(["yes", "no"], "must be yes or no");
export const words: z.ZodType<string, string> = z.string().min(1, "must not be empty").max(2_000);

export const duration: z.ZodType<number> = z
  .string()
  .regex(/^\d{1,5}(?:ms|s)$/, "must be a time such as 15s or 500ms")
  .transform((text) => Number.parseInt(text, 10) * (text.endsWith("ms") ? 1 : 1_000))
  .refine((timeMs) => timeMs >= 100 && timeMs <= TIMEOUT_MS_MAX, "must be 100ms to 25s");

export const webAddress: z.ZodType<string> = z
  .string()
  .refine(isWebAddress, "must be an http or https address");

export const named: { readonly name: Maybe<string> } = {
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "must be letters, digits, dots, dashes")
    .optional(),
};

export const overHttp: {
  readonly name: Maybe<string>;
  readonly timeout: Maybe<number>;
  readonly "ca-file": Maybe<string>;
  readonly "client-cert-file": Maybe<string>;
  readonly "client-key-file": Maybe<string>;
  readonly proxy: Maybe<string>;
  readonly "proxy-password-file": Maybe<string>;
  readonly "allow-http": Maybe<"yes" | "no">;
} = {
  ...named,
  timeout: duration.optional(),
  "ca-file": file.optional(),
  "client-cert-file": file.optional(),
  "client-key-file": file.optional(),
  proxy: webAddress.optional(),
  "proxy-password-file": file.optional(),
  "allow-http": yesNo.optional(),
};

export const needsFile = (what: string): z.ZodType<string> =>
  z.string({ error: `is missing: the file that holds ${what}` }).pipe(file);

export const withUser: { readonly user: Maybe<string>; readonly "password-file": Maybe<string> } = {
  user: words.optional(),
  "password-file": file.optional(),
};

function isWebAddress(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) return false;
  return url.hostname !== "" && url.password === "";
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Cleartext leaves this machine only where it is asked for. */
export function whyNotCleartext(url: URL, allowsHttp: boolean): string | null {
  if (url.protocol === "https:" || allowsHttp || isLoopback(url.hostname)) return null;
  return `http to ${url.hostname} would show keys and faults to whoever listens: use https, or say allow-http=yes`;
}

/** The first thing that is wrong, by the name of its field; never its value. */
function complaint(error: z.ZodError, known: readonly string[]): string {
  // A name that is not known is most often the one that is missing, mistyped.
  const unknown = error.issues.find(({ code }) => code === "unrecognized_keys");
  const issue = unknown ?? error.issues[0];
  if (issue === undefined) return "is not understood";
  if (issue.code === "unrecognized_keys") {
    return `${issue.keys.join(", ")}: is no setting here; there are ${known.join(", ")}`;
  }
  return `${issue.path.slice(0, 1).join(".")}: ${issue.message}`;
}

export function read<Schema extends z.ZodObject>(
  schema: Schema,
  params: Params,
): Result<z.output<Schema>, string> {
  const parsed = schema.safeParse(params);
  if (parsed.success) return ok(parsed.data);
  return err(complaint(parsed.error, Object.keys(schema.shape)));
}

export interface HttpParams {
  readonly timeout?: number | undefined;
  readonly "ca-file"?: string | undefined;
  readonly "client-cert-file"?: string | undefined;
  readonly "client-key-file"?: string | undefined;
  readonly proxy?: string | undefined;
  readonly "proxy-password-file"?: string | undefined;
}

export function httpOf(params: HttpParams): Result<HttpSetting, string> {
  const clientCertFile = params["client-cert-file"] ?? null;
  const clientKeyFile = params["client-key-file"] ?? null;
  if ((clientCertFile === null) !== (clientKeyFile === null)) {
    return err("client-cert-file: goes with client-key-file");
  }
  const proxyPasswordFile = params["proxy-password-file"] ?? null;
  if (proxyPasswordFile !== null && !(params.proxy ?? "").includes("@")) {
    return err("proxy-password-file: goes with proxy=http://USER@HOST:PORT");
  }
  return ok({
    timeoutMs: params.timeout ?? TIMEOUT_MS,
    caFile: params["ca-file"] ?? null,
    clientCertFile,
    clientKeyFile,
    proxy: params.proxy ?? null,
    proxyPasswordFile,
  });
}

/** The far end's own address: of `webhook+https://…` what stands after `webhook+`, without our settings. */
export function targetOf(url: URL, allowsHttp: boolean): Result<string, string> {
  const text = url.href.slice(url.href.indexOf("+") + 1);
  const target = URL.parse(text);
  if (target === null || target.hostname === "") return err("names no host");
  if (target.username !== "" || target.password !== "") {
    return err("user and password do not stand in the URL: user=… and password-file=…");
  }
  target.search = "";
  target.hash = "";
  const why = whyNotCleartext(target, allowsHttp);
  return why === null ? ok(target.href) : err(why);
}

export function accessOf(params: {
  readonly user?: string | undefined;
  readonly "password-file"?: string | undefined;
  readonly "token-file"?: string | undefined;
}): Result<AccessSetting, string> {
  const { user } = params;
  const passwordFile = params["password-file"];
  const tokenFile = params["token-file"];
  if (tokenFile !== undefined) {
    if (user !== undefined || passwordFile !== undefined) {
      return err("token-file: goes without user and password-file");
    }
    return ok({ kind: "bearer", tokenFile });
  }
  if (user === undefined && passwordFile === undefined) return ok({ kind: "none" });
  if (user === undefined) return err("user: is missing, password-file is there");
  if (passwordFile === undefined) return err("password-file: is missing, user is there");
  return ok({ kind: "basic", user, passwordFile });
}
