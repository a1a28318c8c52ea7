/**
 * One run of `bun test` and what came of each test.
 *
 * Whatever is not a proven pass is a failure. The report alone does not do: Bun leaves out a file that does not load, and a
 * file that ends the process takes the report and even the exit code with it. So each file that was asked for must report a
 * test, or it counts as one that failed.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JunitCase, parseJunit } from "./junit.ts";

/** Enough for a test that waits for real processes; a test that needs more says so itself. */
const TEST_LIMIT_MS = 30_000;

export interface BunTestOptions {
  readonly cwd: string;
  /** Relative to `cwd`. */
  readonly files: readonly string[];
  readonly flags: readonly string[];
  readonly limitMs: number;
  /** `ignore` where nobody reads what the tests write. */
  readonly output?: "inherit" | "ignore";
}

export async function bunTest(options: BunTestOptions): Promise<readonly JunitCase[]> {
  const { cwd, files, flags, limitMs, output = "inherit" } = options;
  const folder = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  const report = join(folder, "junit.xml");
  const child = Bun.spawn(
    [
      process.execPath,
      "test",
      ...flags,
      `--timeout=${TEST_LIMIT_MS}`,
      "--reporter=junit",
      `--reporter-outfile=${report}`,
      ...files.map((path) => `./${path}`),
    ],
    {
      cwd,
      stdin: "ignore",
      stdout: output,
      stderr: output,
      timeout: limitMs,
      killSignal: "SIGKILL",
    },
  );
  const code = await child.exited;
  let cases: readonly JunitCase[] = [];
  try {
    cases = parseJunit(readFileSync(report, "utf8"));
  } catch {}
  rmSync(folder, { recursive: true, force: true });
  const silent = files
    .filter((file) => !cases.some((one) => one.file === file))
    .map(
      (file): JunitCase => ({
        file,
        name: child.signalCode === null ? "(reported no test)" : `(not done in ${limitMs} ms)`,
        outcome: "failed",
      }),
    );
  const all = [...cases, ...silent];
  if (code !== 0 && !all.some((one) => one.outcome === "failed")) {
    return [...all, { file: files.join(" "), name: `(exit code ${code})`, outcome: "failed" }];
  }
  return all;
}
