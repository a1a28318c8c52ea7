/**
 * The live view of a demo: `render(story, size)` gives exactly `height` lines of at most `width` columns. Pure; the
 * terminal is `io/screen.ts`.
 *
 * From top to bottom: what runs, the nodes, the loss curve, the last recovery, and as many of the newest events as fit.
 * A small terminal loses events first, then the curve, never the nodes.
 */
import type { NodeRow } from "./events.ts";
import { plotCurve } from "./plot.ts";
import { type KillMark, RUN_TITLES, type Story, seconds } from "./story.ts";

export interface Size {
  readonly width: number;
  readonly height: number;
}

export type Colour = "plain" | "dim" | "bold" | "red" | "green" | "yellow" | "cyan";

interface Span {
  readonly text: string;
  readonly colour: Colour;
}

type Line = readonly Span[];

const SGR: Readonly<Record<Colour, string>> = {
  plain: "",
  dim: "\u001b[2m",
  bold: "\u001b[1m",
  red: "\u001b[31m",
  green: "\u001b[32m",
  yellow: "\u001b[33m",
  cyan: "\u001b[36m",
};

function span(text: string, colour: Colour = "plain"): Span {
  return { text, colour };
}

/** Clips to `width` columns; every character we draw is one column wide. */
function paint(line: Line, width: number, hasColour: boolean): string {
  let left = width;
  let text = "";
  for (const part of line) {
    const clipped = part.text.slice(0, left);
    left -= clipped.length;
    const sgr = SGR[part.colour];
    text += hasColour && sgr !== "" && clipped !== "" ? `${sgr}${clipped}\u001b[0m` : clipped;
  }
  return hasColour ? text : text.trimEnd();
}

function header(story: Story): Line {
  if (story.isCalling) {
    const title = [span(" holdfast demo ", "bold"), span(" an error calls home ", "cyan")];
    return [...title, span(`   ${seconds(story.nowMs)}`)];
  }
  const title = story.run === null ? "starting" : RUN_TITLES[story.run];
  const progress = story.run === null ? "" : `step ${story.step} of ${story.steps}`;
  return [
    span(" holdfast demo ", "bold"),
    span(` ${title} `, story.run === "clean" ? "green" : "cyan"),
    span(` ${progress}  ${seconds(story.nowMs)}`),
  ];
}

function stateColour(state: string): Colour {
  if (state === "alive") return "green";
  if (state === "killed" || state === "dead") return "red";
  return "yellow";
}

/** `r2 v5-7 9`: runs of versions are joined. */
export function describeHoldings(holds: NodeRow["holds"]): string {
  return holds
    .map(({ rank, versions }) => {
      const runs: { first: number; last: number }[] = [];
      for (const version of [...versions].sort((a, b) => a - b)) {
        const run = runs.at(-1);
        if (run !== undefined && run.last + 1 >= version) run.last = version;
        else runs.push({ first: version, last: version });
      }
      const texts = runs.map(({ first, last }) =>
        first === last ? `${first}` : `${first}-${last}`,
      );
      return `r${rank} v${texts.join(" ")}`;
    })
    .join("  ");
}

/** Below this the address and the agent's pid make room for the versions. */
const WIDE = 90;

function nodeTable(nodes: readonly NodeRow[], width: number): readonly Line[] {
  const isWide = width >= WIDE;
  const address = (text: string): string => (isWide ? text.padEnd(14) : "");
  const agent = (text: string): string => (isWide ? text.padEnd(9) : "");
  const head = ` node  ${address("address")}state     epoch  rank  ${agent("agent")}proxy    program  versions held`;
  const pid = (value: number | null): string => `${value ?? "-"}`.padEnd(9);
  return [
    [span(head, "dim")],
    ...nodes.map((node): Line => {
      const colour = stateColour(node.state);
      const isDown = colour === "red";
      return [
        span(` ${`${node.id}${node.isLead ? "*" : ""}`.padEnd(6)}`, "bold"),
        span(address(node.address), "dim"),
        span(node.state.padEnd(10), colour),
        span(`${isDown ? "-" : node.epoch}`.padEnd(7)),
        span(`${node.rank ?? (isDown ? "-" : "spare")}`.padEnd(6)),
        span(
          agent(pid(node.agentPid)) + pid(node.proxyPid) + pid(node.programPid),
          isDown ? "dim" : "plain",
        ),
        span(isDown ? "lost" : describeHoldings(node.holds), isDown ? "red" : "cyan"),
      ];
    }),
  ];
}

const AXIS_WIDTH = 6;

