/**
 * Opening an RMCP+ session: what is asked, in which order, and what each refusal means (IPMI 2.0 §13.14 to §13.24).
 *
 *   Get Channel Authentication Capabilities → Get Channel Cipher Suites → Open Session → RAKP 1 to 4
 *
 * Decides which suites are offered and how often a session is begun; a single attempt is in `key-exchange.ts`. Suites are
 * offered in the order given, and no other is ever taken, whatever the BMC lists: there is no way down to suite 0. Every
 * wait has a limit, every retry a number.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import {
  getChannelAuthenticationCapabilities,
  THIS_CHANNEL,
} from "../app/get-channel-authentication-capabilities.ts";
import {
  CIPHER_RECORD_INDEX_MAX,
  getChannelCipherSuites,
} from "../app/get-channel-cipher-suites.ts";
import type { IpmiCrypto } from "../crypto.ts";
import { requestOf } from "../ipmi.ts";
import { type CipherSuite, decodeCipherSuiteRecords } from "../rmcp/cipher-suite.ts";
import { KeyExchange, type OpenedSession, type SessionSecrets } from "./key-exchange.ts";
import { noAnswer } from "./refusal.ts";
import { askOutside, OPTIONAL_TRIES_MS, TRIES_MS, type Turns } from "./turns.ts";

export interface HandshakeOptions extends SessionSecrets {
  /** Offered in this order; the BMC's list is asked for where there are several. */
  readonly suites: readonly CipherSuite[];
}

interface SuiteChoice {
  readonly suites: readonly CipherSuite[];
  /** The BMC said that it has them. */
  readonly areListed: boolean;
}

const ATTEMPTS_MAX = 3;
/** Lists longer than this are not read to their end: 16 × 16 bytes hold 50 suites. */
const CIPHER_LIST_REPLIES_MAX = Math.min(16, CIPHER_RECORD_INDEX_MAX);

export class Handshake {
  readonly #crypto: IpmiCrypto;
  readonly #options: HandshakeOptions;
  #isKgSet = false;

  constructor(crypto: IpmiCrypto, options: HandshakeOptions) {
    this.#crypto = crypto;
    this.#options = options;
  }

  *open(): Turns<Result<OpenedSession, BmcError>> {
    const { name } = this.#options;
    const wrong = yield* this.#askCapabilities();
    if (wrong !== null) return err(wrong);
    const suites = yield* this.#suitesToTry();
    if (!suites.ok) return suites;
    const { suites: tried, areListed } = suites.value;
    let refused: BmcError = bmcError("wrong-cipher", `${name}: no cipher suite is left to offer`);
    for (const suite of tried) {
      const isLast = suite === tried.at(-1);
      const opened = yield* this.#openWith(suite, areListed, isLast);
      if (opened.ok || isLast) return opened;
      // A suite that was not understood: the next one. Anything else would be the same with every suite. Silence says that
      // only where the BMC has not said what it has: packets that are lost must not weaken a session.
      const isSilence = opened.error.kind === "timeout" && !areListed;
      if (opened.error.kind !== "wrong-cipher" && !isSilence) return opened;
      refused = opened.error;
    }
    return err(refused);
  }

  *#askCapabilities(): Turns<BmcError | null> {
    const { name, privilege } = this.#options;
    const args = { channel: THIS_CHANNEL, privilege };
    const request = requestOf(getChannelAuthenticationCapabilities, args);
    const reply = yield* askOutside(request, 0, TRIES_MS);
    if (reply === null) return noAnswer(name, "Get Channel Authentication Capabilities");
    // A refusal of this question is not one of a session: go on and see.
    if (reply.completionCode !== 0) return null;
    const capabilities = getChannelAuthenticationCapabilities.decode(reply.data);
    if (!capabilities.ok) return null;
    this.#isKgSet = capabilities.value.isKgSet;
    if (capabilities.value.hasRmcpPlus) return null;
    return bmcError(
      "unsupported",
      `${name} has only sessions of IPMI 1.5, which protect nothing: use its serial line or the system interface`,
    );
  }

  /** Those of ours that the BMC lists, in our order; all of ours where it does not list any. */
  *#suitesToTry(): Turns<Result<SuiteChoice, BmcError>> {
    const { name, suites } = this.#options;
    const unlisted: SuiteChoice = { suites, areListed: false };
    if (suites.length === 1) return ok(unlisted);
    const records: number[] = [];
    for (let index = 0; index < CIPHER_LIST_REPLIES_MAX; index++) {
      const args = { channel: THIS_CHANNEL, index };
      const request = requestOf(getChannelCipherSuites, args);
      const reply = yield* askOutside(request, 1 + index, OPTIONAL_TRIES_MS);
      // Half a list says nothing of the other half.
      if (reply === null) return ok(unlisted);
      if (reply.completionCode !== 0) break;
      const part = getChannelCipherSuites.decode(reply.data);
      if (!part.ok) break;
      records.push(...part.value.records);
      if (part.value.isLast) break;
    }
    const listed = decodeCipherSuiteRecords(Uint8Array.from(records));
    if (listed.length === 0) return ok(unlisted);
    const both = suites.filter((suite) => listed.includes(suite.id));
    if (both.length > 0) return ok({ suites: both, areListed: true });
    return err(
      bmcError(
        "wrong-cipher",
        `${name} offers the cipher suites ${listed.join(", ")}; allowed are ` +
          `${suites.map((suite) => suite.id).join(" and ")}: enable one of these in the BMC`,
      ),
    );
  }

  *#openWith(
    suite: CipherSuite,
    areListed: boolean,
    isLast: boolean,
  ): Turns<Result<OpenedSession, BmcError>> {
    const { name } = this.#options;
    const keyExchange = new KeyExchange(this.#crypto, this.#options, suite, this.#isKgSet);
    // There are BMCs that leave a suite they do not know unanswered.
    const openTriesMs = isLast || areListed ? TRIES_MS : OPTIONAL_TRIES_MS;
    let hasNameLookup = true;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const result = yield* keyExchange.attempt(hasNameLookup, openTriesMs);
      if (!("again" in result)) return result;
      if (result.again === "without-lookup") hasNameLookup = false;
    }
    const detail = `${name} began a session ${ATTEMPTS_MAX} times and finished none: try again`;
    return err(bmcError("no-session", detail));
  }
}
