/**
 * Child processes, each the leader of a process group of its own.
 *
 * Killing means the whole group: a program that was started through a shell does not outlive its shell. What a child prints
 * is read line by line; a child that prints faster than `READ_BYTES_AT_ONCE` every `READ_PAUSE_MS` (16 MB/s) is slowed down
 * by its full pipe, since the agent that reads must keep answering probes.
 *
 * A child that could not be started ends with code 127 and a line that names what is missing.
 */
import { statSync } from "node:fs";
import type { Child, ChildHandler, Command, Processes } from "../processes.ts";
import { LineSplitter } from "./lines.ts";

export interface OutputHandler extends ChildHandler {
  onLine?(stream: "stdout" | "stderr", line: string): void;
}

/** After a child ended by itself, what it printed is still read for this long (a grandchild may hold the pipe). */
const OUTPUT_LINGER_MS = 250;

const READ_BYTES_AT_ONCE = 64 * 1024;
const READ_PAUSE_MS = 4;

const CODE_NOT_STARTED = 127;

/** Signals a process group; false when nobody is there. */
export function killGroup(pid: number): boolean {
  try {
    process.kill(-pid, "SIGKILL");
    return true;
  } catch {
    return false;
  }
}

function whyNotStarted(command: Command, cause: unknown): string {
  const program = command.argv[0] ?? "";
  if (!statSync(command.cwd, { throwIfNoEntry: false })?.isDirectory()) {
    return `cannot start ${program}: the working directory ${command.cwd} does not exist on this node`;
  }
  const code = (cause as { code?: string } | null)?.code ?? "";
  if (code === "ENOENT") return `cannot start ${program}: no such program on this node`;
  if (code === "EACCES") return `cannot start ${program}: it is not an executable file`;
  return `cannot start ${program}: ${cause instanceof Error ? cause.message : String(cause)}`;
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const splitter = new LineSplitter(onLine);
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      splitter.push(chunk);
      bytes += chunk.byteLength;
      if (bytes < READ_BYTES_AT_ONCE) continue;
      bytes = 0;
      await Bun.sleep(READ_PAUSE_MS);
    }
  } catch {
    // A pipe that breaks ends the output as closing it does.
  }
  splitter.end();
}

function start(command: Command, handler: OutputHandler): Child {
  let isOver = false;
  const over = (code: number | null, detail: string): void => {
    if (isOver) return;
    isOver = true;
    handler.onExit(code, detail);
  };
  let output: Promise<unknown> = Promise.resolve();
  let child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  try {
    child = Bun.spawn({
      cmd: [...command.argv],
      cwd: command.cwd,
      env: { ...command.env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
      onExit: (ended, code, signal) => {
        killGroup(ended.pid);
        if (code === null) return over(null, `ended by signal ${signal ?? "unknown"}`);
        void Promise.race([output, Bun.sleep(OUTPUT_LINGER_MS)]).then(() =>
          over(code, `ended with code ${code}`),
        );
      },
    });
  } catch (cause) {
    const detail = whyNotStarted(command, cause);
    queueMicrotask(() => over(CODE_NOT_STARTED, detail));
    return { pid: 0, kill: () => undefined };
  }
  const onLine = handler.onLine?.bind(handler) ?? (() => undefined);
  output = Promise.all([
    readLines(child.stdout, (line) => onLine("stdout", line)),
    readLines(child.stderr, (line) => onLine("stderr", line)),
  ]);
  queueMicrotask(() => handler.onStart(child.pid));
  return {
    pid: child.pid,
    kill: () => {
      if (child.exitCode === null && child.signalCode === null) killGroup(child.pid);
    },
  };
}

export interface RealProcesses extends Processes {
  start(command: Command, handler: OutputHandler): Child;
}

export function realProcesses(): RealProcesses {
  return { start };
}
