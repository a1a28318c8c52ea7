/**
 * `bench/RESULTS.md`: the newest measurement of every benchmark, with the machine it was made on.
 *
 * Not every run measures everything, so the numbers are kept in `bench/results.json` by name, and the page is written from
 * it: what was not measured this time stays, with its own machine and commit.
 */
import { type Measurement, ratioOf, verdictOf } from "./bench.ts";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly bun: string;
}

export interface Kept {
  readonly measurement: Measurement;
  readonly machine: Machine;
  readonly commit: string;
}

/** Newer measurements in the place of older ones of the same name; others stay in their order. */
export function merged(old: readonly Kept[], fresh: readonly Kept[]): readonly Kept[] {
  const names = new Set(fresh.map((one) => one.measurement.bench));
  return [...old.filter((one) => !names.has(one.measurement.bench)), ...fresh].sort((a, b) =>
    a.measurement.bench < b.measurement.bench ? -1 : 1,
  );
}

export function describeMachine(machine: Machine): string {
  const { cpu, cores, memoryGib, kernel, bun } = machine;
  return `${cpu}, ${cores} cores, ${memoryGib} GiB, Linux ${kernel}, Bun ${bun}`;
}

/** Three significant digits: what a benchmark on a shared machine is worth. */
export function formatNumber(value: number | null): string {
  if (value === null) return "–";
  if (value === 0) return "0";
  return Number(value.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 6 });
}

function limits(measurement: Measurement): readonly [string, string] {
  const { goal } = measurement;
  if (goal === null) return ["–", "–"];
  const sign = goal.better === "higher" ? "≥" : "≤";
  const unit = goal.of === "ratio" ? "×" : ` ${measurement.unit}`;
  const limit = (value: number | null): string =>
    value === null ? "–" : `${sign} ${formatNumber(value)}${unit}`;
  return [limit(goal.must), limit(goal.aim)];
}

function row({ measurement, commit }: Kept): string {
  const { bench, what, ours, spread, unit, peer, peerName, note } = measurement;
  const [must, aim] = limits(measurement);
  const ratio = ratioOf(measurement);
  const cells = [
    `\`${bench}\``,
    note === null ? what : `${what} (${note})`,
    `${formatNumber(ours)} ${unit}${spread === null ? "" : ` ± ${formatNumber(spread)}`}`,
    peer === null ? "–" : `${formatNumber(peer)} ${unit}, ${peerName}`,
    ratio === null ? "–" : `${formatNumber(ratio)}×`,
    must,
    aim,
    verdictOf(measurement),
    commit,
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

export function resultsPage(all: readonly Kept[]): string {
  const machines = [...new Set(all.map((one) => describeMachine(one.machine)))];
  const missed = all.filter((one) => verdictOf(one.measurement) === "MISSED");
  const lines = [
    "# Results",
    "",
    "Written by `npm run bench`; what each benchmark does is in the head of its file. Times are medians of the runs, ± is the",
    "median absolute deviation, a ratio is ours divided by the peer's. Peers are measured in the same run on the same machine.",
    "",
    missed.length === 0
      ? "Every goal that was measured is reached."
      : `Not reached: ${missed.map((one) => `\`${one.measurement.bench}\``).join(", ")}.`,
  ];
  for (const machine of machines) {
    lines.push(
      "",
      `## ${machine}`,
      "",
      "| benchmark | what | holdfast | peer | ratio | must | aim | | commit |",
      "|---|---|---|---|---|---|---|---|---|",
      ...all.filter((one) => describeMachine(one.machine) === machine).map(row),
    );
  }
  return `${lines.join("\n")}\n`;
}
