/**
 * Where passwords come from: a file that only its owner may read, or the environment. Never the command line, never a URL.
 *
 * A file that is named wins over the environment: who names one means it. It must be a plain file of mode 0600 or less, ours
 * or root's; its one line, without the line's end, is the password. Errors name the file or the variable, never what is in it.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { PASSWORD_BYTES_MAX } from "../../ipmi/rmcp/session-keys.ts";

export const PASSWORD_VARIABLE = "HOLDFAST_BMC_PASSWORD";
/** Text, or `0x` and hex digits for a key that is none. */
export const KG_VARIABLE = "HOLDFAST_BMC_KG";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Enough for any password, and for a file that is none to be noticed. */
const FILE_BYTES_MAX = 1024;

function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES") return "this user may not read it";
  return error instanceof Error ? error.message : String(error);
}

async function readSecretFile(path: string): Promise<Result<string, BmcError>> {
  const fail = (why: string): Result<string, BmcError> =>
    err(bmcError("no-password", `password file ${path}: ${why}`));
  try {
    // Asked of the open file, so that what is checked is what is read.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = await file.stat();
      if (!stat.isFile()) return fail("it is no plain file");
      if ((stat.mode & 0o077) !== 0) {
        const mode = (stat.mode & 0o777).toString(8).padStart(4, "0");
        return fail(`others may read it (mode ${mode}): chmod 600 ${path}`);
      }
      const uid = process.geteuid?.() ?? stat.uid;
      if (stat.uid !== uid && stat.uid !== 0) return fail("it belongs to another user");
      if (stat.size > FILE_BYTES_MAX) return fail(`it has more than ${FILE_BYTES_MAX} bytes`);
      const text = (await file.readFile("utf8")).replace(/\r?\n$/, "");
      if (text === "") return fail("it is empty");
      if (/[\r\n\0]/.test(text)) return fail("it has more than one line");
      return ok(text);
    } finally {
      await file.close();
    }
  } catch (error) {
    return fail(reasonOf(error));
  }
}

/** null: neither a file is named nor the variable set. */
export async function readPassword(
  passwordFile: string | null,
  environment: Environment,
): Promise<Result<string | null, BmcError>> {
  if (passwordFile !== null) return await readSecretFile(passwordFile);
  return ok(environment[PASSWORD_VARIABLE] ?? null);
}

/** The BMC's own key; null where none is given. */
export async function readKg(
  kgFile: string | null,
  environment: Environment,
): Promise<Result<Uint8Array | null, BmcError>> {
  const read =
    kgFile === null ? ok(environment[KG_VARIABLE] ?? null) : await readSecretFile(kgFile);
  if (!read.ok) return read;
  if (read.value === null || read.value === "") return ok(null);
  const where = kgFile === null ? KG_VARIABLE : `key file ${kgFile}`;
  const hex = /^0x((?:[0-9a-f]{2})+)$/i.exec(read.value)?.[1];
  const key = hex === undefined ? new TextEncoder().encode(read.value) : Uint8Array.fromHex(hex);
  if (key.byteLength <= PASSWORD_BYTES_MAX) return ok(key);
  return err(
    bmcError("no-password", `${where}: a BMC's key has at most ${PASSWORD_BYTES_MAX} bytes`),
  );
}
