/**
 * The two cipher suites that are spoken, and the records in which a BMC lists its own (IPMI 2.0 §13.27–13.29, §22.15.1).
 *
 * Only suites that authenticate, protect and encrypt are here: 17 (SHA-256) and 3 (SHA-1), both with AES-CBC-128. Suite 0
 * needs no password, 1, 2, 6, 7, 11, 15 and 16 leave something open, and xRC4 is broken: there is no option that turns
 * them on. A BMC that offers only those gives the error `wrong-cipher`.
 */
import type { HmacAlgorithm } from "../crypto.ts";

export type CipherSuiteId = 3 | 17;

export interface CipherSuite {
  readonly id: CipherSuiteId;
  /** Numbers of §13.28. */
  readonly authentication: number;
  readonly integrity: number;
  readonly confidentiality: number;
  readonly hash: HmacAlgorithm;
  /** Of the codes in RAKP 2 and 3. */
  readonly digestBytes: number;
  /** Of the code behind each packet, and of the check value in RAKP 4: the digest's first bytes. */
  readonly codeBytes: number;
}

export const CIPHER_SUITE_17: CipherSuite = {
  id: 17,
  authentication: 3,
  integrity: 4,
  confidentiality: 1,
  hash: "sha256",
  digestBytes: 32,
  codeBytes: 16,
};

export const CIPHER_SUITE_3: CipherSuite = {
  id: 3,
  authentication: 1,
  integrity: 1,
  confidentiality: 1,
  hash: "sha1",
  digestBytes: 20,
  codeBytes: 12,
};

/** In the order in which they are offered. */
export const CIPHER_SUITES: readonly CipherSuite[] = [CIPHER_SUITE_17, CIPHER_SUITE_3];

export function cipherSuiteOf(id: number): CipherSuite | null {
  return CIPHER_SUITES.find((suite) => suite.id === id) ?? null;
}

/** The suite of three algorithms, as an Open Session request names them; a mixture of suites is none. */
export function cipherSuiteWith(
  authentication: number,
  integrity: number,
  confidentiality: number,
): CipherSuite | null {
  const found = CIPHER_SUITES.find(
    (suite) =>
      suite.authentication === authentication &&
      suite.integrity === integrity &&
      suite.confidentiality === confidentiality,
  );
  return found ?? null;
}

const RECORD_STANDARD = 0xc0;
const RECORD_OEM = 0xc1;

/**
 * Ids of the standard suites in records of §22.15.1: `C0 id` or `C1 id IANA3`, then algorithm bytes, which have b7:6 other
 * than 11b. A record that is cut off or strange ends the list: what was read before it counts. O(bytes).
 */
export function decodeCipherSuiteRecords(bytes: Uint8Array): readonly number[] {
  const ids: number[] = [];
  let offset = 0;
  while (offset < bytes.byteLength) {
    const start = bytes[offset];
    const id = bytes[offset + 1];
    if ((start !== RECORD_STANDARD && start !== RECORD_OEM) || id === undefined) break;
    if (start === RECORD_STANDARD) ids.push(id);
    offset += start === RECORD_STANDARD ? 2 : 5;
    while (offset < bytes.byteLength && (bytes[offset] as number) < RECORD_STANDARD) offset++;
  }
  return ids;
}

/** What a BMC with these suites answers, all records behind one another. */
export function encodeCipherSuiteRecords(suites: readonly CipherSuite[]): Uint8Array {
  return Uint8Array.from(
    suites.flatMap((suite) => [
      RECORD_STANDARD,
      suite.id,
      suite.authentication,
      0x40 | suite.integrity,
      0x80 | suite.confidentiality,
    ]),
  );
}
