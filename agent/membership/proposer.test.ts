/**
 * Goal: the proposer alone, where whole clusters would need luck to get there. Method: a host that holds back its disk.
 */
import { expect, test } from "bun:test";
import { prng } from "../runtime/prng.ts";
import type { Epoch, Member, NodeId, View } from "./membership.ts";
import { Proposer, type ProposerMessage } from "./proposer.ts";
import { DEFAULT_TIMING } from "./timing.ts";
import type { Change } from "./view-change.ts";
import type { Accepted, Ballot, Opinion } from "./view-message.ts";

function member(n: number): Member {
  const id = `n${n}` as NodeId;
  return { id, instance: `i${n}`, incarnation: 1, address: "10.0.0.1", port: n, role: "worker" };
}

function view(epoch: number, ids: readonly number[]): View {
  return { epoch: epoch as Epoch, members: ids.map(member), reason: "test" };
}

const WISH: Change = { expelled: [], entering: [], restarted: [], wishes: ["go on"] };

function expelling(n: number): Change {
  const one = { member: member(n), isCut: false, isCertain: false, reason: "unreachable" };
  return { ...WISH, wishes: [], expelled: [one] };
}

/** As seen by `self`; what the disk owes is in `disk`. */
function setUp(self: number): {
  readonly proposer: Proposer;
  readonly sent: ProposerMessage[];
  readonly disk: (() => void)[];
  readonly decided: View[];
  readonly own: { promised: Ballot; accepted: Accepted | null; opinion: Opinion };
} {
  const sent: ProposerMessage[] = [];
  const disk: (() => void)[] = [];
  const decided: View[] = [];
  const own: { promised: Ballot; accepted: Accepted | null; opinion: Opinion } = {
    promised: -1,
    accepted: null,
    opinion: "silent",
  };
  const proposer = new Proposer({
    timing: DEFAULT_TIMING,
    prng: prng(1),
    self: () => member(self),
    now: () => 0,
    send: (_to, message) => sent.push(message),
    opinions: (expel) => expel.map(() => own.opinion),
    prepareOwn: (ballot, then) => {
      own.promised = ballot;
      const { accepted } = own;
      disk.push(() => then(accepted));
      return true;
    },
    acceptOwn: (_ballot, _view, then) => disk.push(then) > 0,
    ownPromised: () => own.promised,
    decided: (value) => decided.push(value),
    contradicted: () => undefined,
    log: () => undefined,
  });
  return { proposer, sent, disk, decided, own };
}

test("the first member of the view needs no prepare, once", () => {
  const { proposer, sent, disk, decided } = setUp(1);
  proposer.begin(view(4, [1, 2, 3]), WISH, 0);
  expect(sent.map((one) => one.kind)).toEqual(["accept", "accept"]);
  disk.shift()?.();
  proposer.onAccepted("i3", 0);
  expect(decided.map((one) => one.epoch)).toEqual([5 as Epoch]);
  proposer.abort();
  proposer.begin(view(4, [1, 2, 3]), WISH, 0);
  disk.shift()?.();
  expect(sent.at(-1)?.kind).toBe("prepare");
});

test("nobody hears of a ballot before the own promise is on disk", () => {
  const { proposer, sent, disk } = setUp(2);
  proposer.begin(view(4, [1, 2, 3]), WISH, 0);
  expect(sent).toEqual([]);
  disk.shift()?.();
  expect(sent.map((one) => one.kind)).toEqual(["prepare", "prepare"]);
});

test("a write that was under way when the epoch was decided has no say in the next", () => {
  const { proposer, sent, disk, own, decided } = setUp(2);
  own.accepted = { ballot: 0, view: view(5, [1, 2]) };
  proposer.begin(view(4, [1, 2, 3]), WISH, 0);
  // Epoch 5 comes from another; epoch 6 begins with the same ballot while the first promise is still being written.
  proposer.reset();
  own.accepted = null;
  own.promised = -1;
  const late = disk.shift();
  proposer.begin(view(5, [1, 2]), WISH, 0);
  late?.();
  expect(sent).toEqual([]);
  disk.shift()?.();
  proposer.onPromise("i1", 1025, null, 0);
  const accept = sent.at(-1);
  expect(accept?.kind === "accept" && accept.view.epoch).toBe(6 as Epoch);
  expect(decided).toEqual([]);
});

test("what a voter has accepted before is proposed again, whatever was wanted", () => {
  const { proposer, sent, disk } = setUp(2);
  proposer.begin(view(4, [1, 2, 3]), WISH, 0);
  disk.shift()?.();
  const chosen = view(5, [2, 3]);
  proposer.onPromise("i3", 1025, { ballot: 0, view: chosen }, 0);
  const accept = sent.at(-1);
  expect(accept?.kind === "accept" && accept.view).toBe(chosen);
});

test("nobody is expelled while no majority finds it silent", () => {
  const { proposer, sent, disk } = setUp(1);
  proposer.begin(view(4, [1, 2, 3, 4, 5]), expelling(5), 0);
  proposer.onOpinion("i2", 1, ["silent"], 0);
  proposer.onOpinion("i3", 1, ["heard"], 0);
  proposer.onOpinion("i4", 1, ["unsure"], 0);
  expect(sent.every((one) => one.kind === "poll")).toBe(true);
  proposer.onOpinion("i4", 1, ["silent"], 0);
  expect(sent.at(-1)?.kind).toBe("accept");
  expect(disk.length).toBe(1);
});

test("a vote of a node that is no voter, or of another ballot, does not count", () => {
  const { proposer, disk, decided } = setUp(1);
  proposer.begin(view(4, [1, 2, 3]), WISH, 0);
  disk.shift()?.();
  proposer.onAccepted("i9", 0);
  proposer.onAccepted("i2", 1024);
  proposer.onAccepted("i1", 0);
  expect(decided).toEqual([]);
});
