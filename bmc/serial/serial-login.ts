/**
 * Getting into a BMC over a serial line, and out of it: tasks that say what to send and judge what comes back.
 *
 * Basic Mode: a session as of IPMI 1.5 (§14.4, §22.16 to §22.18), whose packets have no header afterwards, so that its id matters at the
 * end only. The password goes as MD5 where the BMC offers it, else as it is. Terminal Mode: the text `SYS PWD` (§14.7.5),
 * always as it is. Without a user and a password nothing is activated: some BMCs ask for none.
 *
 * First of all the BMC is asked what every BMC answers in every state: whoever is silent now is not there, or it is the wrong mode or
 * rate. On shared lines some BMCs take the line when they see just this question (§14.2.6).
 */
import { err, ok, type Result } from "../../core/result.ts";
import { type BmcError, bmcError } from "../bmc-error.ts";
import { activateSession } from "../ipmi/app/activate-session.ts";
import { closeSession } from "../ipmi/app/close-session.ts";
import {
  getChannelAuthenticationCapabilities,
  THIS_CHANNEL,
} from "../ipmi/app/get-channel-authentication-capabilities.ts";
import {
  AUTHENTICATION_TYPES,
  getSessionChallenge,
  type SessionChallenge,
  USER_NAME_BYTES,
} from "../ipmi/app/get-session-challenge.ts";
import { PRIVILEGES, setSessionPrivilegeLevel } from "../ipmi/app/set-session-privilege-level.ts";
import { replyValue } from "../ipmi/ask.ts";
import type { IpmiCrypto } from "../ipmi/crypto.ts";
import { type IpmiCommand, type IpmiReply, type IpmiRequest, requestOf } from "../ipmi/ipmi.ts";
import type { SerialMode } from "./serial-line.ts";
import { errorCodeOf, isTerminalText } from "./terminal-mode.ts";

export type LoginStep =
  | { readonly kind: "ask"; readonly request: IpmiRequest }
  /** Terminal Mode: a text, whose answer is the next text that comes. */
  | { readonly kind: "say"; readonly text: string };

/** To an `ask` its reply, to a `say` the text that came back. */
export type LoginAnswer =
  | { readonly kind: "reply"; readonly result: Result<IpmiReply, BmcError> }
  | { readonly kind: "text"; readonly result: Result<string, BmcError> };

export type Login<T> = Generator<LoginStep, Result<T, BmcError>, LoginAnswer>;

export interface Credentials {
  /** Empty: the user without a name. */
  readonly userName: string;
  readonly password: string;
}

export interface LoggedIn {
  /** Null: no session of IPMI 1.5, so none to close. */
  readonly sessionId: number | null;
  /** `SYS PWD` was said, so `-X` ends it. */
  readonly isTextual: boolean;
}

const NOT_LOGGED_IN: LoggedIn = { sessionId: null, isTextual: false };

function* ask<Args, Reply>(
  command: IpmiCommand<Args, Reply>,
  args: Args,
): Generator<LoginStep, Result<IpmiReply, BmcError>, LoginAnswer> {
  const answer = yield { kind: "ask", request: requestOf(command, args) };
  if (answer.kind === "reply") return answer.result;
  return err(bmcError("malformed", `${command.name} was answered by a text`));
}

function* probe(): Login<IpmiReply> {
  const args = { channel: THIS_CHANNEL, privilege: PRIVILEGES.administrator };
  return yield* ask(getChannelAuthenticationCapabilities, args);
}

export function* login(
  mode: SerialMode,
  credentials: Credentials | null,
  crypto: Pick<IpmiCrypto, "md5">,
): Login<LoggedIn> {
  if (mode === "terminal" && credentials !== null) return yield* loginByText(credentials);
  const answer = yield* probe();
  if (!answer.ok) return answer;
  // Any completion code is the voice of a BMC.
  if (credentials === null) return ok(NOT_LOGGED_IN);
  const capabilities = replyValue(getChannelAuthenticationCapabilities, answer);
  // An old BMC may not know the question: what it offers then is told by what it accepts.
  const types = capabilities.ok ? capabilities.value.authenticationTypes : MD5_BIT | PASSWORD_BIT;
  return yield* activate(credentials, types, crypto);
}

const MD5_BIT = 1 << AUTHENTICATION_TYPES.md5;
const PASSWORD_BIT = 1 << AUTHENTICATION_TYPES.password;

function* activate(
  credentials: Credentials,
  types: number,
  crypto: Pick<IpmiCrypto, "md5">,
): Login<LoggedIn> {
  const key = passwordKey(credentials);
  if (!key.ok) return key;
  const { userName, password } = key.value;
  const isMd5 = (types & MD5_BIT) !== 0;
  if (!isMd5 && (types & PASSWORD_BIT) === 0) {
    const offered = `the BMC offers types ${types.toString(2).padStart(6, "0")}b`;
    return err(
      bmcError("no-session", `neither MD5 nor the password itself is allowed: ${offered}`),
    );
  }
  const authenticationType = isMd5 ? AUTHENTICATION_TYPES.md5 : AUTHENTICATION_TYPES.password;
  const challenged = replyValue(
    getSessionChallenge,
    yield* ask(getSessionChallenge, { authenticationType, userName }),
  );
  if (!challenged.ok) {
    const knowsSessions = challenged.error.completionCode !== UNKNOWN_COMMAND;
    return knowsSessions ? challenged : ok(NOT_LOGGED_IN);
  }
  const activated = yield* ask(activateSession, {
    authenticationType,
    privilege: PRIVILEGES.administrator,
    authenticationCode: isMd5 ? md5Code(password, challenged.value, crypto) : password,
    outboundSequence: 1,
  });
  if (activated.ok && isWrongPassword(activated.value.completionCode)) return err(wrongPassword());
  const session = replyValue(activateSession, activated);
  if (!session.ok) return session;
  const { sessionId, privilegeMax } = session.value;
  const raised = yield* raise(privilegeMax);
  return raised.ok ? ok({ sessionId, isTextual: false }) : raised;
}

