/**
 * An adapter over HTTP: carries out a conversation (`talk.ts`), signs where that is asked for, and says what went wrong.
 *
 * Redirects are not followed, answers are read up to a bound, every request has a time of its own and the delivery one for all. Whatever
 * is said in a failure comes from tables and error codes: messages of `fetch` hold URLs, which may be secrets.
 */
import { err, ok, type Result } from "../../../../core/result.ts";
import {
  ADAPTER_WITHIN_MS,
  type AdapterFailure,
  type Delivered,
  type TicketChange,
} from "../../adapter.ts";
import type { Adapter } from "../../io/adapter.ts";
import type { HttpSetting } from "../adapter-setting.ts";
import { misconfigured, retryAfterMs, unreachable } from "../http-answer.ts";
import { ASKS_MAX, type HttpAnswer, type HttpAsk, type Secrets, type Talk } from "../talk.ts";
import { readPem, readSecret, withoutSecrets } from "./secret-file.ts";

const ANSWER_BYTES_MAX = 256 * 1024;
const TEXT_MAX = 500;
/** What is left for whoever called when the far end takes its time to the last. */
const MARGIN_MS = 1_000;
/** Tickets at a time. */
const CONCURRENCY = 4;

export interface HttpParts {
  readonly name: string;
  /** For people, without path: `PagerDuty at events.pagerduty.com`. */
  readonly who: string;
  readonly http: HttpSetting;
  /** Where the adapter's own URL names none. */
  readonly proxy: string | null;
  readonly talk: Talk;
  readonly secrets: () => Result<Secrets, string>;
  /** More headers, made of the finished body. */
  readonly sign?: (change: TicketChange, body: string, secrets: Secrets) => Result<Headers, string>;
  readonly nowMs: () => number;
}

type Headers = Readonly<Record<string, string>>;

/** What TLS stacks say when a certificate is not believed. */
const DISTRUST =
  /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME|ERR_TLS|ERR_SSL|SSL|TLS|certificate|handshake/i;

function whyUnsent(cause: unknown, who: string, isProxied: boolean): AdapterFailure {
  const { code, name } = (cause ?? {}) as { code?: unknown; name?: unknown };
  const word = typeof code === "string" ? code : typeof name === "string" ? name : "unknown";
  const by = isProxied ? " through the proxy" : "";
  if (name === "TimeoutError") return unreachable(`${who} does not answer in time${by}`);
  if (DISTRUST.test(word)) {
    return misconfigured(
      `${who} is not believed (${word}): put the authority of its certificate into ca-file`,
    );
  }
  if (word === "ConnectionRefused" || word === "ECONNREFUSED") {
    return unreachable(`nothing listens for ${who}${by}`);
  }
  return unreachable(`${who} cannot be reached${by} (${word})`);
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    bytes += chunk.byteLength;
    // What is behind it is of no use: answers are a few lines.
    if (bytes > ANSWER_BYTES_MAX) break;
  }
  return Buffer.concat(chunks).subarray(0, ANSWER_BYTES_MAX).toString("utf8");
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function hostOf(location: string | null, base: string): string | null {
  return location === null ? null : (URL.parse(location, base)?.host ?? "somewhere");
}

interface Way {
  readonly proxy: string | null;
  readonly tls: Readonly<Record<string, string>>;
  /** Never printed. */
  readonly secrets: readonly string[];
}

/** Files are read anew: a proxy's password and certificates rotate too. */
function wayOf({ http, proxy }: HttpParts): Result<Way, string> {
  const tls: Record<string, string> = {};
  const files = [
    ["ca", "ca-file", http.caFile],
    ["cert", "client-cert-file", http.clientCertFile],
    ["key", "client-key-file", http.clientKeyFile],
  ] as const;
  for (const [name, setting, path] of files) {
    if (path === null) continue;
    const pem = readPem(setting, path);
    if (!pem.ok) return pem;
    tls[name] = pem.value;
  }
  const chosen = http.proxy ?? proxy;
  if (chosen === null || http.proxyPasswordFile === null) {
    return ok({ proxy: chosen, tls, secrets: [] });
  }
  const password = readSecret("proxy-password-file", http.proxyPasswordFile);
  if (!password.ok) return password;
  const url = new URL(chosen);
  url.password = encodeURIComponent(password.value);
  return ok({ proxy: url.href, tls, secrets: [password.value] });
}

