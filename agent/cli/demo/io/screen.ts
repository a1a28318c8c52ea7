/**
 * The terminal that the live view is drawn on: the alternate screen, cursor hidden, repainted at most 20 times a second,
 * only lines that changed. `close()` gives the terminal back as it was and must run however the demo ends.
 */
import type { Size } from "../view.ts";

const ENTER = "\u001b[?1049h\u001b[?25l\u001b[2J";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const FRAME_MS = 50;

export interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
  on(event: "resize", listener: () => void): unknown;
  off(event: "resize", listener: () => void): unknown;
}

export class Screen {
  readonly #terminal: Terminal;
  readonly #draw: (size: Size) => readonly string[];
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #onResize: () => void;
  readonly #onExit: () => void;
  #shown: readonly string[] = [];
  #isOpen = true;

  constructor(terminal: Terminal, draw: (size: Size) => readonly string[]) {
    this.#terminal = terminal;
    this.#draw = draw;
    this.#onResize = () => {
      this.#shown = [];
      this.#terminal.write("\u001b[2J");
      this.paint();
    };
    // A defect ends the process wherever it happens; the terminal must not stay as it is.
    this.#onExit = () => this.close();
    process.once("exit", this.#onExit);
    terminal.write(ENTER);
    terminal.on("resize", this.#onResize);
    this.#timer = setInterval(() => this.paint(), FRAME_MS);
    this.paint();
  }

  paint(): void {
    if (!this.#isOpen) return;
    const { columns = 80, rows = 24 } = this.#terminal;
    const lines = this.#draw({ width: columns, height: rows });
    let text = "";
    lines.forEach((line, index) => {
      if (line !== this.#shown[index]) text += `\u001b[${index + 1};1H${line}\u001b[0m\u001b[K`;
    });
    this.#shown = lines;
    if (text !== "") this.#terminal.write(text);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearInterval(this.#timer);
    process.off("exit", this.#onExit);
    this.#terminal.off("resize", this.#onResize);
    this.#terminal.write(LEAVE);
  }
}
