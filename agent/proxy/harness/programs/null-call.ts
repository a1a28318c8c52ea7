/** Times calls that do nothing; prints nanoseconds, sorted out by percentile. `CALLS` of them after a warm-up of as many. */
import { run } from "../../sdk/holdfast.ts";

const calls = Number(process.env["CALLS"] ?? 50_000);

await run((c) => {
  // Not part of what programs are offered; the context has it for this.
  const { nullCall } = c as unknown as { nullCall: () => void };
  const call = nullCall.bind(c);
  const times = new Float64Array(calls);
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < calls; i++) {
      const startNs = Bun.nanoseconds();
      call();
      times[i] = Bun.nanoseconds() - startNs;
    }
  }
  const startNs = Bun.nanoseconds();
  for (let i = 0; i < calls; i++) call();
  const meanNs = (Bun.nanoseconds() - startNs) / calls;
  times.sort();
  const at = (part: number): number => times[Math.floor(calls * part)] as number;
  process.stdout.write(
    `${JSON.stringify({ meanNs, p50Ns: at(0.5), p99Ns: at(0.99), p999Ns: at(0.999) })}\n`,
  );
});
