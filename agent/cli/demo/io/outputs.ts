/**
 * Where a demo tells what happens: a live view on a terminal, plain lines, or JSON lines. All three fold the same events.
 */
import type { TimedEvent } from "../events.ts";
import { describeEvent, EMPTY_STORY, type Story, tell } from "../story.ts";
import { summarize } from "../summary.ts";
import { render } from "../view.ts";
import { Screen, type Terminal } from "./screen.ts";

export interface DemoOutput {
  tell(event: TimedEvent): void;
  /** Gives the terminal back; the summary follows when the demo came to a verdict. */
  close(): void;
}

class LiveOutput implements DemoOutput {
  readonly #terminal: Terminal;
  readonly #screen: Screen;
  #story: Story = EMPTY_STORY;

  constructor(terminal: Terminal, hasColour: boolean, nowMs: () => number) {
    this.#terminal = terminal;
    this.#screen = new Screen(terminal, (size) =>
      render({ ...this.#story, nowMs: nowMs() }, size, hasColour),
    );
  }

  tell(event: TimedEvent): void {
    this.#story = tell(this.#story, event);
  }

  close(): void {
    this.#screen.close();
    this.#terminal.write(`${closing(this.#story).join("\n")}\n`);
  }
}

/** How it went, where it did not go well: the last events say why. */
function closing(story: Story): readonly string[] {
  const isGood = story.verdict?.exitCode === 0;
  const last = isGood ? [] : story.lines.slice(-10).map(({ text }) => text);
  return story.verdict === null ? last : [...last, ...summarize(story)];
}

class PlainOutput implements DemoOutput {
  readonly #write: (text: string) => unknown;
  #story: Story = EMPTY_STORY;

  constructor(write: (text: string) => unknown) {
    this.#write = write;
  }

  tell(event: TimedEvent): void {
    const text = this.#lineOf(event);
    this.#story = tell(this.#story, event);
    if (text !== null) {
      this.#write(`${(event.atMs / 1000).toFixed(3).padStart(7)}  ${text}\n`);
    }
  }

  /** Every tenth of the way a line of progress; for the rest what the live view would list. */
  #lineOf(event: TimedEvent): string | null {
    if (event.kind !== "training" || event.report.event !== "step") {
      return describeEvent(event, this.#story);
    }
    const { step, loss } = event.report;
    const stride = Math.max(1, Math.round(this.#story.steps / 10));
    return step % stride === 0
      ? `step ${step} of ${this.#story.steps}, loss ${loss.toFixed(4)}`
      : null;
  }

  close(): void {
    if (this.#story.verdict !== null) this.#write(`${summarize(this.#story).join("\n")}\n`);
  }
}

class JsonOutput implements DemoOutput {
  readonly #write: (text: string) => unknown;

  constructor(write: (text: string) => unknown) {
    this.#write = write;
  }

  tell(event: TimedEvent): void {
    this.#write(`${JSON.stringify(event)}\n`);
  }

  close(): void {}
}

export interface OutputPlace {
  readonly terminal: Terminal & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** `nowMs` counts from the start of the demo. */
export function chooseOutput(
  isJson: boolean,
  nowMs: () => number,
  { terminal, env }: OutputPlace = { terminal: process.stdout, env: process.env },
): DemoOutput {
  const write = (text: string): unknown => terminal.write(text);
  if (isJson) return new JsonOutput(write);
  // CI systems offer a terminal now and then, and nobody to look at it.
  if (terminal.isTTY !== true || env["TERM"] === "dumb" || env["CI"]) return new PlainOutput(write);
  return new LiveOutput(terminal, !env["NO_COLOR"], nowMs);
}
