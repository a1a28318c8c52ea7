/**
 * 20,000 request/response pairs on a pseudo-terminal at full speed, through the serial port as users of the package have it
 * (`SerialPortStream` over our binding): none may be lost. Peer: the same pairs by blocking reads and writes in C's manner
 * (Python), the floor that a process can have on this machine.
 *
 * The far end is a process of its own (Python) that gives every byte back.
 */
import { SerialPortStream } from "@serialport/stream";
import { linuxBinding } from "../bmc/serial/io/linux-binding.ts";
import { assert } from "../core/assert.ts";
import { type Measurement, Unavailable } from "./bench.ts";

const PAIRS = 20_000;
const MESSAGE_BYTES = 20;
const LIMIT_MS = 60_000;

/** The far end: makes the terminal, prints its name, gives every byte back. */
const ECHO = `
import os, pty, sys, tty
master, slave = pty.openpty()
tty.setraw(slave)
print(os.ttyname(slave), flush=True)
while True:
    os.write(master, os.read(master, 4096))
`;

const FLOOR = `
import os, sys, time, tty, termios
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
tty.setraw(fd)
trips = []
for i in range(int(sys.argv[2])):
    start = time.perf_counter_ns()
    os.write(fd, bytes([i & 127] * ${MESSAGE_BYTES}))
    got = b""
    while len(got) < ${MESSAGE_BYTES}:
        got += os.read(fd, 64)
    trips.append(time.perf_counter_ns() - start)
trips.sort()
print(trips[len(trips) // 2] / 1000, trips[len(trips) * 99 // 100] / 1000)
`;

interface Trips {
  readonly medianUs: number;
  readonly p99Us: number;
}

function open(path: string): Promise<SerialPortStream> {
  return new Promise((resolve, reject) => {
    const port = new SerialPortStream(
      { binding: linuxBinding, path, baudRate: 115_200 },
      (error) => {
        if (error) reject(error);
        else resolve(port);
      },
    );
  });
}

/** Resolves with the trips in µs, sorted; a byte that is another than was sent, or none, fails. */
function pairs(port: SerialPortStream): Promise<readonly number[]> {
  return new Promise((resolve, reject) => {
    const trips: number[] = [];
    let startNs = 0;
    let received = 0;
    const timer = setTimeout(() => reject(new Error(`lost after ${trips.length}`)), LIMIT_MS);
    const send = (): void => {
      startNs = Bun.nanoseconds();
      received = 0;
      port.write(Buffer.alloc(MESSAGE_BYTES, trips.length & 127));
    };
    port.on("data", (chunk: Buffer) => {
      for (const byte of chunk) assert(byte === (trips.length & 127), "what was sent comes back");
      received += chunk.length;
      assert(received <= MESSAGE_BYTES, "nothing comes twice");
      if (received < MESSAGE_BYTES) return;
      trips.push((Bun.nanoseconds() - startNs) / 1000);
      if (trips.length < PAIRS) return send();
      clearTimeout(timer);
      resolve(trips.sort((a, b) => a - b));
    });
    send();
  });
}

async function ours(path: string): Promise<Trips> {
  const port = await open(path);
  try {
    const trips = await pairs(port);
    const at = (share: number): number => trips[Math.floor(trips.length * share)] as number;
    return { medianUs: at(0.5), p99Us: at(0.99) };
  } finally {
    await new Promise((resolve) => port.close(resolve));
  }
}

function floor(path: string): Trips {
  const run = Bun.spawnSync(["python3", "-c", FLOOR, path, String(PAIRS)]);
  const [medianUs = 0, p99Us = 0] = run.stdout.toString().split(" ").map(Number);
  assert(run.exitCode === 0 && p99Us > 0, `the floor: ${run.stderr.toString()}`);
  return { medianUs, p99Us };
}

export async function run(): Promise<readonly Measurement[]> {
  if (Bun.which("python3") === null) throw new Unavailable("python3 is missing");
  const echo = Bun.spawn(["python3", "-c", ECHO], { stdout: "pipe", stderr: "ignore" });
  try {
    const { value } = await echo.stdout.getReader().read();
    const path = new TextDecoder().decode(value).trim();
    const peer = floor(path);
    const own = await ours(path);
    return [
      {
        bench: "bmc-pty-pairs",
        what: `${PAIRS} request/response pairs of ${MESSAGE_BYTES} bytes on a PTY, none lost: p99 of a round trip`,
        ours: own.p99Us,
        peer: peer.p99Us,
        peerName: "blocking read and write (Python)",
        unit: "µs",
        spread: null,
        runs: PAIRS,
        goal: { of: "ours", better: "lower", must: 500, aim: null },
        note: `medians ${own.medianUs.toFixed(0)} and ${peer.medianUs.toFixed(0)} µs`,
      },
    ];
  } finally {
    echo.kill("SIGKILL");
    await echo.exited;
  }
}
