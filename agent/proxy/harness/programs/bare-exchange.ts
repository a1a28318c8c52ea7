/** The least that two processes can do: a number there and back through two words of shared memory, both spinning. `WORDS`. */
const u8 = Bun.mmap(process.env["WORDS"] ?? "", { shared: true });
const words = new Int32Array(u8.buffer, u8.byteOffset, 32);
const COUNT = 100_000;

if (process.env["ROLE"] === "server") {
  for (let last = 0; ; ) {
    const seen = Atomics.load(words, 0);
    if (seen === last) continue;
    last = seen;
    Atomics.store(words, 16, seen);
  }
} else {
  const times = new Float64Array(COUNT);
  for (let i = 1; i <= COUNT * 2; i++) {
    const startNs = Bun.nanoseconds();
    Atomics.store(words, 0, i);
    while (Atomics.load(words, 16) !== i);
    times[i % COUNT] = Bun.nanoseconds() - startNs;
  }
  times.sort();
  process.stdout.write(`${JSON.stringify({ p50Ns: times[COUNT >> 1] })}\n`);
}
