/**
 * The peer: one of Debian's `serf` agents a host, default timing (profile `lan`) and default log level.
 *
 * Its event `member-failed` is the verdict. A host that was cut off finds its way back in half a minute or more; `serf join`
 * makes that short between trials, and changes nothing of how fast the next cut is noticed.
 */
import { type Cluster, indexOf, type Notice, type NoticeKind, nameOf, Sayings } from "./cluster.ts";
import type { Hosts } from "./hosts.ts";

const PORT = 7946;

const PATTERNS: readonly (readonly [RegExp, NoticeKind])[] = [
  [/serf: EventMemberJoin: (n\d+) /, "in"],
  [/serf: EventMemberFailed: (n\d+) /, "out"],
  [/memberlist: Suspect (n\d+) has failed, no acks received/, "suspect"],
];

export function hasSerf(): boolean {
  return Bun.which("serf") !== null;
}

export class SerfCluster implements Cluster {
  readonly name = "serf";
  readonly hasViews = false;
  readonly notices: Notice[] = [];
  readonly #hosts: Hosts;
  readonly #agents: Bun.Subprocess[] = [];
  /** By observer: who it counts in. */
  readonly #members: Set<number>[] = [];
  readonly #sayings = new Sayings();

  constructor(hosts: Hosts) {
    this.#hosts = hosts;
  }

  start(): void {
    for (let index = 0; index < this.#hosts.count; index++) {
      const bind = `-bind=${this.#hosts.address(index)}:${PORT}`;
      const seed =
        index === 0 ? [] : [`-retry-join=${this.#hosts.address(0)}`, "-retry-interval=1s"];
      const argv = ["serf", "agent", `-node=${nameOf(index)}`, bind, ...seed];
      this.#members.push(new Set());
      this.#agents.push(
        this.#hosts.start(index, argv, (line, atMs) => this.#hear(index, line, atMs)),
      );
    }
  }

  isWhole(): boolean {
    return this.#members.every((members) => members.size === this.#hosts.count);
  }

  mend(index: number): void {
    const other = (index + 1) % this.#hosts.count;
    this.#hosts.run(index, ["serf", "join", this.#hosts.address(other)]);
  }

  signal(index: number, signal: "SIGSTOP" | "SIGCONT"): void {
    this.#agents[index]?.kill(signal);
  }

  said(): string {
    return this.#sayings.text();
  }

  #hear(observer: number, line: string, atMs: number): void {
    this.#sayings.add(observer, line);
    for (const [pattern, kind] of PATTERNS) {
      const name = pattern.exec(line)?.[1];
      if (name === undefined) continue;
      const subject = indexOf(name);
      if (kind === "in") this.#members[observer]?.add(subject);
      if (kind === "out") this.#members[observer]?.delete(subject);
      this.notices.push({ atMs, observer, subject, kind });
    }
  }
}