/** A mark under the step at which a node was killed, and where the ranks began again. */
function markLine(kills: readonly KillMark[], steps: number, width: number): Line {
  const cells = new Array<string>(width).fill(" ");
  const place = (step: number, mark: string): void => {
    cells[Math.min(width - 1, Math.floor((Math.max(0, step - 1) / Math.max(1, steps)) * width))] =
      mark;
  };
  for (const kill of kills) {
    if (kill.recovery !== null) place(kill.recovery.fromStep, "↶");
    place(kill.step, "✗");
  }
  return [span(" ".repeat(AXIS_WIDTH + 1)), span(cells.join("").trimEnd(), "red")];
}

function curve(story: Story, size: Size): readonly Line[] {
  const run = story.run ?? "faulted";
  const losses = story.losses[run];
  const width = Math.max(10, Math.min(size.width, 120) - AXIS_WIDTH - 2);
  const known = losses.filter((loss) => loss !== undefined);
  const yMax = Math.max(0.5, ...known.slice(0, 5));
  const last = known.at(-1);
  const rows = plotCurve(losses, { width, height: size.height, xMax: story.steps, yMax });
  const end = `${story.steps}`;
  const lines = rows.map((row, index): Line => {
    let label = "";
    if (index === 0) label = yMax.toFixed(2);
    if (index === rows.length - 1) label = "0";
    return [
      span(`${label.padStart(AXIS_WIDTH)}┤`, "dim"),
      span(row, run === "clean" ? "green" : "cyan"),
    ];
  });
  const now = last === undefined ? "" : ` now ${last.toFixed(4)}`;
  return [
    [span(" loss", "dim"), span(now)],
    ...lines,
    [span(`${"1".padStart(AXIS_WIDTH + 2)}${end.padStart(width - 1)}`, "dim")],
    markLine(run === "faulted" ? story.kills : [], story.steps, width),
  ];
}

/** `210 ms = detect 3 · agree 41 · …` in lines of at most `width`, without what took less than a hundredth. */
export function describePhases(kill: KillMark, width: number): readonly string[] {
  if (kill.recovery === null) return ["recovering"];
  const { phases, totalMs } = kill.recovery;
  const parts = phases
    .filter(({ ms }) => ms * 100 >= totalMs)
    .map(({ phase, ms }) => `${phase} ${Math.round(ms)}`);
  const lines: string[] = [];
  let line = `${Math.round(totalMs)} ms =`;
  parts.forEach((part, index) => {
    const next = `${line} ${part}${index + 1 < parts.length ? " ·" : ""}`;
    if (next.length <= width) {
      line = next;
      return;
    }
    lines.push(line);
    line = next.slice(line.length + 1);
  });
  return [...lines, line];
}

function recoveryLines(kills: readonly KillMark[], width: number): readonly Line[] {
  return kills.flatMap((kill) => {
    const title = ` ${kill.node} lost  `;
    const colour = kill.recovery === null ? "yellow" : "plain";
    return describePhases(kill, width - title.length).map((text, index): Line => {
      const head = index === 0 ? title : " ".repeat(title.length);
      return [span(head, "red"), span(text, colour)];
    });
  });
}

function eventLines(story: Story, count: number): readonly Line[] {
  if (count <= 0) return [];
  return story.lines
    .slice(-count)
    .map(({ atMs, text, isGrave }) => [
      span(` ${(atMs / 1000).toFixed(3).padStart(7)}  `, "dim"),
      span(text, isGrave ? "red" : "plain"),
    ]);
}

const CURVE_ROWS_MAX = 10;
const CURVE_ROWS_MIN = 3;
/** Lines of the curve that are not its rows: title, axis, marks. */
const CURVE_EXTRA = 3;
const EVENTS_WANTED = 8;

export function render(story: Story, size: Size, hasColour: boolean): readonly string[] {
  const blank: Line = [];
  const top = [header(story), blank, ...nodeTable(story.nodes, size.width), blank];
  const recoveries = recoveryLines(story.kills, size.width);
  const free = size.height - top.length - recoveries.length;
  const wanted = free - CURVE_EXTRA - 2 - EVENTS_WANTED;
  const rows = Math.min(CURVE_ROWS_MAX, Math.max(CURVE_ROWS_MIN, wanted));
  const hasCurve = free >= CURVE_EXTRA + CURVE_ROWS_MIN;
  const middle = hasCurve ? [...curve(story, { width: size.width, height: rows }), blank] : [];
  const gap = recoveries.length > 0 ? [blank] : [];
  const room = size.height - top.length - middle.length - recoveries.length - gap.length;
  const all = [...top, ...middle, ...recoveries, ...gap, ...eventLines(story, room)];
  const lines = all.slice(0, size.height).map((line) => paint(line, size.width, hasColour));
  while (lines.length < size.height) lines.push("");
  return lines;
}