class HttpAdapter implements Adapter {
  readonly name: string;
  readonly concurrency: number = CONCURRENCY;
  readonly #parts: HttpParts;

  constructor(parts: HttpParts) {
    this.name = parts.name;
    this.#parts = parts;
  }

  async deliver(change: TicketChange): Promise<Result<Delivered, AdapterFailure>> {
    const secrets = this.#parts.secrets();
    if (!secrets.ok) return err(misconfigured(`adapter ${this.name}: ${secrets.error}`));
    const way = wayOf(this.#parts);
    if (!way.ok) return err(misconfigured(`adapter ${this.name}: ${way.error}`));
    const ended = await this.#converse(change, secrets.value, way.value);
    if (ended.ok) return ended;
    const hidden = [...Object.values(secrets.value), ...way.value.secrets];
    return err({ ...ended.error, detail: withoutSecrets(ended.error.detail, hidden) });
  }

  async #converse(
    change: TicketChange,
    secrets: Secrets,
    way: Way,
  ): Promise<Result<Delivered, AdapterFailure>> {
    const { talk, who } = this.#parts;
    const endMs = performance.now() + ADAPTER_WITHIN_MS - MARGIN_MS;
    const answers: HttpAnswer[] = [];
    while (answers.length < ASKS_MAX) {
      const step = talk.step(change, answers, secrets);
      if (step.kind === "delivered") return ok({ externalId: step.externalId });
      if (step.kind === "failed") return err(step.failure);
      const leftMs = endMs - performance.now() - (step.ask.afterMs ?? 0);
      if (leftMs < 100) return err(unreachable(`${who} takes too long for ${change.kind}`));
      const answer = await this.#ask(change, step.ask, { secrets, way, leftMs });
      if (!answer.ok) return answer;
      answers.push(answer.value);
    }
    return err(unreachable(`${who} does not come to an end with ${change.key}`));
  }

  async #ask(
    change: TicketChange,
    ask: HttpAsk,
    with_: { readonly secrets: Secrets; readonly way: Way; readonly leftMs: number },
  ): Promise<Result<HttpAnswer, AdapterFailure>> {
    const { http, who, sign, nowMs } = this.#parts;
    const { secrets, way, leftMs } = with_;
    if ((ask.afterMs ?? 0) > 0) await Bun.sleep(ask.afterMs ?? 0);
    const signed = sign?.(change, ask.body ?? "", secrets) ?? ok({});
    if (!signed.ok) return err(misconfigured(`adapter ${this.name}: ${signed.error}`));
    try {
      const response = await fetch(ask.url, {
        method: ask.method,
        headers: { "user-agent": "holdfast", ...ask.headers, ...signed.value },
        ...(ask.body === null ? {} : { body: ask.body }),
        redirect: "manual",
        signal: AbortSignal.timeout(Math.min(http.timeoutMs, leftMs)),
        tls: way.tls,
        ...(way.proxy === null ? {} : { proxy: way.proxy }),
      });
      const text = await readBounded(response);
      return ok({
        status: response.status,
        body: jsonOf(text),
        text: text.slice(0, TEXT_MAX),
        retryAfterMs: retryAfterMs(response.headers.get("retry-after"), nowMs()),
        movedTo: hostOf(response.headers.get("location"), ask.url),
      });
    } catch (cause) {
      return err(whyUnsent(cause, who, way.proxy !== null));
    }
  }
}

export function httpAdapter(parts: HttpParts): Adapter {
  return new HttpAdapter(parts);
}
