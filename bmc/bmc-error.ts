/**
 * What can go wrong with a BMC: one closed list of kinds, each with the exit code of the command that meets it.
 *
 * Decides how an error is named, not when it happens. Every wait in this folder has a limit, so each of these is reached; a
 * result that is not whole is always an error of one of these kinds, never a shorter list. Exit codes of sysexits.h where
 * one fits, above 80 where none does; a script may rely on them.
 */
export const BMC_ERRORS = {
  "bad-url": { exitCode: 2, title: "the BMC's URL is not understood" },
  "bad-request": { exitCode: 64, title: "the request is not one that can be sent" },
  "no-password": { exitCode: 78, title: "the password cannot be read" },
  "permission-denied": { exitCode: 77, title: "permission denied" },
  "no-device": { exitCode: 66, title: "there is no such device" },
  "device-in-use": { exitCode: 73, title: "the device is in use" },
  unreachable: { exitCode: 69, title: "the BMC cannot be reached" },
  timeout: { exitCode: 75, title: "the BMC does not answer" },
  disconnected: { exitCode: 74, title: "the connection broke" },
  "not-a-terminal": { exitCode: 80, title: "the device is no terminal" },
  "baud-refused": { exitCode: 81, title: "the driver refuses the baud rate" },
  "wrong-password": { exitCode: 82, title: "user or password is wrong" },
  "wrong-cipher": { exitCode: 83, title: "the BMC offers no cipher suite that is allowed" },
  "no-session": { exitCode: 84, title: "the BMC gives no session" },
  "privilege-too-low": { exitCode: 85, title: "the user's privilege is too low" },
  unsupported: { exitCode: 86, title: "the BMC does not support this" },
  refused: { exitCode: 87, title: "the BMC refuses" },
  busy: { exitCode: 88, title: "the BMC stays busy" },
  malformed: { exitCode: 89, title: "the BMC's answer cannot be read" },
  "truncated-record": { exitCode: 90, title: "a record is shorter than it says" },
  "bad-checksum": { exitCode: 91, title: "a checksum is wrong" },
  "changed-while-read": { exitCode: 92, title: "it changed while it was read" },
  untrusted: { exitCode: 93, title: "the BMC's certificate is not trusted" },
  "not-an-ipmi-device": { exitCode: 94, title: "the device is none of the IPMI driver" },
} as const;

export type BmcErrorKind = keyof typeof BMC_ERRORS;

export interface BmcError {
  readonly kind: BmcErrorKind;
  /** One line that names the thing and, where there is one, the remedy. Never holds a password. */
  readonly detail: string;
  /** Of an IPMI reply, where that is what went wrong. */
  readonly completionCode?: number;
}

export function bmcError(kind: BmcErrorKind, detail: string, completionCode?: number): BmcError {
  return completionCode === undefined ? { kind, detail } : { kind, detail, completionCode };
}
