/**
 * Goal: a child's end is told once and truly, its group dies with it, and only what is really ours is ended later.
 * Method: real shells and sleeps; waits are for events or for /proc to change, with a limit.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProcessNotes, startTicksOf } from "./leftovers.ts";
import { LineSplitter, OUTPUT_LINE_CHARACTERS_MAX } from "./lines.ts";
import { realProcesses } from "./processes.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-processes-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const env = { PATH: process.env["PATH"] ?? "" };

interface Ended {
  readonly code: number | null;
  readonly detail: string;
  readonly lines: readonly string[];
}

function run(
  argv: readonly string[],
  onStart?: (pid: number, kill: () => void) => void,
  cwd = "/",
) {
  return new Promise<Ended>((resolve) => {
    const lines: string[] = [];
    const child = realProcesses().start(
      { argv, cwd, env },
      {
        onStart: (pid) => onStart?.(pid, () => child.kill()),
        onLine: (stream, line) => lines.push(`${stream} ${line}`),
        onExit: (code, detail) => resolve({ code, detail, lines }),
      },
    );
  });
}

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + 5_000;
  while (!isTrue()) {
    if (performance.now() > giveUpMs) throw new Error(`not within 5 s: ${what}`);
    await Bun.sleep(5);
  }
}

describe("a child", () => {
  test("gives all it printed, then its code", async () => {
    const ended = await run(["sh", "-c", "echo one; echo two >&2; printf three; exit 3"]);
    expect(ended.code).toBe(3);
    expect([...ended.lines].sort()).toEqual(["stderr two", "stdout one", "stdout three"]);
  });

  test("that is killed takes its children along and names the signal", async () => {
    let grandchild = 0;
    const ended = await new Promise<Ended>((resolve) => {
      const child = realProcesses().start(
        { argv: ["sh", "-c", "sleep 60 & echo $!; wait"], cwd: "/", env },
        {
          onStart: () => undefined,
          onLine: (_stream, line) => {
            grandchild = Number(line);
            child.kill();
          },
          onExit: (code, detail) => resolve({ code, detail, lines: [] }),
        },
      );
    });
    expect(ended).toMatchObject({ code: null, detail: "ended by signal SIGKILL" });
    await until("the grandchild is gone", () => startTicksOf(grandchild) === null);
  });

  test("that cannot be started ends with 127 and a line that names what is missing", async () => {
    const missing = await run(["no-such-program"]);
    expect(missing).toMatchObject({ code: 127 });
    expect(missing.detail).toBe("cannot start no-such-program: no such program on this node");
    const plain = await run(["/etc/passwd"]);
    expect(plain.detail).toBe("cannot start /etc/passwd: it is not an executable file");
    const cwd = await run(["true"], undefined, "/no/such/folder");
    expect(cwd.detail).toContain("the working directory /no/such/folder does not exist");
  });
});

describe("notes of processes", () => {
  test("end what lives and spare a pid that was given to somebody else", async () => {
    const notes = new ProcessNotes(folder, "me");
    const ours = Bun.spawn({ cmd: ["sleep", "60"], detached: true });
    const stranger = Bun.spawn({ cmd: ["sleep", "60"], detached: true });
    notes.add(ours.pid, "proxy");
    const startTicks = (startTicksOf(stranger.pid) ?? 0) - 1;
    const note = { pid: stranger.pid, startTicks, owner: "me" };
    writeFileSync(join(folder, String(stranger.pid)), JSON.stringify(note));
    writeFileSync(join(folder, "garbage"), "{");
    const said = await new ProcessNotes(folder, "me").endAll();
    expect(said).toEqual([`ended proxy (pid ${ours.pid}), left by an earlier agent`]);
    expect(startTicksOf(ours.pid)).toBeNull();
    expect(startTicksOf(stranger.pid)).not.toBeNull();
    stranger.kill("SIGKILL");
    await stranger.exited;
    expect(await new ProcessNotes(folder, "me").endAll()).toEqual([]);
  });
});

describe("a guard whose agent died", () => {
  test("ends what that agent had started, and nothing of the agent after it", async () => {
    const spawn = () => Bun.spawn({ cmd: ["sleep", "60"], detached: true });
    const [old, young] = [spawn(), spawn()];
    new ProcessNotes(folder, "old agent").add(old.pid, "rank 0");
    new ProcessNotes(folder, "young agent").add(young.pid, "rank 0");
    new ProcessNotes(folder, "old agent").endOwn();
    await old.exited;
    expect(old.signalCode).toBe("SIGKILL");
    expect(startTicksOf(young.pid)).not.toBeNull();
    young.kill("SIGKILL");
    await young.exited;
  });
});

describe("lines", () => {
  test("are the same for every split of the chunks", () => {
    const bytes = new TextEncoder().encode("grün\n\nzwei\nrest");
    for (let cut = 0; cut <= bytes.length; cut++) {
      const lines: string[] = [];
      const splitter = new LineSplitter((line) => lines.push(line));
      splitter.push(bytes.subarray(0, cut));
      splitter.push(bytes.subarray(cut));
      splitter.end();
      expect(lines).toEqual(["grün", "", "zwei", "rest"]);
    }
  });

  test("longer than the bound come in pieces", () => {
    const lines: string[] = [];
    const splitter = new LineSplitter((line) => lines.push(line));
    splitter.push(new TextEncoder().encode("x".repeat(OUTPUT_LINE_CHARACTERS_MAX * 2 + 5)));
    splitter.end();
    expect(lines.map((line) => line.length)).toEqual([
      OUTPUT_LINE_CHARACTERS_MAX,
      OUTPUT_LINE_CHARACTERS_MAX,
      5,
    ]);
  });
});
