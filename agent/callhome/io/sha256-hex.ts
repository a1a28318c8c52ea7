/** SHA-256 of a text's UTF-8, in lower-case hex: what binds the lines of the ledger. */
import { createHash } from "node:crypto";

export function sha256Hex(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
