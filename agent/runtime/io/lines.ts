/**
 * Bytes in, lines out: for output of programs, control sockets and streams of JSON.
 *
 * Chunks may break anywhere, also inside a character. A line longer than the bound comes out in pieces, so that memory
 * stays bounded whatever is sent. `end` gives what was left without a line end. Linear in what is pushed.
 */
export const OUTPUT_LINE_CHARACTERS_MAX = 65_536;

export class LineSplitter {
  readonly #decoder = new TextDecoder();
  readonly #onLine: (line: string) => void;
  readonly #charactersMax: number;
  #parts: string[] = [];
  #partCharacters = 0;

  constructor(onLine: (line: string) => void, charactersMax: number = OUTPUT_LINE_CHARACTERS_MAX) {
    this.#onLine = onLine;
    this.#charactersMax = charactersMax;
  }

  push(chunk: Uint8Array): void {
    this.#take(this.#decoder.decode(chunk, { stream: true }));
  }

  end(): void {
    this.#take(this.#decoder.decode());
    if (this.#partCharacters > 0) this.#emit();
  }

  #take(text: string): void {
    let from = 0;
    while (from < text.length) {
      const end = text.indexOf("\n", from);
      const to = end === -1 ? text.length : end;
      const room = this.#charactersMax - this.#partCharacters;
      if (to - from > room) {
        this.#keep(text.slice(from, from + room));
        this.#emit();
        from += room;
        continue;
      }
      this.#keep(text.slice(from, to));
      if (end === -1) return;
      this.#emit();
      from = end + 1;
    }
  }

  #keep(part: string): void {
    if (part === "") return;
    this.#parts.push(part);
    this.#partCharacters += part.length;
  }

  #emit(): void {
    const line = this.#parts.length === 1 ? (this.#parts[0] ?? "") : this.#parts.join("");
    this.#parts = [];
    this.#partCharacters = 0;
    this.#onLine(line);
  }
}
