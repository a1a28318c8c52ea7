/**
 * What the host tells of itself: the largest processes and the counters of memory errors.
 *
 * Lists of processes have names and sizes, never arguments, which hold passwords.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { absent, faultOf, type Source } from "./source.ts";

const PROCESSES_MAX = 60;

/** Names and resident sizes. Arguments and environments stay where they are. */
export const processes: Source = async ({ sink }) => {
  const rows: { readonly pid: number; readonly name: string; readonly kib: number }[] = [];
  let ids: readonly string[];
  try {
    ids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch (cause) {
    return faultOf("/proc", cause);
  }
  for (const id of ids) {
    try {
      const status = readFileSync(`/proc/${id}/status`, "utf8");
      const name = /^Name:\s*(.*)$/m.exec(status)?.[1] ?? "";
      const kib = Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0);
      rows.push({ pid: Number(id), name, kib });
    } catch {
      // It ended in between.
    }
  }
  rows.sort((a, b) => b.kib - a.kib || a.pid - b.pid);
  const lines = rows
    .slice(0, PROCESSES_MAX)
    .map(({ pid, name, kib }) => `${kib} KiB ${pid} ${name}`);
  await sink(Buffer.from(`${rows.length} processes\n${lines.join("\n")}\n`));
  return null;
};

const EDAC = "/sys/devices/system/edac/mc";
const EDAC_FILES = /^(?:ce|ue|ce_noinfo|ue_noinfo)_count$|^mc_name$|^size_mb$|^dimm_/;

/** Counters of the memory controllers and their modules. */
export const edac: Source = async ({ sink }) => {
  if (!existsSync(EDAC)) return absent("the kernel counts no memory errors (no EDAC driver)");
  const counters: Record<string, string> = {};
  const walk = (folder: string, depth: number): void => {
    for (const entry of readdirSync(join(EDAC, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && depth < 3) walk(path, depth + 1);
      else if (EDAC_FILES.test(entry.name)) {
        try {
          counters[path] = readFileSync(join(EDAC, path), "utf8").trim();
        } catch {
          // Some can only be written.
        }
      }
    }
  };
  try {
    walk("", 0);
  } catch (cause) {
    return faultOf(EDAC, cause);
  }
  await sink(Buffer.from(`${JSON.stringify(counters, null, 1)}\n`));
  return null;
};
