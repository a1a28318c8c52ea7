/**
 * Where a program says who it is: a Unix socket beside its segment, opened anew by every proxy that serves the rank.
 *
 * Carries one line each way and then nothing; its closing tells that the program is gone. All else goes through the segment,
 * which a program in any language can map.
 *
 *   program → proxy   {"kind":"attach","job":…,"rank":…,"pid":…,"layout":1}
 *   proxy → program   {"kind":"welcome","epoch":…}  or  {"kind":"refused","reason":…} and the end
 */
import { rmSync } from "node:fs";
import { libc } from "../../runtime/io/ffi.ts";
import { controlPathOf } from "../program.ts";
import { LAYOUT_VERSION } from "../segment-layout.ts";
import { LineSocket } from "./line-socket.ts";
import { type Poller, READABLE } from "./poller.ts";
import { accept, listenUnix } from "./socket.ts";

export interface DoorPlan {
  readonly job: string;
  readonly epoch: number;
  readonly rank: number;
  readonly segment: string;
}

export interface DoorEvents {
  onAttach(rank: number, pid: number): void;
  onRefused(rank: number, reason: string): void;
}

interface Attach {
  readonly job: unknown;
  readonly rank: unknown;
  readonly pid: unknown;
  readonly layout: unknown;
}

export class ProgramDoor {
  readonly #plan: DoorPlan;
  readonly #events: DoorEvents;
  readonly #poller: Poller;
  readonly #listener: number;
  #socket: LineSocket | null = null;

  constructor(plan: DoorPlan, poller: Poller, events: DoorEvents) {
    this.#plan = plan;
    this.#events = events;
    this.#poller = poller;
    const path = controlPathOf(plan.segment);
    rmSync(path, { force: true });
    this.#listener = listenUnix(path);
    poller.add(this.#listener, READABLE, () => this.#accept());
  }

  close(): void {
    this.#poller.remove(this.#listener);
    libc.close(this.#listener);
    this.#socket?.close();
  }

  #accept(): void {
    const fd = accept(this.#listener);
    if (fd < 0) return;
    // One program a rank: the newest is the one that counts.
    this.#socket?.close();
    const socket: LineSocket = new LineSocket(fd, this.#poller, {
      onMessage: (message) => this.#onMessage(socket, message),
      onClose: () => {
        if (this.#socket === socket) this.#socket = null;
      },
    });
    this.#socket = socket;
  }

  #onMessage(socket: LineSocket, message: unknown): void {
    const refusal = this.#judge(message);
    if (refusal === null) {
      socket.send({ kind: "welcome", epoch: this.#plan.epoch });
      this.#events.onAttach(this.#plan.rank, (message as { readonly pid: number }).pid);
      return;
    }
    socket.send({ kind: "refused", reason: refusal });
    socket.close();
    this.#events.onRefused(this.#plan.rank, refusal);
  }

  #judge(message: unknown): string | null {
    if (typeof message !== "object" || message === null) return "says something that is no attach";
    const { job, rank, pid, layout } = message as Partial<Attach>;
    if (job !== this.#plan.job) return `belongs to job ${String(job)}, not ${this.#plan.job}`;
    if (rank !== this.#plan.rank) return `is rank ${String(rank)}, not ${this.#plan.rank}`;
    if (layout !== LAYOUT_VERSION) {
      return `speaks layout ${String(layout)}, this proxy ${LAYOUT_VERSION}`;
    }
    return Number.isSafeInteger(pid) ? null : "names no process id";
  }
}
