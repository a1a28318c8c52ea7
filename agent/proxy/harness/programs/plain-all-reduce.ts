/**
 * The peer of `all-reduce.ts`: the same algorithm and the same sockets, in the program's own process, no proxy between. Ranks find
 * each other by files in `FOLDER`.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ffiBuffer } from "../../../../core/io/native.ts";
import type { NodeId } from "../../../membership/membership.ts";
import { processorCount } from "../../../runtime/io/ffi.ts";
import type { Call } from "../../communication-library.ts";
import { Poller } from "../../io/poller.ts";
import { TcpLibrary } from "../../io/tcp-library.ts";
import { TcpMesh } from "../../io/tcp-mesh.ts";
import { NUMBER_TYPE, OP, type Op, REDUCE_OP } from "../../segment-layout.ts";
import { WaitBudget } from "../../wait-budget.ts";

const folder = process.env["FOLDER"] ?? "";
const rank = Number(process.env["RANK"]);
const size = Number(process.env["SIZE"]);
const bytes = Number(process.env["BYTES"] ?? 4_194_304);
const rounds = Number(process.env["ROUNDS"] ?? 30);

/** `plain`: without a key; `key`: peers prove that they know it; `encrypted`: all that follows is encrypted. */
const mode = process.env["CHANNEL"] ?? "plain";
const key = new Uint8Array(32).fill(7);
const secret = mode === "plain" ? null : { key, isEncrypted: mode === "encrypted" };

const poller = new Poller();
const mesh = new TcpMesh("127.0.0.1", poller, { say: () => {} }, () => performance.now());
const portFile = (of: number): string => join(folder, `port-${of}`);
writeFileSync(`${portFile(rank)}.tmp`, String(mesh.port));
renameSync(`${portFile(rank)}.tmp`, portFile(rank));
const ranks = Array.from({ length: size }, (_, i) => i);
while (!ranks.every((other) => existsSync(portFile(other)))) await Bun.sleep(2);

let doneCount = 0;
let isJoined = false;
const placement = ranks.map((of) => `n${of}` as NodeId);
const node = placement[rank] as NodeId;
const library = new TcpLibrary({ node, epoch: 1, size, placement, localRanks: [rank] }, mesh, {
  onDone: () => {
    doneCount++;
  },
  onCutNote: () => {},
  onJoined: () => {},
  onOpinion: () => {},
  onPeerLost: () => {},
});
const proxies = ranks.map((of) => ({
  node: placement[of] as NodeId,
  host: "127.0.0.1",
  port: Number(readFileSync(portFile(of), "utf8")),
}));
mesh.join(
  { job: "bench", epoch: 1, node, proxies, secret },
  {
    onFrame: (from, header, payload) => library.onPeerFrame(from, header, payload),
    spanFor: (_, header) => library.spanFor(header),
    judge: (from, header) => library.judge(from, header),
    onJoined: () => {
      isJoined = true;
    },
    onLost: () => process.exit(1),
  },
);
const budget = new WaitBudget(processorCount());

function waitUntil(isTrue: () => boolean): void {
  let spins = 0;
  while (!isTrue()) {
    const isSpinning = spins <= budget.spins;
    if (!isSpinning) budget.onSleep();
    const count = poller.wait(isSpinning ? 0 : 100);
    library.progress();
    if (count > 0 && isSpinning && spins > 0) budget.onFound();
    spins = count > 0 ? 0 : spins + 16;
  }
}

function perform(op: Op, input: Call["input"]): void {
  const before = doneCount;
  const kind = { numberType: NUMBER_TYPE.f32, reduce: REDUCE_OP.sum, output: null };
  library.start({ rank, op, request: 1, peer: 0, tag: 0, input, totalBytes: bytes, ...kind });
  waitUntil(() => doneCount > before);
}

waitUntil(() => isJoined);
const memory = ffiBuffer(bytes);
const data = new Float32Array(memory.u8.buffer);
const times: number[] = [];
for (let round = 0; round < rounds + 5; round++) {
  data.fill(rank + 1);
  perform(OP.barrier, { memory, offset: 0, bytes: 0 });
  const startNs = Bun.nanoseconds();
  perform(OP.allReduce, { memory, offset: 0, bytes });
  if (round >= 5) times.push((Bun.nanoseconds() - startNs) / 1e6);
  if (data[round] !== (size * (size + 1)) / 2) throw new Error("a wrong sum");
}
perform(OP.barrier, { memory, offset: 0, bytes: 0 });
process.stdout.write(`${JSON.stringify({ times })}\n`);