/** Every session starts as user; each privilege is tried from the highest that the BMC said it allows. */
function* raise(privilegeMax: number): Login<null> {
  const levels = [PRIVILEGES.administrator, PRIVILEGES.operator, PRIVILEGES.user];
  const allowed = levels.filter((level) => level <= privilegeMax || level === PRIVILEGES.user);
  let last: Result<number, BmcError> = err(
    bmcError("privilege-too-low", "no privilege is allowed"),
  );
  for (const level of allowed) {
    last = replyValue(setSessionPrivilegeLevel, yield* ask(setSessionPrivilegeLevel, level));
    if (last.ok) return ok(null);
    if (last.error.kind !== "privilege-too-low") return last;
  }
  return last.ok ? ok(null) : last;
}

/**
 * The request in itself is right, so what a BMC says of it in general words is about the code; BMCs differ in which they use. Codes of
 * the command (80h to BEh) and those that pass tell another cause.
 */
function isWrongPassword(completionCode: number): boolean {
  const isOfCommand = completionCode >= 0x80 && completionCode <= 0xbe;
  return completionCode !== 0 && !isOfCommand && !PASSING.has(completionCode);
}

/** Busy, timed out inside, updating, starting. */
const PASSING: ReadonlySet<number> = new Set([0xc0, 0xc3, 0xd0, 0xd1, 0xd2]);

function wrongPassword(): BmcError {
  return bmcError("wrong-password", "the BMC refuses the user or the password");
}

interface PasswordKey {
  readonly userName: Uint8Array;
  /** 16 bytes, padded with 0. */
  readonly password: Uint8Array;
}

function passwordKey({ userName, password }: Credentials): Result<PasswordKey, BmcError> {
  const name = new TextEncoder().encode(userName);
  const word = new TextEncoder().encode(password);
  if (name.byteLength > USER_NAME_BYTES) {
    return err(
      bmcError("bad-request", `a user name of the BMC has at most ${USER_NAME_BYTES} bytes`),
    );
  }
  if (word.byteLength > 16) return err(bmcError("bad-request", TOO_LONG));
  const padded = new Uint8Array(16);
  padded.set(word);
  return ok({ userName: name, password: padded });
}

const TOO_LONG = "a password on a serial line has at most 16 bytes";

/** §22.17.1: MD5 over password, temporary session id, challenge, password. */
function md5Code(
  password: Uint8Array,
  { temporaryId, challenge }: SessionChallenge,
  crypto: Pick<IpmiCrypto, "md5">,
): Uint8Array {
  const bytes = new Uint8Array(16 + 4 + 16 + 16);
  bytes.set(password, 0);
  new DataView(bytes.buffer).setUint32(16, temporaryId, true);
  bytes.set(challenge, 20);
  bytes.set(password, 36);
  return crypto.md5(bytes);
}

function* loginByText({ userName, password }: Credentials): Login<LoggedIn> {
  // What a text cannot carry cannot be said; and nothing of a password may open or close a bracket.
  const isSayable = (word: string): boolean => isTerminalText(word) && !word.includes(" ");
  if (!isSayable(userName) || !isSayable(password) || password.length > 16) {
    const rule = "printable ASCII without spaces, brackets and backslashes";
    return err(
      bmcError("bad-request", `${TOO_LONG}; in Terminal Mode it and the user are ${rule}`),
    );
  }
  const who = userName === "" ? "-N" : `-U ${userName}`;
  let answer: LoginAnswer;
  let triesLeft = TEXT_TRIES;
  do {
    answer = yield { kind: "say", text: `SYS PWD ${who} ${password}` };
    triesLeft--;
  } while (!answer.result.ok && answer.result.error.kind === "timeout" && triesLeft > 0);
  if (answer.kind !== "text")
    return err(bmcError("malformed", "SYS PWD was answered by a message"));
  if (!answer.result.ok) {
    // A BMC that takes messages and no texts has no passwords on this line.
    const probed = answer.result.error.kind === "timeout" ? yield* probe() : answer.result;
    return probed.ok ? ok(NOT_LOGGED_IN) : answer.result;
  }
  const code = errorCodeOf(answer.result.value);
  if (code === null) return ok({ sessionId: null, isTextual: true });
  if (code === UNKNOWN_COMMAND) return ok(NOT_LOGGED_IN);
  return err({ ...wrongPassword(), completionCode: code });
}

/** A line may lose a text as it may a message. */
const TEXT_TRIES = 2;
/** Of a BMC that knows no sessions on this line, and so lets everybody in; if not, it refuses each command by a code. */
const UNKNOWN_COMMAND = 0xc1;

/** What ends a session, if there is one. */
export function logout(loggedIn: LoggedIn): LoginStep | null {
  if (loggedIn.sessionId !== null) {
    return { kind: "ask", request: requestOf(closeSession, loggedIn.sessionId) };
  }
  return loggedIn.isTextual ? { kind: "say", text: "SYS PWD -X" } : null;
}
