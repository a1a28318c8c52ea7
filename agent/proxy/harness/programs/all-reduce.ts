/** Times all-reduces of `BYTES` of 32-bit floats, `ROUNDS` of them, in memory that is copied (`MEMORY=own`) or shared. */
import { run } from "../../sdk/holdfast.ts";

const bytes = Number(process.env["BYTES"] ?? 4_194_304);
const rounds = Number(process.env["ROUNDS"] ?? 30);

await run((c) => {
  const length = bytes / 4;
  const isOwn = process.env["MEMORY"] === "own";
  const data = isOwn ? new Float32Array(length) : c.share("data", Float32Array, length);
  const times: number[] = [];
  for (let round = 0; round < rounds + 5; round++) {
    data.fill(c.rank + 1);
    c.barrier();
    const startNs = Bun.nanoseconds();
    c.allReduce(data);
    if (round >= 5) times.push((Bun.nanoseconds() - startNs) / 1e6);
    if (data[round] !== (c.size * (c.size + 1)) / 2) throw new Error("a wrong sum");
  }
  process.stdout.write(`${JSON.stringify({ times })}\n`);
});
