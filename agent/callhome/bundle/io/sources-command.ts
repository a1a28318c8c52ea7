/**
 * What a program prints, as a source: started without a shell, ended with its time or once enough has come.
 */
import { absent, failed, type Sink, type Source, type SourceContext } from "./source.ts";

const OUTPUT_BYTES_MAX = 32 * 1024 * 1024;

export interface CommandOptions {
  /** `end`: of too much output the last part is kept. */
  readonly keeps: "start" | "end";
  /** What one line becomes; null: it is left out. */
  readonly line?: (line: string) => string | null;
}

/** What a program prints. That there is no such program is no fault. */
export function commandOutput(argv: readonly string[], options: CommandOptions): Source {
  const [name = ""] = argv;
  return async (context) => {
    const path = Bun.which(name, { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` });
    if (path === null) return absent(`there is no program ${name}`);
    const child = Bun.spawn([path, ...argv.slice(1)], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, LC_ALL: "C", TZ: "UTC", SYSTEMD_COLORS: "0" },
    });
    const end = (): void => child.kill("SIGKILL");
    context.signal.addEventListener("abort", end, { once: true });
    try {
      const said = new Response(child.stderr).text();
      const isCut = await pass(child.stdout, options, context);
      if (isCut) end();
      const exitCode = await child.exited;
      if (exitCode === 0 || isCut || context.signal.aborted) return null;
      const why = (await said).trim().split("\n")[0] ?? "";
      return failed(`${name} ends with ${exitCode}${why === "" ? "" : `: ${why.slice(0, 200)}`}`);
    } finally {
      context.signal.removeEventListener("abort", end);
      end();
    }
  };
}

/** True: it was ended early, as no more was wanted. */
async function pass(
  stream: ReadableStream<Uint8Array>,
  { keeps, line }: CommandOptions,
  context: SourceContext,
): Promise<boolean> {
  const tail = keeps === "end" ? new Tail(context.bytesMax) : null;
  const put: Sink = tail === null ? context.sink : async (chunk) => tail.push(chunk);
  const lines = line === undefined ? null : new MappedLines(line);
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    const wanted = await put(lines === null ? chunk : Buffer.from(lines.push(chunk)));
    if (!wanted || bytes > OUTPUT_BYTES_MAX) return true;
  }
  if (lines !== null) await put(Buffer.from(lines.rest()));
  if (tail !== null) await tail.give(context);
  return false;
}

/** The last so many bytes, from the beginning of a line. */
class Tail {
  readonly #bytesMax: number;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #cutBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  push(chunk: Uint8Array): boolean {
    this.#chunks.push(chunk.slice());
    this.#bytes += chunk.length;
    while (this.#bytes - (this.#chunks[0]?.length ?? 0) >= this.#bytesMax) {
      const first = this.#chunks.shift();
      this.#bytes -= first?.length ?? 0;
      this.#cutBytes += first?.length ?? 0;
    }
    return true;
  }

  async give({ sink, cut }: SourceContext): Promise<void> {
    const all = Buffer.concat(this.#chunks);
    const isWhole = this.#cutBytes === 0 && all.length <= this.#bytesMax;
    const start = isWhole ? 0 : all.indexOf(10, Math.max(0, all.length - this.#bytesMax)) + 1;
    cut(this.#cutBytes + start);
    await sink(all.subarray(start));
  }
}

/** Whole lines of UTF-8, each replaced. */
class MappedLines {
  readonly #map: (line: string) => string | null;
  readonly #decoder = new TextDecoder();
  #pending = "";

  constructor(map: (line: string) => string | null) {
    this.#map = map;
  }

  push(chunk: Uint8Array): string {
    this.#pending += this.#decoder.decode(chunk, { stream: true });
    const end = this.#pending.lastIndexOf("\n") + 1;
    const lines = this.#pending.slice(0, end).split("\n");
    this.#pending = this.#pending.slice(end);
    lines.pop();
    return lines.map((line) => this.#mapped(line)).join("");
  }

  rest(): string {
    return this.#pending === "" ? "" : this.#mapped(this.#pending);
  }

  #mapped(line: string): string {
    const mapped = this.#map(line);
    return mapped === null ? "" : `${mapped}\n`;
  }
}
