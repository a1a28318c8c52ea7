/**
 * Bytes in, lines out: for output of programs and for control sockets.
 *
 * Chunks may break anywhere, also inside a character. A line longer than the bound comes out in pieces, so that memory
 * stays bounded whatever a program prints. `end` gives what was left without a line end.
 */
export const LINE_CHARACTERS_MAX = 65_536;

export class LineSplitter {
  readonly #decoder = new TextDecoder();
  readonly #onLine: (line: string) => void;
  #rest = "";

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(chunk: Uint8Array): void {
    this.#take(this.#decoder.decode(chunk, { stream: true }));
  }

  end(): void {
    this.#take(this.#decoder.decode());
    if (this.#rest !== "") this.#onLine(this.#rest);
    this.#rest = "";
  }

  #take(text: string): void {
    const all = this.#rest + text;
    let from = 0;
    for (;;) {
      const end = all.indexOf("\n", from);
      const to = end === -1 ? all.length : end;
      while (to - from > LINE_CHARACTERS_MAX) {
        this.#onLine(all.slice(from, from + LINE_CHARACTERS_MAX));
        from += LINE_CHARACTERS_MAX;
      }
      if (end === -1) break;
      this.#onLine(all.slice(from, end));
      from = end + 1;
    }
    this.#rest = all.slice(from);
  }
}
