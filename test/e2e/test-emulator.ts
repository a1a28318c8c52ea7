/**
 * An emulated BMC as a process of the executable, driven by lines on its standard input, and the commands that are run on it.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LineSplitter } from "../../agent/runtime/io/lines.ts";
import { type Finished, until } from "./test-cluster.ts";

export const BINARY: string = join(import.meta.dir, "../../dist/holdfast");
export const PASSWORD = "emulated";

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly withinMs?: number;
  /** Put before the executable, such as `unshare -n`. */
  readonly through?: readonly string[];
}

function environment(more: RunOptions["env"] = {}): Record<string, string | undefined> {
  return { ...process.env, HOLDFAST_BMC: undefined, HOLDFAST_BMC_PASSWORD: PASSWORD, ...more };
}

/** Runs the executable to its end, at most `withinMs`; `code` null: it did not end. */
export async function binary(
  args: readonly string[],
  { env, withinMs = 30_000, through = [] }: RunOptions = {},
): Promise<Finished> {
  const child = Bun.spawn({
    cmd: [...through, BINARY, ...args],
    env: environment(env),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), withinMs);
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  clearTimeout(timer);
  return { code: child.exitCode, stdout, stderr };
}

/** A command that goes on until it is stopped; its lines as they come. */
export class Running {
  readonly child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly lines: string[] = [];
  readonly said: string[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(args: readonly string[], env?: RunOptions["env"]) {
    this.child = Bun.spawn({
      cmd: [BINARY, ...args],
      env: environment(env),
      stdio: ["pipe", "pipe", "pipe"],
    });
    void this.#read(this.child.stdout, this.lines);
    void this.#read(this.child.stderr, this.said);
  }

  async #read(stream: ReadableStream<Uint8Array>, into: string[]): Promise<void> {
    const splitter = new LineSplitter((line) => {
      into.push(line);
      for (const wake of this.#waiting) wake();
    });
    for await (const chunk of stream) splitter.push(chunk);
    splitter.end();
  }

  /** The first line from the `from`-th on that fits. */
  async line(
    fits: (line: string) => boolean,
    {
      from = 0,
      withinMs = 10_000,
      said = false,
    }: { readonly from?: number; readonly withinMs?: number; readonly said?: boolean } = {},
  ): Promise<string> {
    const lines = said ? this.said : this.lines;
    const found = Promise.withResolvers<string>();
    const look = (): void => {
      const line = lines.slice(from).find(fits);
      if (line !== undefined) found.resolve(line);
    };
    const timer = setTimeout(
      () => found.reject(new Error(`no such line in ${withinMs} ms: ${lines.join(" | ")}`)),
      withinMs,
    );
    this.#waiting.add(look);
    look();
    try {
      return await found.promise;
    } finally {
      this.#waiting.delete(look);
      clearTimeout(timer);
    }
  }

  /** A signal that comes while the program is still being loaded ends it by itself. */
  async handlesSignals(): Promise<void> {
    const sigint = 1n << 1n;
    await until("signals are handled", 10_000, () => {
      const status = readFileSync(`/proc/${this.child.pid}/status`, "utf8");
      const caught = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
      return (caught & sigint) === 0n ? null : true;
    });
  }

  async stop(signal: NodeJS.Signals = "SIGINT"): Promise<number | null> {
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
    await this.child.exited;
    clearTimeout(timer);
    return this.child.exitCode;
  }
}

export class TestEmulator {
  readonly folder: string;
  readonly running: Running;
  readonly lan: string;
  readonly basic: string;
  readonly terminal: string;
  /** Empty where it was not asked for. */
  readonly redfish: string;

  private constructor(folder: string, running: Running, urls: readonly string[]) {
    this.folder = folder;
    this.running = running;
    this.lan = urls.find((url) => url.startsWith("lan:")) ?? "";
    this.basic = urls.find((url) => url.startsWith("serial:")) ?? "";
    this.redfish = urls.find((url) => url.startsWith("redfish")) ?? "";
    this.terminal = this.basic.replace("mode=basic", "mode=terminal");
  }

  static async start(flags: readonly string[] = []): Promise<TestEmulator> {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-emulator-"));
    const where = ["--lan", "127.0.0.1:0", "--pty", join(folder, "tty")];
    const running = new Running(["bmc", "emulate", ...where, "--json", ...flags]);
    const { urls } = JSON.parse(await running.line((line) => line.startsWith("{"))) as {
      readonly urls: readonly string[];
    };
    return new TestEmulator(folder, running, urls);
  }

  /** One line of the control protocol; its answer. */
  async control(line: string): Promise<string> {
    const from = this.running.lines.length;
    void this.running.child.stdin.write(`${line}\n`);
    void this.running.child.stdin.flush();
    return this.running.line(() => true, { from });
  }

  async stop(): Promise<number | null> {
    const code = await this.running.stop("SIGTERM");
    rmSync(this.folder, { recursive: true, force: true });
    return code;
  }
}
