/**
 * Requests between simulated parties, as HTTP over a network that may be cut, slow, or lose what comes back.
 *
 * A party is up, killed or stopped. A request to a killed one is refused at once; over a cut, or to a stopped one, nothing is
 * heard until the asker's patience ends, and a stopped one does what it was asked once it goes on. A request that was under way when its
 * server is killed breaks at once, done or not. One way of a link may be cut: then it is processed and the answer lost.
 */
import type { Prng } from "../../../agent/runtime/prng.ts";
import type { SimTime } from "../../../agent/runtime/sim/sim-clock.ts";

export type Life = "up" | "killed" | "stopped";

export class Party {
  readonly name: string;
  life: Life = "up";
  /** Changes with each kill: what an earlier life began is void. */
  incarnation = 1;
  /** Done when it goes on. */
  readonly #held: (() => void)[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Now, once it goes on, or never if it was killed meanwhile. */
  run(action: () => void): void {
    const { incarnation } = this;
    const isSame = (): boolean => this.incarnation === incarnation && this.life !== "killed";
    if (this.life === "up") action();
    else if (this.life === "stopped") {
      this.#held.push(() => {
        if (isSame()) action();
      });
    }
  }

  kill(): void {
    this.life = "killed";
    this.incarnation++;
    this.#held.length = 0;
  }

  stop(): void {
    if (this.life === "up") this.life = "stopped";
  }

  goOn(): void {
    if (this.life !== "stopped") return;
    this.life = "up";
    for (const action of this.#held.splice(0)) action();
  }

  rise(): void {
    this.life = "up";
  }
}

export type CallFailure = "unreachable" | "no-answer";

export interface Call<Answer> {
  readonly from: Party;
  readonly to: Party;
  readonly limitMs: number;
  /** At the server; it answers through `reply`, once, or never. */
  readonly serve: (reply: (answer: Answer) => void) => void;
  readonly onAnswer: (answer: Answer) => void;
  readonly onFailure: (failure: CallFailure) => void;
}

/** A connection is given up after so long without a word from the other side's kernel. */
const CONNECT_MS = 3_000;

export class Wire {
  readonly time: SimTime;
  readonly #random: Prng;
  /** `from>to`, one way. */
  readonly #cut = new Set<string>();
  /** Share of answers that are lost after the work was done. */
  answerLoss = 0;
  /** Share of answers that are heard twice. */
  answerTwice = 0;
  delayMsMax = 5;

  constructor(time: SimTime, random: Prng) {
    this.time = time;
    this.#random = random;
  }

  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
  }

  cutBoth(one: string, other: string): void {
    this.cut(one, other);
    this.cut(other, one);
  }

  heal(from: string, to: string): void {
    this.#cut.delete(`${from}>${to}`);
  }

  healBoth(one: string, other: string): void {
    this.heal(one, other);
    this.heal(other, one);
  }

  healAll(): void {
    this.#cut.clear();
  }

  isOpen(from: Party, to: Party): boolean {
    return !this.#cut.has(`${from.name}>${to.name}`);
  }

  delayMs(): number {
    return 0.2 + this.#random.unit() * this.delayMsMax;
  }

  call<Answer>(call: Call<Answer>): void {
    const { from, to } = call;
    const born = from.incarnation;
    let isOver = false;
    const end = (tell: () => void): void => {
      if (isOver) return;
      isOver = true;
      if (from.incarnation === born) from.run(tell);
    };
    const fail = (failure: CallFailure): void => end(() => call.onFailure(failure));
    this.time.after(call.limitMs, () => fail("no-answer"));
    const reachMs = this.delayMs();
    this.time.after(reachMs, () => {
      // Either way cut: no connection is made.
      if (!this.isOpen(from, to) || !this.isOpen(to, from)) {
        this.time.after(CONNECT_MS, () => fail("unreachable"));
        return;
      }
      if (to.life === "killed") {
        fail("unreachable");
        return;
      }
      const { incarnation } = to;
      this.#watch(
        to,
        incarnation,
        () => isOver,
        () => fail("no-answer"),
      );
      to.run(() => call.serve((answer) => this.#reply(call, answer, end)));
    });
  }

  #reply<Answer>(call: Call<Answer>, answer: Answer, end: (tell: () => void) => void): void {
    this.time.after(this.delayMs(), () => {
      if (!this.isOpen(call.to, call.from) || this.#random.unit() < this.answerLoss) return;
      const isTwice = this.#random.unit() < this.answerTwice;
      end(() => {
        call.onAnswer(answer);
        if (isTwice) call.onAnswer(answer);
      });
    });
  }

  /** A killed server's connections break within the second in which it dies. */
  #watch(to: Party, incarnation: number, isOver: () => boolean, broken: () => void): void {
    const look = (): void => {
      if (isOver()) return;
      if (to.incarnation !== incarnation) broken();
      else this.time.after(100, look);
    };
    this.time.after(100, look);
  }
}
