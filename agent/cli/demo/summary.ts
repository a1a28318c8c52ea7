/**
 * The last words of a demo, for people: a table of both trainings, what died, how long each phase of the recovery took, and
 * the verdict. Pure: a list of lines.
 */
import { CALL_TITLES, type CallEnd } from "./call.ts";
import type { RunEnd, RunName } from "./events.ts";
import { type KillMark, type Story, seconds } from "./story.ts";

const LABEL_WIDTH = 24;
const COLUMN_WIDTH = 20;
const BAR_WIDTH = 40;
/** Enough of a digest for the eye; the whole one follows below the table. */
const DIGEST_SHOWN = 16;

function row(label: string, values: readonly string[]): string {
  const cells = values.map((value) => value.padEnd(COLUMN_WIDTH)).join("");
  return `  ${label.padEnd(LABEL_WIDTH)}${cells}`.trimEnd();
}

function table(story: Story): readonly string[] {
  const runs: readonly RunName[] = ["faulted", "clean"];
  const each = (show: (end: RunEnd) => string): readonly string[] =>
    runs.map((run) => {
      const end = story.ends[run];
      return end === undefined ? "-" : show(end);
    });
  const lastLoss = (run: RunName): string => story.losses[run].at(-1)?.toFixed(6) ?? "-";
  return [
    row("", ["with a fault", "without"]),
    row(
      "steps computed",
      each((end) => `${end.stepsComputed}`),
    ),
    row(
      "time",
      each((end) => seconds(end.ms)),
    ),
    row("loss of the last step", runs.map(lastLoss)),
    row(
      "test accuracy",
      each((end) => (end.accuracy === null ? "-" : `${(end.accuracy * 100).toFixed(2)} %`)),
    ),
    row(
      "SHA-256 of the weights",
      each((end) => `${(end.digests[0] ?? "-").slice(0, DIGEST_SHOWN)}…`),
    ),
  ];
}

function killLines(kill: KillMark): readonly string[] {
  const pids = kill.victims.map((victim) => `${victim.role} ${victim.pid}`).join(", ");
  const fate = kill.isGone ? "all gone" : "not seen to be gone";
  const lines = [
    `  ${kill.node} (rank ${kill.rank}) killed after step ${kill.step}: ${pids}; ${fate}`,
  ];
  if (kill.recovery === null) return lines;
  const { phases, totalMs, epoch, fromStep, stepsAgain } = kill.recovery;
  for (const { phase, ms } of phases) {
    const bar = "█".repeat(Math.round((ms / Math.max(1, totalMs)) * BAR_WIDTH));
    lines.push(`    ${phase.padEnd(10)}${`${Math.round(ms)} ms`.padStart(8)}  ${bar}`.trimEnd());
  }
  lines.push(
    `    ${"in all".padEnd(10)}${`${Math.round(totalMs)} ms`.padStart(8)}  epoch ${epoch}, back to step ${fromStep}, ${stepsAgain} steps computed twice`,
  );
  return lines;
}

function callLines({ call, text, steps, path, ticket, totalMs }: CallEnd): readonly string[] {
  const lines = [`  an error ${CALL_TITLES[call]}: ${text}`];
  for (const { name, ms, at } of steps) {
    const bar = "█".repeat(Math.round((ms / Math.max(1, totalMs)) * BAR_WIDTH));
    const head = `    ${name.padEnd(8)}${at.padEnd(12)}${`${ms} ms`.padStart(8)}  ${bar}`;
    lines.push(head.trimEnd());
  }
  lines.push(`    ticket ${ticket} by the path ${path}`);
  return lines;
}

export function summarize(story: Story): readonly string[] {
  const digests = (["faulted", "clean"] as const).flatMap((run) => {
    const digest = story.ends[run]?.digests[0] ?? null;
    return digest === null ? [] : [`  ${run.padEnd(8)} ${digest}`];
  });
  return [
    "",
    ...table(story),
    "",
    ...story.kills.flatMap(killLines),
    ...(digests.length > 0 ? ["", ...digests] : []),
    ...(story.calls.length > 0 ? [""] : []),
    ...story.calls.flatMap(callLines),
    "",
    ...(story.verdict?.lines ?? []).map((line) => `  ${line}`),
    `  replay with holdfast demo ${story.replay}`,
    "",
  ];
}
