/**
 * One holdfast agent a host, default timing and default log level: what it decides is read from what it says.
 */
import { join } from "node:path";
import { type Cluster, indexOf, type Notice, nameOf, Sayings } from "./cluster.ts";
import type { Hosts } from "./hosts.ts";

const PORT = 7400;

/** A sentence of the log: `2026-11-22T10:36:42.001Z event  n1 epoch 3: n1, n2 (n3 joined)`. */
const SENTENCE = /^\S+Z \w+ +n\d+ (.*)$/;
const VIEW = /^epoch (\d+): ([^(]*)\(/;
const STANDING = /^(n\d+) (suspect|unreachable|dead|left): (.*)$/;

export class HoldfastCluster implements Cluster {
  readonly name = "holdfast";
  readonly hasViews = true;
  readonly notices: Notice[] = [];
  readonly #hosts: Hosts;
  readonly #command: readonly string[];
  readonly #agents: Bun.Subprocess[] = [];
  readonly #views: { readonly epoch: number; readonly members: readonly number[] }[] = [];
  readonly #sayings = new Sayings();

  /** `command` is what comes before `agent`: the executable, or Bun and its main file. */
  constructor(hosts: Hosts, command: readonly string[]) {
    this.#hosts = hosts;
    this.#command = command;
  }

  start(): void {
    for (let index = 0; index < this.#hosts.count; index++) {
      const id = nameOf(index);
      const address = this.#hosts.address(index);
      const data = join(this.#hosts.folder, id);
      const shm = join(this.#hosts.sharedMemory, id);
      const seed = index === 0 ? ["--found"] : ["--join", `${this.#hosts.address(0)}:${PORT}`];
      const place = ["--address", address, "--insecure", "--data", data, "--shm", shm];
      const flags = ["--id", id, ...place, ...seed];
      const argv = [...this.#command, "agent", ...flags];
      this.#views.push({ epoch: 0, members: [] });
      this.#agents.push(
        this.#hosts.start(index, argv, (line, atMs) => this.#hear(index, line, atMs)),
      );
    }
  }

  isWhole(): boolean {
    const epochs = new Set(this.#views.map(({ epoch }) => epoch));
    const { count } = this.#hosts;
    return epochs.size === 1 && this.#views.every(({ members }) => members.length === count);
  }

  mend(): void {
    // It finds its way back alone.
  }

  signal(index: number, signal: "SIGSTOP" | "SIGCONT"): void {
    this.#agents[index]?.kill(signal);
  }

  said(): string {
    return this.#sayings.text();
  }

  #hear(observer: number, line: string, atMs: number): void {
    this.#sayings.add(observer, line);
    const sentence = SENTENCE.exec(line)?.[1] ?? "";
    const view = VIEW.exec(sentence);
    if (view !== null) {
      this.#onView(observer, Number(view[1]), view[2] ?? "", atMs);
      return;
    }
    const [, name, standing, reason = ""] = STANDING.exec(sentence) ?? [];
    if (name === undefined) return;
    const subject = indexOf(name);
    if (standing !== "suspect") this.notices.push({ atMs, observer, subject, kind: "out" });
    else if (!reason.startsWith("suspected by")) {
      this.notices.push({ atMs, observer, subject, kind: "suspect" });
    }
  }

  #onView(observer: number, epoch: number, names: string, atMs: number): void {
    const members = names.split(",").map((name) => indexOf(name.trim()));
    const before = this.#views[observer]?.members ?? [];
    this.#views[observer] = { epoch, members };
    for (const subject of before.filter((one) => !members.includes(one))) {
      this.notices.push({ atMs, observer, subject, kind: "agreed-out" });
    }
    for (const subject of members.filter((one) => !before.includes(one))) {
      this.notices.push({ atMs, observer, subject, kind: "agreed-in" });
    }
  }
}
