/**
 * The whole event log of OpenIPMI's `ipmi_sim`, read, decoded and printed, as a whole process: over LAN on loopback, over LAN
 * with 5 ms round trip added, over a serial line in Basic Mode.
 *
 * Peers: FreeIPMI's `ipmi-sel` (its cache of sensor records filled) and `ipmitool`. All take turns; cipher suite 3, the only
 * one with encryption that the simulator has. The round trip is added by a relay of UDP datagrams, the serial line is a PTY.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  freePort,
  hasIpmiSim,
  ptyTo,
  SIM_REMEDY,
  SIM_USER,
  startIpmiSim,
} from "../test/real/bmc/ipmi-sim.ts";
import { type Measurement, Unavailable } from "./bench.ts";
import { compared, contender, holdfastSel, ipmiSel, ipmitoolLan, race } from "./bmc/contenders.ts";

const RELAY = join(import.meta.dir, "../test/real/bmc/fixtures/udp-delay.py");
const RTT_MS = 5;
const FASTER_LAN = { must: 1, aim: 2 };
const FASTER_FAR = { must: 6, aim: 12 };
const FASTER_SERIAL = { must: 2, aim: 3 };

function lanUrl(port: number): string {
  return `lan://${SIM_USER}@127.0.0.1:${port}?cipher=3`;
}

async function onLoopback(home: string): Promise<readonly Measurement[]> {
  const entries = 10_000;
  const sim = await startIpmiSim({ selRecords: entries });
  try {
    const ours = holdfastSel(lanUrl(sim.lanPort));
    const free = ipmiSel(sim.lanPort, home);
    const tool = ipmitoolLan(sim.lanPort);
    await race({ contenders: [ours, free, tool], runs: 7, entries });
    const what = `${entries} entries of a SEL over LAN, suite 3, loopback, whole process`;
    return [
      compared({ bench: "bmc-sel-lan-ipmi-sel", what, ours, peer: free, ...FASTER_LAN }),
      compared({ bench: "bmc-sel-lan-ipmitool", what, ours, peer: tool, ...FASTER_LAN }),
    ];
  } finally {
    await sim.stop();
  }
}

/** Until somebody listens on this UDP port of the loopback address. */
async function untilBound(port: number): Promise<void> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  for (let i = 0; i < 500; i++) {
    if ((await Bun.file("/proc/net/udp").text()).includes(wanted)) return;
    await Bun.sleep(10);
  }
  throw new Error(`nobody listens on UDP port ${port}`);
}

async function fromAfar(home: string): Promise<readonly Measurement[]> {
  const entries = 1_000;
  const sim = await startIpmiSim({ selRecords: entries });
  const port = await freePort();
  const argv = ["python3", RELAY, String(port), String(sim.lanPort), String(RTT_MS)];
  const relay = Bun.spawn(argv, { stdout: "ignore", stderr: "ignore" });
  try {
    await untilBound(port);
    const ours = holdfastSel(lanUrl(port));
    const free = ipmiSel(port, home);
    const tool = ipmitoolLan(port);
    await race({ contenders: [ours, free, tool], runs: 5, entries });
    const what = `${entries} entries of a SEL over LAN, suite 3, ${RTT_MS} ms round trip added, whole process`;
    return [
      compared({ bench: "bmc-sel-far-ipmi-sel", what, ours, peer: free, ...FASTER_FAR }),
      compared({ bench: "bmc-sel-far-ipmitool", what, ours, peer: tool, ...FASTER_FAR }),
    ];
  } finally {
    relay.kill("SIGKILL");
    await relay.exited;
    await sim.stop();
  }
}

async function overSerial(): Promise<readonly Measurement[]> {
  const entries = 1_000;
  const sim = await startIpmiSim({ codec: "direct", selRecords: entries });
  const pty = await ptyTo(sim);
  try {
    const ours = holdfastSel(`serial:${pty.path}?baud=115200&mode=basic`);
    const argv = ["-I", "serial-basic", "-D", `${pty.path}:115200`, "sel", "list"];
    const tool = contender("ipmitool -I serial-basic sel list", ["ipmitool", ...argv]);
    await race({ contenders: [ours, tool], runs: 7, entries });
    const what = `${entries} entries of a SEL over serial Basic Mode on a PTY, whole process`;
    return [compared({ bench: "bmc-sel-serial", what, ours, peer: tool, ...FASTER_SERIAL })];
  } finally {
    await pty.stop();
    await sim.stop();
  }
}

export async function run(): Promise<readonly Measurement[]> {
  if (!hasIpmiSim()) throw new Unavailable(`ipmi_sim and its peers are missing: ${SIM_REMEDY}`);
  const home = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  try {
    return [...(await onLoopback(home)), ...(await fromAfar(home)), ...(await overSerial())];
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}
