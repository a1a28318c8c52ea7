/**
 * Collects what one step asks to be done.
 *
 * A message to the own node is looped back and handled in the same step, so lead and member code need not know whether
 * they are on one machine. Messages to a node outside the view are dropped: whoever is not in the view has no say.
 */
import type { Epoch, NodeId, View } from "../membership/membership.ts";
import type { JobMessage } from "./job.ts";
import type { NodeConfig, NodeEffect, Phase } from "./node-events.ts";

export class EffectSink {
  readonly #config: NodeConfig;
  #effects: NodeEffect[] = [];
  #looped: JobMessage[] = [];
  #view: View | null = null;
  #nextToken = 1;
  nowMs = 0;

  constructor(config: NodeConfig) {
    this.#config = config;
  }

  setView(view: View): void {
    this.#view = view;
  }

  get view(): View | null {
    return this.#view;
  }

  get epoch(): Epoch {
    return this.#view?.epoch ?? (0 as Epoch);
  }

  /** Wall clock for history lines. */
  get atMs(): number {
    return Math.round(this.nowMs + this.#config.wallOffsetMs);
  }

  token(): number {
    return this.#nextToken++;
  }

  push(effect: NodeEffect): void {
    this.#effects.push(effect);
  }

  send(to: NodeId, message: JobMessage): void {
    if (to === this.#config.id) {
      this.#looped.push(message);
      return;
    }
    const member = this.#view?.members.find((m) => m.id === to);
    if (member === undefined) return;
    this.push({
      kind: "send-job-message",
      to,
      address: member.address,
      port: member.port,
      message,
    });
  }

  decide(phase: Phase, job: string | null, text: string): void {
    this.push({ kind: "decision", epoch: this.epoch, job, phase, text });
  }

  /** Asks membership for a new view with the same members; the epoch orders every recovery. */
  wantEpoch(reason: string): void {
    this.#wantedEpochs.push(reason);
  }

  #wantedEpochs: string[] = [];

  takeWantedEpochs(): readonly string[] {
    const wanted = this.#wantedEpochs;
    this.#wantedEpochs = [];
    return wanted;
  }

  takeLooped(): readonly JobMessage[] {
    const looped = this.#looped;
    this.#looped = [];
    return looped;
  }

  takeEffects(): NodeEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
