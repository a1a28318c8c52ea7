/**
 * Goal: the simulator that other tests rely on answers as they assume. Method: ipmitool, over LAN and over both serial modes.
 */
import { describe, expect } from "bun:test";
import { realPart } from "../../real-part.ts";
import {
  hasIpmiSim,
  type IpmiSim,
  ptyTo,
  SIM_PASSWORD,
  SIM_REMEDY,
  SIM_USER,
  type SimCodec,
  startIpmiSim,
} from "./ipmi-sim.ts";

const sim = realPart("ipmi_sim", hasIpmiSim, SIM_REMEDY);

function ipmitool(argv: readonly string[]): string {
  const child = Bun.spawnSync(["ipmitool", ...argv], { timeout: 20_000 });
  return child.stdout.toString();
}

function overLan({ lanPort }: IpmiSim): readonly string[] {
  const [port, user, password] = [String(lanPort), SIM_USER, SIM_PASSWORD];
  return ["-I", "lanplus", "-H", "127.0.0.1", "-p", port, "-U", user, "-P", password, "-C", "3"];
}

describe("ipmi_sim", () => {
  sim("answers over LAN, with its records and an event raised on its console", async () => {
    const bmc = await startIpmiSim({ selRecords: 7 });
    try {
      const lan = overLan(bmc);
      expect(
        ipmitool([...lan, "sel", "list"])
          .trim()
          .split("\n"),
      ).toHaveLength(7);
      await bmc.setMemoryError(true);
      expect(ipmitool([...lan, "sel", "list"])).toContain("Uncorrectable ECC");
      expect(ipmitool([...lan, "sdr", "elist"])).toContain("CPU0 Temp");
      expect(ipmitool([...lan, "fru"])).toContain("BSN0001");
    } finally {
      await bmc.stop();
    }
  });

  const modes: readonly (readonly [SimCodec, string])[] = [
    ["direct", "serial-basic"],
    ["terminal", "serial-terminal"],
  ];
  for (const [codec, name] of modes) {
    sim(`answers ipmitool -I ${name} on a PTY`, async () => {
      const bmc = await startIpmiSim({ codec });
      const pty = await ptyTo(bmc);
      try {
        const info = ipmitool(["-I", name, "-D", `${pty.path}:115200`, "mc", "info"]);
        expect(info).toContain("Device ID");
      } finally {
        await pty.stop();
        await bmc.stop();
      }
    });
  }
});
