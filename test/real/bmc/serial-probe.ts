/**
 * Runs in the guest: what the serial binding does on a real driver, told as one line of JSON. The other side echoes.
 *
 *   serial-probe.ts DEVICE WAY
 */

import { linuxBinding } from "../../../bmc/serial/io/linux-binding.ts";
import type { LinuxPort } from "../../../bmc/serial/io/linux-port.ts";

const [path = "", wayText = "stream"] = process.argv.slice(2);
const way = wayText === "worker" ? "worker" : "stream";

export interface SerialReport {
  readonly isListed: boolean;
  readonly lines: { readonly cts: boolean; readonly dsr: boolean; readonly dcd: boolean };
  readonly baudRate: number;
  /** Bytes of the echo that were not those sent. */
  readonly wrongBytes: number;
  readonly tripMs: number;
  /** Kind of the error at 250,000 bit/s, or the rate that was set. */
  readonly odd: string | number;
  readonly rateAfterOdd: number;
  readonly reopened: number;
  readonly descriptorsLeft: number;
}

async function readAll(port: LinuxPort, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  let done = 0;
  while (done < bytes) {
    done += (await port.read(buffer, done, bytes - done)).bytesRead;
  }
  return buffer;
}

function descriptors(): number {
  return [...new Bun.Glob("*").scanSync({ cwd: "/proc/self/fd", onlyFiles: false })].length;
}

const open = (): Promise<LinuxPort> => linuxBinding.open({ path, baudRate: 115_200, way });

const first = await open();
await first.close();
const before = descriptors();
const port = await open();
await port.set({ dtr: true, rts: true });
const lines = await port.get();
const { baudRate } = await port.getBaudRate();
const TRIPS = 50;
const sent = Buffer.from(Array.from({ length: 20 }, (_, index) => (index * 37 + 0xa0) & 0xff));
let wrongBytes = 0;
const startMs = performance.now();
for (let trip = 0; trip < TRIPS; trip++) {
  await port.write(sent);
  const got = await readAll(port, sent.byteLength);
  wrongBytes += got.filter((byte, index) => byte !== sent[index]).byteLength;
}
const tripMs = (performance.now() - startMs) / TRIPS;
await port.drain();
const odd = await port.update({ baudRate: 250_000 }).then(
  async () => (await port.getBaudRate()).baudRate,
  (error: { readonly kind?: string }) => error.kind ?? String(error),
);
const rateAfterOdd = (await port.getBaudRate()).baudRate;
await port.close();
let reopened = 0;
for (; reopened < 20; reopened++) {
  const again = await open();
  await again.write(sent);
  const got = await readAll(again, sent.byteLength);
  if (!got.equals(sent)) break;
  await again.close();
}
const listed = await linuxBinding.list();
const report: SerialReport = {
  isListed: listed.some((one) => one.path === path),
  lines: { cts: lines.cts, dsr: lines.dsr, dcd: lines.dcd },
  baudRate,
  wrongBytes,
  tripMs,
  odd,
  rateAfterOdd,
  reopened,
  descriptorsLeft: descriptors() - before,
};
process.stdout.write(`${JSON.stringify(report)}\n`);
