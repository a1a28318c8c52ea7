/** Rank 1 calls another collective than the others; everybody prints what it is told. */
import { run } from "../../sdk/holdfast.ts";

await run((c) => {
  const data = new Float32Array(4);
  let told = "";
  try {
    if (c.rank === 1) c.broadcast(data);
    else c.allReduce(data);
  } catch (error) {
    told = (error as Error).message;
  }
  process.stdout.write(`${JSON.stringify({ told })}\n`);
  process.exit(3);
});
