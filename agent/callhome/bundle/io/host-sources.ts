/**
 * The catalogue: which source gives which item of the plan.
 */

import type { Window } from "../log-window.ts";
import type { Source } from "./source.ts";
import { commandOutput } from "./sources-command.ts";
import { fileEnd, logWindow, severalFiles, wholeFile } from "./sources-files.ts";
import { edac, processes } from "./sources-host.ts";

/** What of a journal's entry is kept: the rest says little and is much. */
const JOURNAL_FIELDS = [
  "__REALTIME_TIMESTAMP",
  "PRIORITY",
  "SYSLOG_IDENTIFIER",
  "_SYSTEMD_UNIT",
  "_PID",
  "_TRANSPORT",
  "_KERNEL_DEVICE",
  "MESSAGE",
];

/**
 * One line of `journalctl --output=json` with the fields that matter. A text that is no UTF-8 comes as a list of numbers there, and is
 * made text again: rules see texts.
 */
export function journalLine(line: string): string | null {
  let entry: Readonly<Record<string, unknown>>;
  try {
    entry = JSON.parse(line) as typeof entry;
  } catch {
    return null;
  }
  const kept = JOURNAL_FIELDS.flatMap((name) => {
    const value = entry[name];
    if (value === undefined || value === null) return [];
    const isBytes = Array.isArray(value) && value.every((one) => typeof one === "number");
    return [[name, isBytes ? Buffer.from(value).toString("utf8") : value] as const];
  });
  // Lines of a text stay lines: a rule that reads to the end of a line must not read to the end of the entry.
  const { MESSAGE: message, ...rest } = Object.fromEntries(kept);
  const text = typeof message === "string" ? message : JSON.stringify(message ?? "");
  return [JSON.stringify(rest), ...text.split("\n").map((one) => `  ${one}`)].join("\n");
}

/** `journalctl` reads times in local time, and seconds since 1970 with an `@`. */
function seconds(ms: number): string {
  return `@${Math.floor(ms / 1_000)}`;
}

export function hostSources(window: Window): ReadonlyMap<string, Source> {
  const { fromMs, toMs } = window;
  const journal = [
    ...["journalctl", "--no-pager", "--quiet", "--all", "--reverse", "--output=json"],
    ...[`--since=${seconds(fromMs)}`, `--until=${seconds(toMs + 1_000)}`],
  ];
  return new Map<string, Source>([
    ["host/loadavg.txt", wholeFile("/proc/loadavg")],
    ["host/meminfo.txt", wholeFile("/proc/meminfo")],
    ["host/uptime.txt", wholeFile("/proc/uptime")],
    ["host/processes.txt", processes],
    ["host/edac.json", edac],
    ["host/dmesg.txt", commandOutput(["dmesg"], { keeps: "end" })],
    ["host/journal.txt", commandOutput(journal, { keeps: "start", line: journalLine })],
    ["host/ras.txt", commandOutput(["ras-mc-ctl", "--errors"], { keeps: "end" })],
    ["host/mcelog.txt", fileEnd("/var/log/mcelog")],
    ["host/log/kern.log", logWindow("/var/log/kern.log", window)],
    ["host/log/messages", logWindow("/var/log/messages", window)],
    ["host/log/syslog", logWindow("/var/log/syslog", window)],
    ["host/cpuinfo.txt", wholeFile("/proc/cpuinfo")],
    ["host/mounts.txt", wholeFile("/proc/mounts")],
    ["host/cmdline.txt", wholeFile("/proc/cmdline")],
    ["host/os-release.txt", severalFiles(["/etc/os-release", "/etc/machine-info"])],
    ["host/kernel.txt", wholeFile("/proc/version")],
  ]);
}
