/**
 * A cluster of fake agents on this machine: assigns real proxies, starts real programs, copies regions at `capture`, restores them at
 * a rollback. What is left out is all that agents decide; what is tested is all that proxies, SDK and protocol do.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Holding, Rollback, Selection, Version } from "../../checkpoint/checkpoint.ts";
import type { Epoch, NodeId } from "../../membership/membership.ts";
import { installSdk } from "../io/sdk-install.ts";
import { removeSegment } from "../io/segment-file.ts";
import { programCommand, programEnvironment } from "../program.ts";
import type { JobSecret, ProxyToAgent } from "../proxy.ts";
import { FakeAgent, type FakeProxy, waitFor } from "./fake-agent.ts";

const JOB = "j-00000001";

export interface FakeClusterOptions {
  /** Ranks on each node, in order: [1, 1, 2] is 3 nodes and 4 ranks. */
  readonly ranksOfNodes: readonly number[];
  readonly checkpointEveryMs?: number | null;
  readonly idleWithinMs?: number;
  readonly secret?: JobSecret | null;
  /** Of the last node, where it is to differ. */
  readonly secretOfLast?: JobSecret;
  /** Put before the command lines of proxies and programs: a `taskset`. */
  readonly proxyPrefix?: readonly string[];
  readonly programPrefix?: readonly string[];
  /** Every call of checkpoint() fails with this. */
  readonly captureFailure?: string;
}

interface Program {
  readonly process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly lines: string[];
  errors: string;
}

interface Saved {
  readonly rank: number;
  readonly version: Version;
  readonly epoch: Epoch;
  readonly folder: string;
  readonly mailbox: string | null;
}

/** Short, and in memory: paths of Unix sockets are at most 107 bytes. */
function makeFolder(): string {
  return mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "hf-"));
}

export class FakeCluster {
  readonly folder: string = makeFolder();
  readonly size: number;
  readonly nodes: readonly NodeId[];
  readonly placement: readonly NodeId[];
  readonly programs: Map<number, Program> = new Map();
  readonly saved: Saved[] = [];
  readonly lineage: Rollback[] = [];
  readonly selections: Selection[] = [];
  readonly captures: Extract<ProxyToAgent, { kind: "capture" }>[] = [];
  proxies: FakeProxy[] = [];
  epoch = 0;
  version: Version = 0 as Version;
  readonly #agents: readonly FakeAgent[];
  readonly #options: FakeClusterOptions;
  readonly #modules: string;
  readonly #everyProxy: FakeProxy[] = [];

  constructor(options: FakeClusterOptions) {
    this.#options = options;
    this.nodes = options.ranksOfNodes.map((_, i) => `n${i + 1}` as NodeId);
    this.placement = options.ranksOfNodes.flatMap((count, i) =>
      new Array<NodeId>(count).fill(this.nodes[i] as NodeId),
    );
    this.size = this.placement.length;
    this.#modules = installSdk(this.folder);
    this.#agents = this.nodes.map(
      (node) => new FakeAgent(node, this.folder, (_, proxy, said) => this.#onMessage(proxy, said)),
    );
  }

  segmentOf(rank: number): string {
    return join(this.folder, `r${rank}`);
  }

  regionsOf(rank: number): string {
    return join(this.folder, `regions-${rank}`);
  }

