/**
 * Goal: service data of a real BMC is complete, and everybody's tools can read it. Method: OpenIPMI's simulator as the BMC; the bundle is
 * opened by GNU tar with zstd and by Python, its raw event log is read by ipmitool, its parts and sensors compared with what is
 * known to be in the simulator. How long it took and how large it is, is said.
 */

import { expect } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { manifestSchema } from "../../agent/callhome/bundle/bundle.ts";
import { bmcEvent } from "../../agent/callhome/bundle/harness/bmc-event.ts";
import { openServiceData } from "../../agent/callhome/bundle/io/open-service-data.ts";
import { openBmc } from "../../bmc/link/io/open-bmc.ts";
import { hasCommand, realPart } from "../real-part.ts";
import {
  hasIpmiSim,
  SIM_FRU,
  SIM_GUID,
  SIM_PASSWORD,
  SIM_REMEDY,
  SIM_USER,
  startIpmiSim,
} from "./bmc/ipmi-sim.ts";

const sim = realPart(
  "ipmi_sim, zstd, tar and python3",
  () => hasIpmiSim() && ["zstd", "tar", "python3"].every(hasCommand),
  `${SIM_REMEDY} zstd tar python3`,
);

const SEL_RECORDS = 300;

function run(argv: readonly string[], cwd: string): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...argv], { cwd });
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}

const PYTHON = `
import hashlib, io, json, subprocess, sys, tarfile
raw = subprocess.run(["zstd", "-dc", sys.argv[1]], check=True, capture_output=True).stdout
tar = tarfile.open(fileobj=io.BytesIO(raw))
manifest = json.load(tar.extractfile("manifest.json"))
for item in manifest["items"]:
    if item["sha256"] is None: continue
    data = tar.extractfile(item["name"]).read()
    assert hashlib.sha256(data).hexdigest() == item["sha256"], item["name"]
    assert len(data) == item["bytes"], item["name"]
print(len(tar.getmembers()))
`;

sim(
  "a bundle of a real BMC is read by tar, Python and ipmitool",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-service-"));
    const bmc = await startIpmiSim({ selRecords: SEL_RECORDS });
    const passwordFile = join(bmc.folder, "password");
    await Bun.write(passwordFile, `${SIM_PASSWORD}\n`);
    run(["chmod", "600", passwordFile], folder);
    try {
      const opened = await openServiceData({
        ...{ folder: join(folder, "data"), cluster: "tokyo", node: "n7", hasReview: true },
        log: { say: () => undefined },
        nowMs: () => Date.now(),
        openBmc: () => openBmc(bmc.lanUrl, { passwordFile, onNotice: () => undefined }),
        ...{ agentFiles: () => ({}), agentDocuments: () => ({}), targets: () => [] },
        findEvent: () => null,
      });
      if (!opened.ok) throw new Error(opened.error);
      const now = Date.now();
      const event = bmcEvent({ system: SIM_GUID, whenMs: now, seenMs: now });
      const made = await opened.value.collect(event);
      if (!made.ok) throw new Error(made.error);
      const bundle = join(folder, "data/own", `${made.value.id}.tar.zst`);
      const names = run(["tar", "--zstd", "-tf", bundle], folder).trim().split("\n");
      expect(names[0]).toBe("manifest.json");
      expect(Number(run(["python3", "-c", PYTHON, bundle], folder))).toBe(names.length);

      run(["tar", "--zstd", "-xf", bundle], folder);
      const text = (name: string): string => readFileSync(join(folder, name), "utf8");
      const manifest = manifestSchema.parse(JSON.parse(text("manifest.json")));
      const faults = manifest.items.filter(
        ({ name, fault }) => name.startsWith("bmc/") && fault !== null,
      );
      // The simulator has no watchdog that was set, which is no fault; everything is there.
      expect(faults.map(({ name }) => name).filter((name) => name !== "bmc/watchdog.json")).toEqual(
        [],
      );

      const sel = JSON.parse(text("bmc/sel.json"));
      expect(sel.entries).toHaveLength(SEL_RECORDS);
      // What ipmitool reads of our raw records is what it reads of the BMC itself.
      const ipmitool = (...verb: readonly string[]): string => {
        const wire = ["-I", "lanplus", "-C", "3", "-H", "127.0.0.1", "-p", `${bmc.lanPort}`];
        return run(["ipmitool", ...wire, "-U", SIM_USER, "-f", passwordFile, ...verb], folder);
      };
      const byFile = ipmitool("sel", "readraw", "bmc/sel.bin").trim().split("\n");
      expect(byFile).toHaveLength(SEL_RECORDS);
      expect(byFile.join()).toContain("Memory");
      ipmitool("sel", "writeraw", "theirs.bin");
      const hash = (name: string): string =>
        createHash("sha256")
          .update(readFileSync(join(folder, name)))
          .digest("hex");
      expect(hash("bmc/sel.bin")).toBe(hash("theirs.bin"));

      const sensors = JSON.parse(text("bmc/sensors.json")) as {
        name: string;
        value: number | null;
      }[];
      expect(sensors.some(({ value }) => value === 48)).toBe(true);
      const fru = text("bmc/fru.json");
      for (const word of [SIM_FRU.board[2], SIM_FRU.product[4]]) expect(fru).toContain(word);
      expect(JSON.parse(text("bmc/identity.json")).guid).toBe(SIM_GUID);
      const sdr = JSON.parse(text("bmc/sdr.json"));
      // Each record is its header and as many bytes as that says.
      const stored = readFileSync(join(folder, "bmc/sdr.bin"));
      let count = 0;
      for (let at = 0; at < stored.length; at += 5 + (stored[at + 4] ?? 0)) count++;
      expect(count).toBe(sdr.records.length);
      expect(text("event.json")).toContain(event.id);
      const { tookMs, bytes } = manifest;
      process.stdout.write(
        `service data: ${SEL_RECORDS} SEL records in ${tookMs} ms, ${bytes} bytes, packed ${made.value.bytes}\n`,
      );
      await opened.value.stop();
    } finally {
      await bmc.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  },
  120_000,
);
