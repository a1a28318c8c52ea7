/**
 * What a bundle holds, in which order it is gathered, and what is left out where it is too much.
 *
 * Two lanes run side by side, since a slow BMC must not hold up what the host forgets; inside a lane what perishes first is taken
 * first. What is cut is decided afterwards and by importance alone: whole items from the least important up, until the rest fits; of
 * the last one, if it may be cut, as much stays as there is room for. Invariant: together at most `bytesMax`; nothing is cut while
 * something less important is whole.
 */
export type Lane = "bmc" | "host";

/** `newest`: the end of a log; `oldest`: the beginning; `whole`: a part of it says nothing. */
export type Keep = "newest" | "oldest" | "whole";

export interface PlanItem {
  readonly name: string;
  readonly what: string;
  readonly lane: Lane;
  /** 1 is the most important. */
  readonly priority: number;
  /** 1 is gone first. */
  readonly perishes: number;
  readonly bytesMax: number;
  readonly timeMs: number;
  readonly keep: Keep;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const BUNDLE_BYTES_MAX: number = 50 * MIB;
export const BUNDLE_TIME_MS = 60_000;
/** Around the event, of logs that have times. */
export const BEFORE_MS: number = 15 * 60_000;
export const AFTER_MS: number = 60_000;

type Row = readonly [
  name: string,
  what: string,
  priority: number,
  perishes: number,
  bytesMax: number,
  timeMs: number,
  keep: Keep,
];

/** A BMC that gives 15 records a second needs a minute for a full log: it may take nearly all of the time. */
const BMC_ROWS: readonly Row[] = [
  ["bmc/power.json", "power state and faults of the chassis", 3, 1, 64 * KIB, 10_000, "whole"],
  ["bmc/sensors.json", "readings, thresholds and states", 2, 2, 2 * MIB, 40_000, "whole"],
  ["bmc/sel.json", "the system event log, decoded", 1, 3, 8 * MIB, 50_000, "whole"],
  ["bmc/sel.bin", "the same as records of 16 bytes", 2, 4, 2 * MIB, 50_000, "newest"],
  ["bmc/watchdog.json", "the BMC's watchdog", 6, 5, 64 * KIB, 10_000, "whole"],
  ["bmc/identity.json", "which BMC, firmware, self test", 2, 6, 64 * KIB, 10_000, "whole"],
  ["bmc/fru.json", "what is built in: parts and serial numbers", 2, 7, 1 * MIB, 40_000, "whole"],
  ["bmc/sdr.json", "the records of sensors and devices", 5, 8, 4 * MIB, 40_000, "whole"],
  ["bmc/sdr.bin", "the same as they are stored", 7, 9, 4 * MIB, 40_000, "whole"],
];

const HOST_ROWS: readonly Row[] = [
  ["host/loadavg.txt", "load", 6, 1, 4 * KIB, 2_000, "whole"],
  ["host/meminfo.txt", "memory", 5, 1, 64 * KIB, 2_000, "whole"],
  ["host/uptime.txt", "since when it runs", 5, 1, 4 * KIB, 2_000, "whole"],
  [
    "host/processes.txt",
    "the largest processes, without their arguments",
    8,
    2,
    256 * KIB,
    5_000,
    "oldest",
  ],
  ["host/edac.json", "memory errors as the kernel counts them", 2, 3, 512 * KIB, 5_000, "whole"],
  ["host/dmesg.txt", "the kernel's messages", 2, 4, 2 * MIB, 10_000, "newest"],
  ["host/journal.txt", "the journal around the event", 4, 5, 16 * MIB, 20_000, "newest"],
  ["host/ras.txt", "hardware errors as rasdaemon has them", 3, 6, 2 * MIB, 10_000, "newest"],
  ["host/mcelog.txt", "machine checks as mcelog has them", 3, 6, 2 * MIB, 5_000, "newest"],
  ["host/log/kern.log", "the kernel's log around the event", 4, 7, 8 * MIB, 10_000, "newest"],
  ["host/log/messages", "the system's log around the event", 5, 7, 8 * MIB, 10_000, "newest"],
  ["host/log/syslog", "the system's log around the event", 5, 7, 8 * MIB, 10_000, "newest"],
  ["host/cpuinfo.txt", "processors", 6, 8, 64 * KIB, 2_000, "whole"],
  ["host/mounts.txt", "what is mounted", 6, 8, 256 * KIB, 2_000, "whole"],
  ["host/cmdline.txt", "how the kernel was started", 7, 8, 16 * KIB, 2_000, "whole"],
  ["host/os-release.txt", "which system", 6, 8, 16 * KIB, 2_000, "whole"],
  ["host/kernel.txt", "which kernel", 6, 8, 4 * KIB, 2_000, "whole"],
];

function itemsOf(lane: Lane, rows: readonly Row[]): readonly PlanItem[] {
  return rows.map(([name, what, priority, perishes, bytesMax, timeMs, keep]) => ({
    ...{ name, what, lane, priority, perishes, bytesMax, timeMs, keep },
  }));
}

/** The event itself, and what the agent has: `agent/NAME`, files and documents. */
export function agentItem(name: string, isFile: boolean): PlanItem {
  return {
    name: `agent/${name}`,
    what: isFile ? "the agent's own log" : "what the agent knows",
    lane: "host",
    priority: isFile ? 4 : 3,
    perishes: 5,
    bytesMax: 8 * MIB,
    timeMs: 10_000,
    keep: isFile ? "newest" : "whole",
  };
}

export const EVENT_ITEM: PlanItem = {
  name: "event.json",
  what: "the event that this was gathered for",
  lane: "host",
  priority: 1,
  perishes: 1,
  bytesMax: 256 * KIB,
  timeMs: 1_000,
  keep: "whole",
};

export const BMC_ITEMS: readonly PlanItem[] = itemsOf("bmc", BMC_ROWS);
export const HOST_ITEMS: readonly PlanItem[] = itemsOf("host", HOST_ROWS);

/** Of one lane, what perishes first is first; then by name, so that every run is alike. */
export function gatherOrder(items: readonly PlanItem[], lane: Lane): readonly PlanItem[] {
  return items
    .filter((item) => item.lane === lane)
    .sort((a, b) => a.perishes - b.perishes || (a.name < b.name ? -1 : 1));
}

/** How long an item may take now; 0: the whole is out of time. */
export function timeFor(item: PlanItem, begunMs: number, nowMs: number, wholeMs: number): number {
  return Math.max(0, Math.min(item.timeMs, begunMs + wholeMs - nowMs));
}

export interface Gathered {
  readonly name: string;
  readonly priority: number;
  readonly bytes: number;
  readonly keep: Keep;
}

/** How many bytes of each stay, by name. O(n log n). */
export function fit(items: readonly Gathered[], bytesMax: number): ReadonlyMap<string, number> {
  // The most important first; among equals the small ones, which say most for their room.
  const ranked = [...items].sort(
    (a, b) => a.priority - b.priority || a.bytes - b.bytes || (a.name < b.name ? -1 : 1),
  );
  const kept = new Map<string, number>();
  let room = bytesMax;
  let isFull = false;
  for (const { name, bytes, keep } of ranked) {
    const fits = !isFull && bytes <= room;
    const stays = fits ? bytes : isFull || keep === "whole" ? 0 : room;
    if (!fits && bytes > 0) isFull = true;
    kept.set(name, stays);
    room -= stays;
  }
  return kept;
}
