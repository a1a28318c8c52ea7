/**
 * Does what the decision code asks for: one method an effect, each handed to whoever owns that part of the world.
 *
 * Nothing here decides, and nothing blocks: an agent that is silent for some hundred milliseconds is suspected by the others.
 * So disk writes are asynchronous, and memory that a job leaves behind is freed in the background.
 */
import { existsSync, mkdirSync, renameSync, rmdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { unreachable } from "../../../core/assert.ts";
import type { StoreClient } from "../../checkpoint/io/store-client.ts";
import type { Identity } from "../../identity/identity.ts";
import {
  compareNodeIds,
  type Member,
  type NodeId,
  type View,
} from "../../membership/membership.ts";
import type { MembershipEffect } from "../../membership/membership-events.ts";
import type { Packet } from "../../membership/packet.ts";
import { LINK_PROTOCOL, linkCodec } from "../../net/frames.ts";
import { PeerLinks } from "../../net/io/peer-links.ts";
import { checkTcp } from "../../net/io/tcp-check.ts";
import type { AgentToProxy } from "../../proxy/proxy.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Datagrams, Endpoint } from "../../runtime/datagrams.ts";
import type { Disk } from "../../runtime/disk.ts";
import type { ProcessNotes } from "../../runtime/io/leftovers.ts";
import { LineFile } from "../../runtime/io/log.ts";
import { realProcesses } from "../../runtime/io/processes.ts";
import type { Log } from "../../runtime/log.ts";
import type { JobRecord } from "../job.ts";
import type { NodeEffect, NodeEvent } from "../node-events.ts";
import type { Decision } from "./api.ts";
import type { ClusterChange } from "./cluster-watch.ts";
import type { DataFolder } from "./data-folder.ts";
import { type Guard, startGuard } from "./guard.ts";
import { OutputLog } from "./output-log.ts";
import { ProgramHost } from "./program-host.ts";
import { ProxyHost } from "./proxy-host.ts";
import { Ring } from "./ring.ts";
import { type LinkMessage, readLinkMessage } from "./wire.ts";

const DECISIONS_BYTES = 1024 * 1024;
const DECISION_FILE_BYTES = 16 * 1024 * 1024;
const CHANGES_BYTES = 64 * 1024;
const PERSIST_RETRY_MS = 500;

export const MEMBERSHIP_DOCUMENT = "membership";
export const RECORD_PREFIX = "job-";

export interface WorldParts {
  readonly own: NodeId;
  readonly clock: Clock;
  readonly log: Log;
  readonly disk: Disk;
  readonly folder: DataFolder;
  readonly notes: ProcessNotes;
  readonly store: StoreClient;
  /** null, or one without certificates: in the clear. */
  readonly identity: Identity | null;
  readonly address: string;
  readonly sharedMemoryFolder: string;
  readonly modulesFolder: string;
  /** This run of the agent, as its process notes name it. */
  readonly owner: string;
  readonly incarnation: number;
}

export interface WorldHandler {
  readonly tell: (event: NodeEvent) => void;
  /** This node as membership knows it. */
  readonly self: () => Member;
  readonly onReply: (reply: Extract<NodeEffect, { kind: "reply" }>) => void;
  readonly onLeft: () => void;
  readonly onChange: (change: ClusterChange) => void;
}

export class World {
  readonly output: OutputLog;
  readonly decisions: Ring<Decision>;
  /** Says that a record or the view has changed. */
  readonly changes: Ring<string>;
  readonly links: PeerLinks<LinkMessage>;
  datagrams: Datagrams<Packet> | null = null;
  readonly #parts: WorldParts;
  readonly #handler: WorldHandler;
  readonly #proxies: ProxyHost;
  readonly #programs: ProgramHost;
  readonly #decisionFile: LineFile;
  readonly #guard: Guard;
  #removedCount = 0;
  #isClosed = false;

  constructor(parts: WorldParts, handler: WorldHandler) {
    const { folder, incarnation, notes, log, sharedMemoryFolder, address } = parts;
    const { tell } = handler;
    this.#parts = parts;
    this.#handler = handler;
    this.output = new OutputLog(folder.jobs, incarnation);
    this.decisions = new Ring(DECISIONS_BYTES, incarnation);
    this.changes = new Ring(CHANGES_BYTES, incarnation);
    this.#decisionFile = new LineFile(folder.decisions, DECISION_FILE_BYTES);
    const processes = realProcesses();
    this.#proxies = new ProxyHost({
      socketPath: join(sharedMemoryFolder, "agent.sock"),
      address,
      processes,
      notes,
      log,
      onSays: (proxy, message) => tell({ kind: "proxy-says", proxy, message }),
      onExited: (proxy, detail) => tell({ kind: "proxy-exited", proxy, detail }),
    });
    const { output } = this;
    const { modulesFolder } = parts;
    this.#programs = new ProgramHost({ processes, notes, output, modulesFolder, onEvent: tell });
    this.#guard = startGuard({ runFolder: folder.run, owner: parts.owner, sharedMemoryFolder });
    this.links = this.#makeLinks();
  }

  /** Ends every child and lets go of everything. */
  close(): void {
    this.#isClosed = true;
    this.#programs.killAll();
    this.#guard.end();
    this.#proxies.close();
    this.links.closeAll();
    this.datagrams?.close();
    this.output.flush();
    this.#decisionFile.flush();
  }

  perform(effect: NodeEffect): void {
    switch (effect.kind) {
      case "membership":
        this.#performMembership(effect.effect);
        break;
      case "send-job-message":
        this.links.send(effect.to, effect, { channel: "job", message: effect.message });
        break;
      case "persist-record":
        this.#persistRecord(effect.token, effect.record);
        break;
      case "spawn-proxy":
        this.#proxies.spawn(effect.proxy);
        break;
      case "tell-proxy":
        this.#tellProxy(effect.proxy, effect.message);
        break;
      case "kill-proxy":
        this.#proxies.kill(effect.proxy);
        break;
      case "start-program":
        this.#programs.start(effect);
        break;
      case "kill-program":
        this.#programs.kill(effect.job, effect.rank);
        break;
      case "pause-program":
        this.#programs.signal(effect.job, effect.rank, "SIGSTOP");
        break;
      case "continue-program":
        this.#programs.signal(effect.job, effect.rank, "SIGCONT");
        break;
      case "remove-segments":
        this.#removeSegments(effect.job, effect.rank);
        break;
      case "store":
        this.#parts.store.execute(effect.command);
        break;
      case "reply":
        this.#handler.onReply(effect);
        break;
      case "warn": {
        const { job, rank, text } = effect;
        this.output.append(job, { rank, stream: "stderr", text: `holdfast: ${text}` });
        this.#parts.log.say("fault", `${job}: rank ${rank}: ${text}`);
        break;
      }
      case "decision":
        this.#decide(effect);
        break;
      default:
        unreachable(effect, "effect of a node");
    }
  }

  #performMembership(effect: MembershipEffect): void {
    const { log } = this.#parts;
    switch (effect.kind) {
      case "send-packet":
        this.datagrams?.send(effect.to, effect.packet);
        break;
      case "send":
        this.links.send(effect.to, effect, { channel: "view", message: effect.message });
        break;
      case "check-tcp": {
        const { token } = effect;
        void checkTcp({ ...effect, identity: this.#parts.identity }).then((outcome) =>
          this.#handler.tell({
            kind: "membership",
            event: { kind: "tcp-checked", token, outcome },
          }),
        );
        break;
      }
      case "persist":
        this.#persist(MEMBERSHIP_DOCUMENT, effect.state, () =>
          this.#handler.tell({
            kind: "membership",
            event: { kind: "persisted", token: effect.token },
          }),
        );
        break;
      case "view":
        this.#onView(effect.view);
        this.#handler.onChange({ kind: "view", view: effect.view, previous: effect.previous });
        break;
      case "left":
        this.#handler.onLeft();
        break;
      case "log":
        log.say(effect.level === "info" ? "event" : "fault", effect.text);
        break;
      case "standing":
        log.say("detail", `${effect.member.id} is ${effect.standing}: ${effect.reason}`);
        break;
      case "frozen":
      case "thawed":
        // Said by the decision log; whoever watches a job is told too.
        this.changes.push(effect.kind, 32);
        this.#handler.onChange(effect);
        break;
      default:
        unreachable(effect, "effect of membership");
    }
  }

  #onView(view: View): void {
    const peers = new Map<string, Endpoint>();
    for (const member of view.members)
      if (member.id !== this.#parts.own) peers.set(member.id, member);
    this.links.keep(peers);
    this.changes.push(`view ${view.epoch}`, 32);
  }

  /** Tried again until it is on disk: until then the decision code holds back what depends on it. */
  #persist(name: string, document: unknown, done: () => void): void {
    const { disk, log, clock, folder } = this.#parts;
    disk.write(name, document, (failure) => {
      if (failure === null) {
        done();
        return;
      }
      log.say("fault", `${folder.state} cannot be written (${failure.detail}); tried again`);
      clock.after(PERSIST_RETRY_MS, () => {
        if (!this.#isClosed) this.#persist(name, document, done);
      });
    });
  }

  #persistRecord(token: number, record: JobRecord): void {
    // Copies of an older plan that are still under way are refused from now on, on a node that only keeps copies too.
    this.#parts.store.raiseEpoch(record.spec.id, record.epoch);
    this.changes.push(record.spec.id, 32);
    this.#persist(`${RECORD_PREFIX}${record.spec.id}`, record, () => {
      this.#handler.tell({ kind: "record-persisted", token });
      this.output.touch();
      this.changes.touch();
      this.#handler.onChange({ kind: "job", record });
    });
  }

  #tellProxy(proxy: number, message: AgentToProxy): void {
    if (message.kind === "assign") {
      for (const { segment, regionsFolder } of message.local) {
        mkdirSync(dirname(segment), { recursive: true, mode: 0o700 });
        mkdirSync(regionsFolder, { recursive: true, mode: 0o700 });
      }
    }
    // The decision code names where a mailbox would be; a version without messages under way has none.
    const told =
      message.kind === "resume"
        ? { ...message, mailboxes: message.mailboxes.filter(({ path }) => existsSync(path)) }
        : message;
    this.#proxies.tell(proxy, told);
  }

  #removeSegments(job: string, rank: number): void {
    const jobFolder = join(this.#parts.sharedMemoryFolder, job);
    const removed = join(this.#parts.sharedMemoryFolder, `removed-${this.#removedCount++}`);
    try {
      // At once out of the way of a program that is started anew; giving gigabytes back takes its time.
      renameSync(join(jobFolder, `rank-${rank}`), removed);
      rmdirSync(jobFolder);
    } catch {
      // There was nothing to remove, or another rank of the job has its folder here.
    }
    void rm(removed, { recursive: true, force: true });
  }

  #decide(effect: Extract<NodeEffect, { kind: "decision" }>): void {
    const { epoch, job, phase, text } = effect;
    const atMs = this.#parts.clock.wallMs();
    const decision: Decision = { node: this.#parts.own, atMs, epoch, job, phase, text };
    const line = JSON.stringify(decision);
    this.decisions.push(decision, line.length * 2);
    this.#decisionFile.append(line);
    this.#parts.log.say("event", job === null ? text : `${job}: ${text}`);
  }

  #makeLinks(): PeerLinks<LinkMessage> {
    const { log, own, identity } = this.#parts;
    const { tell } = this.#handler;
    return new PeerLinks<LinkMessage>({
      identity,
      hello: () => {
        const { instance, incarnation } = this.#handler.self();
        return { protocol: LINK_PROTOCOL, node: own, instance, incarnation };
      },
      codec: linkCodec(readLinkMessage),
      compareIds: (a, b) => compareNodeIds(a as NodeId, b as NodeId),
      handler: {
        onOpen: (peer) =>
          tell({ kind: "membership", event: { kind: "link-opened", peer: peer as NodeId } }),
        onMessage: (peer, message) => this.#onLinkMessage(peer as NodeId, message),
        onClose: (peer, detail, isRefused) => {
          log.say("detail", `link to ${peer}: ${detail}`);
          const kind = isRefused === true ? "link-refused" : "link-closed";
          tell({ kind: "membership", event: { kind, peer: peer as NodeId } });
        },
        onComplaint: (detail) => log.say("fault", detail),
      },
    });
  }

  #onLinkMessage(from: NodeId, message: LinkMessage): void {
    if (message.channel === "job") {
      this.#handler.tell({ kind: "job-message", from, message: message.message });
    } else {
      const event = { kind: "message", from, message: message.message } as const;
      this.#handler.tell({ kind: "membership", event });
    }
  }
}
