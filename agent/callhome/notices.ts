/**
 * What a watch notices besides events, as lines for people, and which of them somebody should know at once.
 */
import type { WatchNotice } from "../../bmc/bmc.ts";
import { BMC_ERRORS } from "../../bmc/bmc-error.ts";

export function describeNotice(notice: WatchNotice): string {
  switch (notice.kind) {
    case "lost": {
      const { kind, detail } = notice.error;
      return `not reached (${BMC_ERRORS[kind].title}): ${detail}; trying again`;
    }
    case "back":
      return "answers again";
    case "cleared":
      return "its event log was cleared";
    case "overflowed":
      return "its event log has overflowed: events were lost; keep what matters and clear it";
    case "nearly-full":
      return `its event log is nearly full, ${notice.freeBytes} bytes are free: clear it`;
    case "pushed":
      return `pushes events (${notice.way})`;
    case "polling":
      return `its event log is polled: ${notice.why}`;
  }
}

export function isFault(notice: WatchNotice): boolean {
  return notice.kind === "lost" || notice.kind === "overflowed" || notice.kind === "nearly-full";
}
