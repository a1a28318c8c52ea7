/**
 * `holdfast bmc sensors`: what the BMC measures now.
 */
import { Command } from "commander";
import type { SensorReading } from "../../../bmc/bmc.ts";
import { oneLine } from "../../runtime/io/log.ts";
import { formatTable } from "../print.ts";
import {
  answerOf,
  type BmcFlags,
  EXIT_HELP,
  withBmc,
  withBmcOptions,
  withProgress,
} from "./session.ts";
import type { BmcWorld } from "./world.ts";

const HELP = `
STATUS is ok, a crossed threshold such as upper-critical, unavailable or disabled; of sensors that measure states, the states.

Examples:
  holdfast bmc sensors --bmc lan://admin@10.0.0.5
  holdfast bmc sensors --category temperature --thresholds
  holdfast bmc sensors --json | jq '.[] | select(.status != "ok") | {name, value, unit, status}'
${EXIT_HELP}`;

interface SensorFlags extends BmcFlags {
  readonly category?: string;
  readonly thresholds?: boolean;
}

const THRESHOLDS = ["lnr", "lc", "lnc", "unc", "uc", "unr"] as const;

function statusOf({ status, states }: SensorReading): string {
  if (states.length > 0) return states.join(", ");
  // Of states that none is asserted is said as such, not as an empty cell.
  return status === "states" ? "no state asserted" : status;
}

/** Not more digits than a sensor of eight bits can mean; `--json` has them all. */
function formatNumber(value: number): string {
  return String(Number(value.toPrecision(6)));
}

function readingOf({ value, unit }: SensorReading): string {
  return value === null ? "-" : `${formatNumber(value)} ${unit}`.trim();
}

export function formatSensors(sensors: readonly SensorReading[], withThresholds: boolean): string {
  if (sensors.length === 0) return "no sensors";
  const head = ["NO", "NAME", "CATEGORY", "READING", "STATUS"];
  const rows = sensors.map((sensor) =>
    [
      sensor.number === null ? "-" : `0x${sensor.number.toString(16).padStart(2, "0")}`,
      sensor.name,
      sensor.category,
      readingOf(sensor),
      statusOf(sensor),
    ].map(oneLine),
  );
  if (!withThresholds) return formatTable(head, rows);
  const limits = sensors.map(({ thresholds }) =>
    THRESHOLDS.map((name) => {
      const limit = thresholds[name];
      return limit === undefined ? "-" : formatNumber(limit);
    }),
  );
  return formatTable(
    [...head, ...THRESHOLDS.map((name) => name.toUpperCase())],
    rows.map((row, index) => [...row, ...(limits[index] ?? [])]),
  );
}

export function sensorsCommand(world: BmcWorld): Command {
  return withBmcOptions(new Command("sensors").description("what the BMC measures now"))
    .option("--category <category>", "only these: temperature, fan, voltage, …")
    .option("--thresholds", "show the limits of each, too")
    .addHelpText("after", HELP)
    .action((flags: SensorFlags) =>
      withBmc(world, flags, async (bmc) => {
        const all = await withProgress(world, "sensors", (options) =>
          answerOf(bmc.sensors(options), bmc),
        );
        const { category } = flags;
        const sensors = all.filter((one) => category === undefined || one.category === category);
        world.print(
          flags.json === true
            ? JSON.stringify(sensors)
            : formatSensors(sensors, flags.thresholds === true),
        );
      }),
    );
}