  /** First start: proxies, then programs. */
  async start(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<void> {
    const ranks = Array.from({ length: this.size }, (_, rank) => rank);
    await this.relaunch(ranks);
    for (const rank of ranks) this.startProgram(rank, argv, env);
  }

  /** One recovery: fresh proxies under a new epoch, regions restored, programs let go. */
  async relaunch(fresh: readonly number[]): Promise<void> {
    await this.assign(fresh);
    await this.resume();
  }

  /** Up to `selected`. */
  async assign(fresh: readonly number[]): Promise<void> {
    const old = this.proxies;
    const started = await Promise.all(
      this.#agents.map((agent) => agent.startProxy(this.#options.proxyPrefix ?? [])),
    );
    this.#everyProxy.push(...started);
    await Promise.all(old.map((proxy) => proxy.kill()));
    this.epoch++;
    this.proxies = started;
    const endpoints = started.map(({ port }, i) => ({
      node: this.nodes[i] as NodeId,
      host: "127.0.0.1",
      port,
    }));
    const newest = Math.max(0, ...this.saved.map(({ version }) => version));
    for (const [i, proxy] of started.entries()) {
      const node = this.nodes[i] as NodeId;
      proxy.tell({
        kind: "assign",
        job: JOB,
        epoch: this.epoch as Epoch,
        node,
        size: this.size,
        placement: this.placement,
        proxies: endpoints,
        local: this.#ranksOf(node).map((rank) => ({
          rank,
          segment: this.segmentOf(rank),
          regionsFolder: this.regionsOf(rank),
          fresh: fresh.includes(rank),
        })),
        checkpointEveryMs: this.#options.checkpointEveryMs ?? null,
        holdings: this.nodes.map((of) => ({ node: of, holdings: this.#holdingsOf(of) })),
        lineage: this.lineage,
        poisoned: [],
        everSealed: this.saved.some(({ version }) => this.#isSealed(version)),
        nextVersion: (newest + 1) as Version,
        idleWithinMs: this.#options.idleWithinMs ?? 5000,
        secret: this.#secretOf(i),
      });
    }
  }

  #secretOf(index: number): JobSecret | null {
    const { secret = null, secretOfLast = secret } = this.#options;
    return index === this.nodes.length - 1 ? secretOfLast : secret;
  }

  async resume(): Promise<void> {
    await waitFor("every proxy to select", () =>
      this.proxies.every((proxy) => proxy.messages.some(({ kind }) => kind === "selected")),
    );
    const selections = this.proxies.flatMap((proxy) =>
      proxy.messages.flatMap((said) => (said.kind === "selected" ? [said.selection] : [])),
    );
    const [selection] = selections;
    if (selection === undefined || selection.version === null) throw new Error("nothing selected");
    this.selections.push(selection);
    this.version = selection.version;
    this.lineage.push({ epoch: this.epoch as Epoch, base: selection.version });
    const mailboxes: { readonly rank: number; readonly path: string }[] = [];
    for (let rank = 0; rank < this.size; rank++) {
      const path = this.#restore(rank, selection.version);
      if (path !== null) mailboxes.push({ rank, path });
    }
    const { version } = selection;
    const epoch = this.epoch as Epoch;
    for (const proxy of this.proxies) proxy.tell({ kind: "resume", epoch, version, mailboxes });
  }

  startProgram(
    rank: number,
    argv: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): void {
    const place = {
      job: JOB,
      rank,
      size: this.size,
      segment: this.segmentOf(rank),
      regionsFolder: this.regionsOf(rank),
      modulesFolder: this.#modules,
    };
    const prefix = this.#options.programPrefix ?? [];
    const child = Bun.spawn([...prefix, ...programCommand(argv, process.execPath)], {
      cwd: this.folder,
      env: { ...process.env, ...env, ...programEnvironment(place, process.env) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const program: Program = { process: child, lines: [], errors: "" };
    this.programs.set(rank, program);
    void this.#readLines(child.stdout, (line) => program.lines.push(line));
    void this.#readLines(child.stderr, (line) => {
      program.errors += `${line}\n`;
    });
  }

  /** Exit codes of all programs, in rank order. */
  async exits(limitMs = 20_000): Promise<readonly number[]> {
    const programs = [...this.programs.entries()].sort(([a], [b]) => a - b);
    await waitFor(
      "every program to end",
      () => programs.every(([, { process }]) => process.exitCode !== null || process.killed),
      limitMs,
    ).catch((error: unknown) => {
      const said = programs.map(([rank, p]) => `${rank}: ${p.lines.join(" | ")} ${p.errors}`);
      throw new Error(`${String(error)}\n${said.join("\n")}`);
    });
    return Promise.all(programs.map(([, { process }]) => process.exited));
  }

  /** The last JSON line of each rank. */
  results<T>(): readonly T[] {
    const programs = [...this.programs.entries()].sort(([a], [b]) => a - b);
    return programs.map(([rank, { lines, errors }]) => {
      const last = lines.at(-1);
      if (last === undefined) throw new Error(`rank ${rank} said nothing; ${errors}`);
      return JSON.parse(last) as T;
    });
  }

  async stop(): Promise<void> {
    for (const { process } of this.programs.values()) process.kill("SIGKILL");
    await Promise.all(this.#everyProxy.map((proxy) => proxy.kill()));
    await Promise.all([...this.programs.values()].map(({ process }) => process.exited));
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Takes away what a dead program leaves, so that a fresh one can start. */
  forget(rank: number): void {
    this.programs.delete(rank);
    removeSegment(this.segmentOf(rank));
  }

  #ranksOf(node: NodeId): readonly number[] {
    return this.placement.flatMap((of, rank) => (of === node ? [rank] : []));
  }

  /** Every rank's copy is there. */
  #isSealed(version: Version): boolean {
    return this.saved.filter((saved) => saved.version === version).length === this.size;
  }

  #holdingsOf(node: NodeId): readonly Holding[] {
    return this.saved
      .filter(({ rank }) => this.placement[rank] === node)
      .map(({ rank, version, epoch }) => ({
        job: JOB,
        rank,
        version,
        epoch,
        parent: null,
        sealed: this.#isSealed(version),
        bytes: 0,
      }));
  }

  #onMessage(proxy: FakeProxy, message: ProxyToAgent): void {
    if (message.kind !== "capture") return;
    this.captures.push(message);
    const { rank, version, epoch } = message;
    const failure = this.#options.captureFailure ?? null;
    if (failure === null) {
      const folder = join(this.folder, `saved-${rank}-${version}`);
      mkdirSync(folder, { recursive: true });
      for (const { name, path } of message.regions) {
        copyFileSync(path, join(folder, encodeURIComponent(name)));
      }
      const mailbox = message.mailbox === null ? null : `${folder}.mailbox`;
      if (message.mailbox !== null) copyFileSync(message.mailbox, `${folder}.mailbox`);
      this.saved.push({ rank, version, epoch, folder, mailbox });
    }
    proxy.tell({ kind: "captured", epoch, rank, version, failure });
  }

  /** In place, as the agent does it; the path of the rank's mailbox, if it has one. */
  #restore(rank: number, version: Version): string | null {
    const regions = this.regionsOf(rank);
    mkdirSync(regions, { recursive: true });
    for (const name of readdirSync(regions)) {
      const path = join(regions, name);
      const { size } = Bun.file(path);
      writeFileSync(path, new Uint8Array(size), { flag: "r+" });
    }
    const saved = this.saved.find((s) => s.rank === rank && s.version === version);
    if (saved === undefined) return null;
    for (const name of readdirSync(saved.folder)) {
      const bytes = readFileSync(join(saved.folder, name));
      const path = join(regions, name);
      if (!existsSync(path)) writeFileSync(path, "");
      writeFileSync(path, bytes, { flag: "r+" });
      truncateSync(path, bytes.byteLength);
    }
    return saved.mailbox;
  }

  async #readLines(
    stream: ReadableStream<Uint8Array>,
    take: (line: string) => void,
  ): Promise<void> {
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      text += decoder.decode(chunk, { stream: true });
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) take(line);
    }
    if (text !== "") take(text);
  }
}
