/**
 * A connection to a Redfish service whose certificate was checked before a byte of HTTP, and so of a password, went out.
 *
 * Done here and not by `fetch`: Bun's asks nobody when verification is switched off, so a pinned certificate could not be
 * told from an impostor's, and with it on refuses a pinned one that has expired, as those of BMCs do. Three ways to be
 * trusted: a pinned SHA-256 of the certificate, which then may be self-signed, expired and of another name; the authorities
 * of a file; those of the system and of the runtime. There is no way to trust anything.
 */
import { isIP, connect as netConnect, type Socket } from "node:net";
import {
  checkServerIdentity,
  getCACertificates,
  type TLSSocket,
  connect as tlsConnect,
} from "node:tls";
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { RedfishAddress } from "../../redfish/redfish-address.ts";

export interface Trust {
  /** PEM texts. */
  readonly authorities: readonly string[];
  /** 64 lower-case hex digits. */
  readonly fingerprint: string | null;
}

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Reads what the address says; nothing is connected. */
export async function trustOf(address: RedfishAddress): Promise<Result<Trust, BmcError>> {
  const fingerprint = address.fingerprint?.replaceAll(":", "").toLowerCase() ?? null;
  if (fingerprint !== null && !/^[0-9a-f]{64}$/.test(fingerprint)) {
    return err(bmcError("bad-url", `${address.url}: a fingerprint is sha256: and 64 hex digits`));
  }
  if (!address.isTls && !isLoopback(address.host)) {
    const detail = `${address.url}: without TLS the password could be read on the way; use redfish+https`;
    return err(bmcError("untrusted", detail));
  }
  if (address.caFile === null) {
    return ok({ authorities: systemAuthorities(), fingerprint });
  }
  let text: string;
  try {
    text = await Bun.file(address.caFile).text();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return err(bmcError("untrusted", `${address.caFile} cannot be read: ${why}`));
  }
  const authorities = text.match(PEM) ?? [];
  if (authorities.length > 0) return ok({ authorities, fingerprint });
  return err(bmcError("untrusted", `${address.caFile} holds no certificate in PEM form`));
}

let cached: readonly string[] | null = null;

/** Of the operating system, where an organisation puts its own, and of the runtime. */
function systemAuthorities(): readonly string[] {
  cached ??= [...new Set([...getCACertificates("default"), ...getCACertificates("system")])];
  return cached;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Codes of sockets; whatever else goes wrong before TLS has begun is `unreachable` too. */
const KINDS: Readonly<Record<string, "unreachable" | "disconnected" | "timeout">> = {
  ECONNRESET: "disconnected",
  EPIPE: "disconnected",
  ETIMEDOUT: "timeout",
};

export function socketError(url: string, cause: unknown): BmcError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const why = cause instanceof Error ? cause.message : String(cause);
  if (code.startsWith("ERR_SSL_WRONG_VERSION") || /wrong version number/i.test(why)) {
    return bmcError("unreachable", `${url}: what answers there does not speak TLS`);
  }
  return bmcError(KINDS[code] ?? "unreachable", `${url}: ${why}`);
}

/** null: the certificate is the one that is expected. */
function distrust(address: RedfishAddress, trust: Trust, socket: TLSSocket): BmcError | null {
  const certificate = socket.getPeerCertificate();
  const seen = (certificate.fingerprint256 ?? "").replaceAll(":", "").toLowerCase();
  if (trust.fingerprint !== null) {
    if (seen === trust.fingerprint) return null;
    const detail = `${address.url}: the certificate is not the pinned one; it has fingerprint=sha256:${seen}`;
    return bmcError("untrusted", detail);
  }
  const misnamed = checkServerIdentity(address.host, certificate)?.message ?? null;
  const why = socket.authorized ? misnamed : String(socket.authorizationError ?? "not verified");
  if (why === null) return null;
  const remedy = `if it is the right BMC, add fingerprint=sha256:${seen} to the URL, or ca-file=FILE`;
  return bmcError("untrusted", `${address.url}: ${why}; ${remedy}`);
}

function open(address: RedfishAddress, trust: Trust): Socket {
  const { host, port } = address;
  if (!address.isTls) return netConnect({ host, port });
  return tlsConnect({
    host,
    port,
    ca: [...trust.authorities],
    // Judged by `distrust`, before anything is written.
    rejectUnauthorized: false,
    minVersion: "TLSv1.2",
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
}

/** Within the limit, a connection that may be written to, or an error; never both. */
export function connectTrusted(
  address: RedfishAddress,
  trust: Trust,
  timeoutMs: number,
): Promise<Result<Socket, BmcError>> {
  return new Promise((resolve) => {
    const socket = open(address, trust);
    const settle = (result: Result<Socket, BmcError>): void => {
      clearTimeout(timer);
      if (!result.ok) socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => {
      const detail = `${address.url}: no connection within ${timeoutMs} ms`;
      settle(err(bmcError("unreachable", detail)));
    }, timeoutMs);
    // Stays: a socket that fails later must not throw for want of a listener.
    socket.on("error", (cause) => settle(err(socketError(address.url, cause))));
    socket.on("close", () =>
      settle(err(bmcError("unreachable", `${address.url}: closed at once`))),
    );
    socket.once(address.isTls ? "secureConnect" : "connect", () => {
      const error = address.isTls ? distrust(address, trust, socket as TLSSocket) : null;
      settle(error === null ? ok(socket) : err(error));
    });
  });
}
