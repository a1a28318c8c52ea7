/** Every collective at sizes around every limit, checked against plain computation; prints a digest that must be equal on all ranks. */
import { type Context, run } from "../../sdk/holdfast.ts";

function value(rank: number, index: number): number {
  return ((rank + 1) * 31 + index) % 97;
}

function expectEqual(
  what: string,
  got: Float64Array | Float32Array,
  want: (i: number) => number,
): void {
  for (let i = 0; i < got.length; i++) {
    if (got[i] !== want(i)) throw new Error(`${what}[${i}] is ${got[i]}, not ${want(i)}`);
  }
}

/** Small; ring algorithm; several parts of the slab with a ragged end. */
const LENGTHS = [3, 20_000, 1_300_001];
const BLOCKS = [3, 20_000, 300_001];

function checkInPlace(c: Context, n: number): void {
  const mine = (): Float32Array => Float32Array.from({ length: n }, (_, i) => value(c.rank, i));
  const sum = (i: number): number => {
    let total = 0;
    for (let r = 0; r < c.size; r++) total += value(r, i);
    return total;
  };
  const root = n % c.size;
  const all = mine();
  c.allReduce(all);
  expectEqual(`allReduce ${n}`, all, sum);
  const some = mine();
  c.reduce(some, "sum", root);
  expectEqual(`reduce ${n}`, some, c.rank === root ? sum : (i) => value(c.rank, i));
  const cast = mine();
  c.broadcast(cast, root);
  expectEqual(`broadcast ${n}`, cast, (i) => value(root, i));
}

function checkSpread(c: Context, n: number): void {
  const mine = (): Float32Array => Float32Array.from({ length: n }, (_, i) => value(c.rank, i));
  const root = n % c.size;
  const gathered = new Float32Array(n * c.size);
  c.gather(mine(), c.rank === root ? gathered : null, root);
  const whole = (i: number): number => value(Math.floor(i / n), i % n);
  expectEqual(`gather ${n}`, gathered, c.rank === root ? whole : () => 0);
  const everywhere = new Float32Array(n * c.size);
  c.allGather(mine(), everywhere);
  expectEqual(`allGather ${n}`, everywhere, whole);
  const blocks = Float32Array.from({ length: n * c.size }, (_, i) => value(c.rank, i));
  const crossed = new Float32Array(n * c.size);
  c.allToAll(blocks, crossed);
  expectEqual(`allToAll ${n}`, crossed, (i) => value(Math.floor(i / n), c.rank * n + (i % n)));
  c.barrier();
}

/** In memory that the proxy reaches, so without copies. */
function checkShared(c: Context): number {
  const data = c.share("sum", Float64Array, 700_000);
  for (let i = 0; i < data.length; i++) data[i] = Math.sin(i + c.rank * 1000) * 1e3;
  c.allReduce(data);
  const copy = Float64Array.from({ length: 700_000 }, (_, i) => Math.sin(i + c.rank * 1000) * 1e3);
  c.allReduce(copy);
  expectEqual("shared and copied memory", data, (i) => copy[i] as number);
  return Number(Bun.hash(new Uint8Array(copy.buffer)) & 0xffff_ffffn);
}

await run((c) => {
  for (const n of LENGTHS) checkInPlace(c, n);
  for (const n of BLOCKS) checkSpread(c, n);
  process.stdout.write(`${JSON.stringify({ digest: checkShared(c) })}\n`);
});
