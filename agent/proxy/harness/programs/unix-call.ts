/** The peer of `null-call.ts`: one byte there and back over a Unix socket between two Bun processes. `SOCKET`, `CALLS`. */
const path = process.env["SOCKET"] ?? "";
const calls = Number(process.env["CALLS"] ?? 20_000);

if (process.env["ROLE"] === "server") {
  Bun.listen({ unix: path, socket: { data: (socket, bytes) => void socket.write(bytes) } });
  process.stdout.write("ready\n");
} else {
  const times = new Float64Array(calls * 2);
  let count = 0;
  let sentNs = 0;
  const one = new Uint8Array(1);
  const send = (socket: Bun.Socket<unknown>): void => {
    sentNs = Bun.nanoseconds();
    socket.write(one);
  };
  await Bun.connect({
    unix: path,
    socket: {
      open: send,
      data: (socket) => {
        times[count++] = Bun.nanoseconds() - sentNs;
        if (count < times.length) {
          send(socket);
          return;
        }
        const warm = times.subarray(calls).sort();
        process.stdout.write(`${JSON.stringify({ p50Ns: warm[calls >> 1] })}\n`);
        process.exit(0);
      },
    },
  });
}
