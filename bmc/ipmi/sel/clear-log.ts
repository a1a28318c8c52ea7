/**
 * Clearing the event log so that no record is erased unread, as a task.
 *
 * Reserve, read the rest, clear with that reservation, wait until it is erased (IPMI 2.0 §31.4, §31.9). Any new event cancels
 * the reservation, so what the clear erases is exactly what was read. When it is cancelled the task begins anew, at most
 * ATTEMPTS_MAX times: two tools could cancel each other for ever. The erase is waited for ERASE_WAITS_MS in all.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { ask, type Part } from "../ask.ts";
import type { Steps } from "../ipmi.ts";
import { clearSel } from "./clear-sel.ts";
import { getSelInfo } from "./get-sel-info.ts";
import { reserveSel } from "./reserve-sel.ts";
import type { ReadSel, SelRead } from "./sel-read.ts";

export const ATTEMPTS_MAX = 5;
/** About a minute: real BMCs take seconds. */
const ERASE_WAITS_MS: readonly number[] = [
  20, 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000,
  5000,
];
const RESERVATION_CANCELLED = 0xc5;

/**
 * `readRest` is called under the reservation; what it read is given back, so that it can be told. null: nothing is read, what
 * is in the log is erased unseen.
 */
export function* clearLog(readRest: ReadSel | null): Steps<SelRead | null> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const cleared = yield* clearOnce(readRest);
    const isCancelled =
      !cleared.ok &&
      (cleared.error.kind === "changed-while-read" ||
        cleared.error.completionCode === RESERVATION_CANCELLED);
    if (!isCancelled) return cleared;
  }
  return err(
    bmcError(
      "changed-while-read",
      `the event log was not cleared: new events came during each of ${ATTEMPTS_MAX} attempts; try again later`,
    ),
  );
}

function* clearOnce(readRest: ReadSel | null): Part<Result<SelRead | null, BmcError>> {
  const reservation = yield* reserve();
  if (!reservation.ok) return reservation;
  const read = readRest === null ? ok(null) : yield* readRest();
  if (!read.ok) return read;
  const begun = yield* ask(clearSel, { reservation: reservation.value, action: "begin" });
  if (!begun.ok) return begun;
  const erased = begun.value.isErased ? ok(null) : yield* waitErased(reservation.value);
  return erased.ok ? read : erased;
}

/** 0 where the BMC has no reservations: it then takes the clear without one. */
function* reserve(): Part<Result<number, BmcError>> {
  const reservation = yield* ask(reserveSel, undefined);
  const isUnsupported = !reservation.ok && reservation.error.kind === "unsupported";
  return isUnsupported ? ok(0) : reservation;
}

function* waitErased(reservation: number): Part<Result<null, BmcError>> {
  let current = reservation;
  for (const ms of ERASE_WAITS_MS) {
    yield { kind: "wait", ms };
    const told = yield* ask(clearSel, { reservation: current, action: "tell" });
    if (told.ok && told.value.isErased) return ok(null);
    if (told.ok || told.error.kind === "busy") continue;
    if (told.error.completionCode === undefined) return told;
    // Erasing ends reservations on some BMCs, others do not take the question: an empty log is an answer too.
    const info = yield* ask(getSelInfo, undefined);
    if (info.ok && info.value.entryCount === 0) return ok(null);
    const again = yield* reserve();
    if (again.ok) current = again.value;
  }
  return err(bmcError("busy", "the BMC is still erasing its event log after a minute"));
}
