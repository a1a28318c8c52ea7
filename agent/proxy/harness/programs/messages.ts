/** Point-to-point: order, wildcards, sizes from 0 to beyond the slab, requests in both directions, a message that does not fit. */
import { type Context, run } from "../../sdk/holdfast.ts";

function expect(what: string, isTrue: boolean): void {
  if (!isTrue) throw new Error(what);
}

function pattern(bytes: number, seed: number): Uint8Array {
  const data = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) data[i] = (i * 31 + (i >> 8) * 7 + seed) & 255;
  return data;
}

function checkSizes(c: Context): void {
  for (const bytes of [0, 1, 65_536, 65_537, 3_000_001, 40_000_000]) {
    if (c.rank === 0) c.send(1, pattern(bytes, 1), 5);
    if (c.rank === 1) {
      const into = new Uint8Array(bytes + 3);
      const got = c.receive(into, { source: 0, tag: 5 });
      expect(`${bytes} bytes arrive as ${got.bytes}`, got.bytes === bytes);
      const isSame = Buffer.compare(into.subarray(0, bytes), pattern(bytes, 1)) === 0;
      expect(`content of ${bytes} bytes`, isSame);
    }
  }
}

/** Many more small messages than credit and rings hold, from all, received by wildcard. */
function checkFlood(c: Context): void {
  const count = 3000;
  const note = new Int32Array(500);
  if (c.rank !== 0) {
    for (let i = 0; i < count; i++) {
      note[0] = i;
      c.send(0, note, c.rank);
    }
    return;
  }
  const next = new Array<number>(c.size).fill(0);
  for (let i = 0; i < count * (c.size - 1); i++) {
    const got = c.receive(note);
    expect(`tag ${got.tag} of ${got.source}`, got.tag === got.source);
    expect(`order of rank ${got.source}`, note[0] === next[got.source]);
    next[got.source] = (next[got.source] ?? 0) + 1;
  }
}

/** Everybody sends a large message to everybody at once. */
function checkCross(c: Context): void {
  const bytes = 5_000_000;
  const others = Array.from({ length: c.size }, (_, r) => r).filter((r) => r !== c.rank);
  const into = others.map(() => new Uint8Array(bytes));
  const receives = others.map((from, i) => c.startReceive(into[i] as Uint8Array, { source: from }));
  const sends = others.map((to) => c.startSend(to, pattern(bytes, c.rank), 9));
  for (const send of sends) send.wait();
  for (const [i, receive] of receives.entries()) {
    receive.wait();
    const from = others[i] as number;
    const isSame = Buffer.compare(into[i] as Uint8Array, pattern(bytes, from)) === 0;
    expect(`message of rank ${from}`, isSame);
  }
}

function checkTooLong(c: Context): string {
  if (c.rank === 0) {
    c.send(1, new Uint8Array(100), 1);
    c.send(1, new Uint8Array(200_000), 1);
  }
  if (c.rank !== 1) return "";
  const texts: string[] = [];
  for (const room of [10, 1000]) {
    try {
      c.receive(new Uint8Array(room), { source: 0 });
    } catch (error) {
      texts.push((error as Error).message);
    }
  }
  return texts.join("; ");
}

function checkSelf(c: Context): void {
  const into = new Float64Array(4);
  const receive = c.startReceive(into, { source: c.rank });
  c.send(c.rank, Float64Array.of(1, 2, 3, 4));
  receive.wait();
  expect("message to itself", into[3] === 4);
}

await run((c) => {
  checkSizes(c);
  c.barrier();
  checkFlood(c);
  c.barrier();
  checkCross(c);
  c.barrier();
  const tooLong = checkTooLong(c);
  checkSelf(c);
  let refused = "";
  try {
    c.send(c.size, new Uint8Array(1));
  } catch (error) {
    refused = (error as Error).message;
  }
  process.stdout.write(`${JSON.stringify({ tooLong, refused })}\n`);
});
