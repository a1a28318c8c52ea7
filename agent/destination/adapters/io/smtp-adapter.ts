/**
 * Mail as the far end, by nodemailer: one mail for each change, all of a ticket in one thread (`../mail.ts`).
 *
 * A connection for each delivery: changes are rare, and servers close idle ones. With `starttls` nothing is said before TLS stands;
 * certificates are always checked unless TLS is off altogether. What the server answers decides (RFC 5321 §4.2.1): 4yz comes again,
 * 5yz does not, but for what is said of the login, the sender and the recipients, which somebody mends.
 */
import { createTransport, type SendMailOptions, type Transporter } from "nodemailer";
import type SMTPTransport from "nodemailer/lib/smtp-transport";
import { err, ok, type Result } from "../../../../core/result.ts";
import {
  ADAPTER_WITHIN_MS,
  type AdapterFailure,
  type Delivered,
  type TicketChange,
} from "../../adapter.ts";
import type { Adapter } from "../../io/adapter.ts";
import type { SmtpSetting } from "../adapter-setting.ts";
import { oneLine } from "../change-text.ts";
import { misconfigured, unreachable } from "../http-answer.ts";
import { mailOf } from "../mail.ts";
import { readPem, readSecret, withoutSecrets } from "./secret-file.ts";

const SAID_MAX = 200;
const MARGIN_MS = 1_000;

/** As far as it is looked at: what nodemailer adds to its errors. */
interface MailError {
  readonly message?: string;
  readonly code?: string;
  readonly responseCode?: number;
  readonly response?: string;
  readonly command?: string;
}

/** What TLS stacks say when a certificate is not believed. Looked at, never repeated. */
const DISTRUST =
  /certificate|CERT_|self[-_ ]signed|unable[_ ]to[_ ](?:get|verify)|altname|ERR_TLS/i;

function optionsOf(
  setting: SmtpSetting,
  password: string | null,
  ca: string | null,
): SMTPTransport.Options {
  const { host, port, security, user, timeoutMs } = setting;
  return {
    host,
    port,
    secure: security === "tls",
    requireTLS: security === "starttls",
    ignoreTLS: security === "none",
    tls: { minVersion: "TLSv1.2", ...(ca === null ? {} : { ca }) },
    ...(user === null || password === null ? {} : { auth: { user, pass: password } }),
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

function messageOf(change: TicketChange, { from, to }: SmtpSetting): SendMailOptions {
  const mail = mailOf(change, from.slice(from.lastIndexOf("@") + 1));
  return {
    from,
    to: [...to],
    subject: mail.subject,
    text: mail.text,
    messageId: mail.messageId,
    headers: { ...mail.headers },
    priority: mail.priority,
    date: new Date(change.atMs),
    ...(mail.inReplyTo === null ? {} : { inReplyTo: mail.inReplyTo }),
    ...(mail.references.length === 0 ? {} : { references: [...mail.references] }),
  };
}

/** Of a server that answered. */
function answered(who: string, status: number, said: string, command: string): AdapterFailure {
  const detail = `${who} answered ${status} to ${command}, saying "${oneLine(said, SAID_MAX)}"`;
  if (command === "MAIL FROM" || command === "RCPT TO") {
    if (status >= 500) return misconfigured(`${detail}: look at from and to`);
  }
  if (status < 500) return unreachable(`${detail}: it is told again later`);
  return { kind: "refused", isPermanent: true, detail, retryAfterMs: null };
}

function failureOf(cause: unknown, setting: SmtpSetting): AdapterFailure {
  const who = `the mail server at ${setting.host}:${setting.port}`;
  const {
    code,
    message,
    responseCode,
    response,
    command = "the mail",
  } = (cause ?? {}) as MailError;
  if (code === "EAUTH" || responseCode === 535 || responseCode === 534) {
    return misconfigured(`${who} refuses user and password: look at the user and password-file`);
  }
  if (code === "ETLS") {
    return misconfigured(`${who} gives no TLS that is believed: look at tls and ca-file`);
  }
  if (responseCode !== undefined) return answered(who, responseCode, response ?? "", command);
  // nodemailer puts a code of its own over that of TLS.
  if (DISTRUST.test(`${code} ${message}`)) {
    return misconfigured(
      `${who} is not believed: put the authority of its certificate into ca-file`,
    );
  }
  if (code === "EDNS") return unreachable(`the name of ${who} is not found`);
  if (code === "ETIMEDOUT") return unreachable(`${who} does not answer in time`);
  return unreachable(`${who} cannot be reached (${code ?? "unknown"})`);
}

class SmtpAdapter implements Adapter {
  readonly name: string;
  readonly #setting: SmtpSetting;

  constructor(setting: SmtpSetting) {
    this.name = setting.name;
    this.#setting = setting;
  }

  async deliver(change: TicketChange): Promise<Result<Delivered, AdapterFailure>> {
    const { passwordFile, caFile } = this.#setting;
    const password = passwordFile === null ? ok(null) : readSecret("password-file", passwordFile);
    if (!password.ok) return err(misconfigured(`adapter ${this.name}: ${password.error}`));
    const ca = caFile === null ? ok(null) : readPem("ca-file", caFile);
    if (!ca.ok) return err(misconfigured(`adapter ${this.name}: ${ca.error}`));
    const transport = createTransport(optionsOf(this.#setting, password.value, ca.value));
    try {
      return await this.#send(transport, change);
    } catch (cause) {
      const failure = failureOf(cause, this.#setting);
      const hidden = password.value === null ? [] : [password.value];
      return err({ ...failure, detail: withoutSecrets(failure.detail, hidden) });
    } finally {
      transport.close();
    }
  }

  /** Each step of SMTP has a limit of its own; together they get what a delivery may take. */
  async #send(
    transport: Transporter,
    change: TicketChange,
  ): Promise<Result<Delivered, AdapterFailure>> {
    let timer: ReturnType<typeof setTimeout> | null = null;
    const tooLong = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject({ code: "ETIMEDOUT" }), ADAPTER_WITHIN_MS - MARGIN_MS);
    });
    try {
      const message = messageOf(change, this.#setting);
      // Recipients that were refused while others were taken are let be: sending again would give those a second mail.
      await Promise.race([transport.sendMail(message), tooLong]);
      return ok({ externalId: null });
    } finally {
      if (timer !== null) clearTimeout(timer);
    }
  }
}

export function smtpAdapter(setting: SmtpSetting): Adapter {
  return new SmtpAdapter(setting);
}
