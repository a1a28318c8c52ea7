/**
 * Goal: a terminal gets the live view, everything else plain lines, machines JSON; each tells the same story. Method: a few
 * events, told to each output on a double of standard output.
 */
import { describe, expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import type { TimedEvent } from "../events.ts";
import { chooseOutput } from "./outputs.ts";
import type { Terminal } from "./screen.ts";

class Stdout extends EventEmitter implements Terminal {
  readonly isTTY: boolean;
  readonly columns = 80;
  readonly rows = 24;
  text = "";

  constructor(isTTY: boolean) {
    super();
    this.isTTY = isTTY;
  }

  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

const BEGIN = {
  kind: "begin",
  seed: 5,
  nodes: 5,
  ranks: 4,
  steps: 20,
  faults: 1,
  folder: "/tmp/x",
  replay: "--seed 5",
} as const;

const DECISION = { kind: "decision", epoch: 3, phase: "view", text: "epoch 3: n1, n2" } as const;

const EVENTS: readonly TimedEvent[] = [
  { ...BEGIN, atMs: 1 },
  { ...DECISION, node: "n1", atMs: 200 },
  { kind: "run", run: "faulted", job: "j-00000001", atMs: 900 },
  { ...DECISION, epoch: 4, node: "n1", atMs: 950 },
  { ...DECISION, epoch: 4, node: "n2", atMs: 951 },
  ...Array.from(
    { length: 4 },
    (_, i): TimedEvent => ({
      kind: "training",
      run: "faulted",
      report: { event: "step", step: i + 1, loss: 2 - i / 4 },
      atMs: 1_000 + i,
    }),
  ),
];

function tellAll(isJson: boolean, stdout: Stdout, env: Record<string, string> = {}): string {
  const output = chooseOutput(isJson, () => 1_500, { terminal: stdout, env });
  for (const event of EVENTS) output.tell(event);
  output.tell({ kind: "verdict", exitCode: 0, lines: ["n3 died at work"], atMs: 2_000 });
  output.close();
  return stdout.text;
}

describe("outputs", () => {
  test("without a terminal there are plain lines, then the summary", () => {
    const text = tellAll(false, new Stdout(false));
    const [head] = text.split("\n\n");
    expect(head?.split("\n")).toEqual([
      "  0.001  seed 5: 4 working nodes, 1 spare, 20 steps; one node will be killed",
      "  0.900  training with a fault: job j-00000001",
      "  0.950  view: epoch 3: n1, n2",
      "  1.001  step 2 of 20, loss 1.7500",
      "  1.003  step 4 of 20, loss 1.2500",
    ]);
    expect(text).toContain("n3 died at work");
    expect(text).toContain("replay with holdfast demo --seed 5");
    expect(text).not.toContain("\u001b");
  });

  test("a terminal that nobody looks at gets plain lines too", () => {
    const plain = tellAll(false, new Stdout(false));
    expect(tellAll(false, new Stdout(true), { CI: "true" })).toBe(plain);
    expect(tellAll(false, new Stdout(true), { TERM: "dumb" })).toBe(plain);
  });

  test("a terminal gets the view, is given back, and keeps the summary", () => {
    const text = tellAll(false, new Stdout(true));
    expect(text).toStartWith("\u001b[?1049h");
    expect(text).toContain("holdfast demo");
    expect(text.split("\u001b[?1049l").at(-1)).toContain("n3 died at work");
    expect(text).toContain("\u001b[1m");
  });

  test("NO_COLOR leaves the colours out", () => {
    const text = tellAll(false, new Stdout(true), { NO_COLOR: "1" });
    expect(text).toContain("holdfast demo");
    expect(text).not.toContain("\u001b[1m");
  });

  test("machines get every event as it is, a line each", () => {
    const lines = tellAll(true, new Stdout(true)).trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      ...EVENTS,
      { kind: "verdict", exitCode: 0, lines: ["n3 died at work"], atMs: 2_000 },
    ]);
  });

  test("a demo that came to no verdict says how far it came", () => {
    const stdout = new Stdout(true);
    const output = chooseOutput(false, () => 1, { terminal: stdout, env: {} });
    for (const event of EVENTS) output.tell(event);
    output.close();
    expect(stdout.text.split("\u001b[?1049l").at(-1)).toContain("job j-00000001");
  });
});
