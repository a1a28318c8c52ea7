/**
 * Goal: what smartd, systemd and rasdaemon tell becomes an event with the right words, and a reminder is not a second one.
 * Method: environments as these programs document and set them.
 */
import { describe, expect, test } from "bun:test";
import { readHookFields } from "./hook-fields.ts";
import { type HookSourceName, sourceFields } from "./hook-sources.ts";

function fieldsOf(name: HookSourceName, env: Record<string, string>, given = {}) {
  const fields = readHookFields(sourceFields(name, env, given));
  if (!fields.ok) throw new Error(fields.error);
  return fields.value;
}

describe("a hook from smartd", () => {
  /** As `smartd` 7.3 sets it for `-M exec`. */
  const env = {
    SMARTD_MAILER: "/usr/local/bin/script",
    SMARTD_DEVICE: "/dev/sda",
    SMARTD_DEVICETYPE: "sat",
    SMARTD_DEVICESTRING: "/dev/sda [SAT]",
    SMARTD_DEVICEINFO: "WDC WD4000, S/N:WD-WCC7K0, WWN:5-0014ee-2b9c, FW:80.00A80, 4.00 TB",
    SMARTD_FAILTYPE: "CurrentPendingSector",
    SMARTD_MESSAGE: "Device: /dev/sda [SAT], 8 Currently unreadable (pending) sectors",
    SMARTD_TFIRST: "Sun Nov 22 10:36:42 2026 UTC",
    SMARTD_TFIRSTEPOCH: "1795343802",
    SMARTD_PREVCNT: "0",
    SMARTD_NEXTDAYS: "1",
  };

  test("names the disk and what smartd says of it", () => {
    expect(fieldsOf("smartd", env)).toMatchObject({
      severity: "warning",
      category: "disk",
      subject: "/dev/sda",
      text: "Device: /dev/sda [SAT], 8 Currently unreadable (pending) sectors",
      timeMs: 1_795_343_802_000,
      extra: { source: "smartd", smartFailure: "CurrentPendingSector", deviceType: "sat" },
    });
    expect(fieldsOf("smartd", { ...env, SMARTD_FAILTYPE: "Health" }).severity).toBe("critical");
    expect(fieldsOf("smartd", { ...env, SMARTD_FAILTYPE: "EmailTest" }).severity).toBe(
      "information",
    );
  });

  test("that reminds is the same event, another failure is not", () => {
    const key = (more: Record<string, string>) => fieldsOf("smartd", { ...env, ...more }).key;
    expect(key({ SMARTD_PREVCNT: "1", SMARTD_MESSAGE: "… 9 sectors" })).toBe(key({}));
    expect(key({ SMARTD_FAILTYPE: "Health" })).not.toBe(key({}));
    expect(key({ SMARTD_DEVICE: "/dev/sdb" })).not.toBe(key({}));
  });
});

describe("a hook from systemd", () => {
  const env = {
    MONITOR_SERVICE_RESULT: "exit-code",
    MONITOR_EXIT_CODE: "exited",
    MONITOR_EXIT_STATUS: "1",
    MONITOR_INVOCATION_ID: "755e6fd1b5554d0f9c9cb2a8fdb7a6d3",
    MONITOR_UNIT: "backup.service",
  };

  test("names the unit and how it ended, once a run", () => {
    const fields = fieldsOf("systemd", env);
    expect(fields).toMatchObject({
      severity: "critical",
      category: "service",
      subject: "backup.service",
      text: "backup.service has failed: exit-code, exited 1",
    });
    const next = { ...env, MONITOR_INVOCATION_ID: "0".repeat(32) };
    expect(fieldsOf("systemd", next).key).not.toBe(fields.key);
  });

  test("before version 251 has the unit from the command line", () => {
    const fields = fieldsOf("systemd", {}, { unit: "backup.service" });
    expect(fields).toMatchObject({ text: "backup.service has failed", key: null });
  });
});

describe("a hook from rasdaemon", () => {
  const memory = {
    TIMESTAMP: "2026-11-22 10:36:42 +0000",
    COUNT: "2",
    TYPE: "Corrected",
    MESSAGE: "memory read error",
    LABEL: "CPU_SrcID#0_Ha#0_Chan#0_DIMM#0",
    MC_INDEX: "0",
    TOP_LAYER: "0",
    MIDDLE_LAYER: "0",
    LOWER_LAYER: "-1",
    ADDRESS: "0x12345000",
    GRAIN: "32",
    SYNDROME: "0x0",
    DRIVER_DETAIL: "err_code:0101:0091",
  };

  test("tells memory errors by their module", () => {
    expect(fieldsOf("rasdaemon", memory)).toMatchObject({
      severity: "warning",
      category: "memory",
      subject: "CPU_SrcID#0_Ha#0_Chan#0_DIMM#0",
      text: "2 corrected memory errors: memory read error",
      timeMs: Date.UTC(2026, 10, 22, 10, 36, 42),
    });
    expect(fieldsOf("rasdaemon", { ...memory, TYPE: "Uncorrected", COUNT: "1" })).toMatchObject({
      severity: "critical",
      text: "1 uncorrected memory error: memory read error",
    });
  });

  test("tells PCIe errors by their device, and pages that failed", () => {
    const aer = {
      TIMESTAMP: "2026-11-22 10:36:42 +0000",
      ERROR_TYPE: "Uncorrected (Non-Fatal)",
      DEV_NAME: "0000:3b:00.0",
      MSG: "Completion Timeout",
    };
    expect(fieldsOf("rasdaemon", aer)).toMatchObject({
      severity: "critical",
      category: "pcie",
      subject: "0000:3b:00.0",
      text: "Uncorrected (Non-Fatal) PCIe error: Completion Timeout",
    });
    const fatal = { ...aer, ERROR_TYPE: "Uncorrected (Fatal)" };
    expect(fieldsOf("rasdaemon", fatal).severity).toBe("non-recoverable");
    const page = { PFN: "0x1234", PAGE_TYPE: "clean LRU page", ACTION_RESULT: "Recovered" };
    expect(fieldsOf("rasdaemon", page)).toMatchObject({
      severity: "warning",
      subject: "page 0x1234",
    });
  });
});
