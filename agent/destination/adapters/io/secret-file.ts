/**
 * Secrets in files, read anew at each use so that a rotated one needs no restart.
 *
 * A file that others can read is refused: whoever put it there thinks it is secret. The error names the setting and the file and
 * never what is in it.
 */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { err, ok, type Result } from "../../../../core/result.ts";

const SECRET_BYTES_MAX = 8 * 1024;

/** `setting` is its name in the URL, such as `key-file`. */
export function readSecret(setting: string, path: string): Result<string, string> {
  const named = `${setting} ${path}`;
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    return err(`${named}: cannot be read (${(cause as { code?: string }).code ?? "unknown"})`);
  }
  try {
    const { mode, size } = fstatSync(file);
    if ((mode & 0o077) !== 0) return err(`${named}: others may read it: chmod 600 ${path}`);
    if (size > SECRET_BYTES_MAX) return err(`${named}: has ${size} bytes, which is no secret`);
    const text = readFileSync(file, "utf8").trim();
    if (/^\P{Cc}+$/u.test(text)) return ok(text);
    return err(`${named}: must hold one line`);
  } catch (cause) {
    return err(`${named}: cannot be read (${(cause as { code?: string }).code ?? "unknown"})`);
  } finally {
    closeSync(file);
  }
}

/** A certificate or a private key; keys under the rule of secrets, certificates may be read by all. */
export function readPem(setting: string, path: string): Result<string, string> {
  const named = `${setting} ${path}`;
  try {
    const file = openSync(path, "r");
    try {
      const text = readFileSync(file, "utf8");
      if (!text.includes("-----BEGIN ")) return err(`${named}: holds no PEM text`);
      const isOpen = (fstatSync(file).mode & 0o077) !== 0;
      if (isOpen && text.includes("PRIVATE KEY")) {
        return err(`${named}: others may read it: chmod 600 ${path}`);
      }
      return ok(text);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    return err(`${named}: cannot be read (${(cause as { code?: string }).code ?? "unknown"})`);
  }
}

/** What a far end or a library says may repeat what it was sent. */
export function withoutSecrets(text: string, secrets: Iterable<string>): string {
  let clean = text;
  for (const secret of secrets) {
    if (secret.length >= 4) clean = clean.replaceAll(secret, "[secret]");
  }
  return clean;
}
