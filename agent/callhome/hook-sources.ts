/**
 * What other programs put into the environment of the script that they call, as fields of a hook.
 *
 *   smartd      -M exec of smartd.conf(5): SMARTD_DEVICE, SMARTD_FAILTYPE, SMARTD_MESSAGE, SMARTD_TFIRSTEPOCH, …
 *   systemd     OnFailure= of systemd.unit(5): MONITOR_UNIT, MONITOR_SERVICE_RESULT, MONITOR_INVOCATION_ID, … (since 251);
 *               before it the unit's name only, given as `unit=%i`
 *   rasdaemon   triggers of 0.8 and later: TYPE, COUNT, MESSAGE, LABEL, … of memory errors; ERROR_TYPE, DEV_NAME, MSG of PCIe
 *               errors; PFN, PAGE_TYPE, ACTION_RESULT of pages that failed
 *
 * Keys are chosen so that a reminder of a known failure is the same event, and the next failure is another.
 */
type Env = Readonly<Record<string, string | undefined>>;
type Fields = Readonly<Record<string, string>>;

export type HookSourceName = "smartd" | "systemd" | "rasdaemon";

interface Draft {
  readonly severity: string;
  readonly category: string;
  readonly subject: string;
  readonly text: string;
  readonly key: string;
  readonly time?: string;
  readonly extra?: Env;
}

const NAMES: readonly HookSourceName[] = ["smartd", "systemd", "rasdaemon"];

export function hookSources(): readonly HookSourceName[] {
  return NAMES;
}

/** Of SMARTD_FAILTYPE. What smartd cannot say anything of, or says that it fails, is graver than a count that rose. */
const SMART_SEVERITY: Readonly<Record<string, string>> = {
  EmailTest: "information",
  Health: "critical",
  FailedHealthCheck: "critical",
  FailedOpenDevice: "critical",
  FailedReadSmartData: "critical",
  OfflineUncorrectableSector: "critical",
};

function smartd(env: Env): Draft {
  const device = env["SMARTD_DEVICE"] ?? "a disk";
  const kind = env["SMARTD_FAILTYPE"] ?? "";
  const first = env["SMARTD_TFIRSTEPOCH"] ?? "";
  return {
    severity: SMART_SEVERITY[kind] ?? "warning",
    category: "disk",
    subject: device,
    text: env["SMARTD_MESSAGE"] ?? `${device}: ${kind || "smartd reports a failure"}`,
    // Mailed again every day with the time of the first report: one failure.
    key: `smartd ${device} ${kind} ${first}`,
    ...(first === "" ? {} : { time: first }),
    extra: {
      smartFailure: kind,
      deviceInfo: env["SMARTD_DEVICEINFO"],
      deviceType: env["SMARTD_DEVICETYPE"],
    },
  };
}

function systemd(env: Env, given: Fields): Draft {
  const unit = env["MONITOR_UNIT"] ?? given["unit"] ?? "a unit";
  const result = env["MONITOR_SERVICE_RESULT"] ?? "";
  const status = [env["MONITOR_EXIT_CODE"], env["MONITOR_EXIT_STATUS"]]
    .filter((part) => part !== undefined && part !== "")
    .join(" ");
  const why = [result, status].filter((part) => part !== "").join(", ");
  const run = env["MONITOR_INVOCATION_ID"];
  return {
    severity: "critical",
    category: "service",
    subject: unit,
    text: `${unit} has failed${why === "" ? "" : `: ${why}`}`,
    // Without it each call is a failure of its own.
    key: run === undefined ? "" : `systemd ${unit} ${run}`,
    extra: { result, invocation: run },
  };
}

function rasdaemonMemory(env: Env): Draft {
  const label = env["LABEL"] ?? "";
  const kind = env["TYPE"] ?? "";
  const count = env["COUNT"] ?? "1";
  const where = [env["TOP_LAYER"], env["MIDDLE_LAYER"], env["LOWER_LAYER"]].join(":");
  const message = env["MESSAGE"] ?? "memory error";
  return {
    severity: rasSeverity(kind),
    category: "memory",
    subject: label === "" ? `memory controller ${env["MC_INDEX"] ?? "?"}` : label,
    text: `${count} ${kind.toLowerCase()} memory error${count === "1" ? "" : "s"}: ${message}`,
    key: `rasdaemon mc ${env["TIMESTAMP"]} ${label} ${where} ${env["ADDRESS"]} ${kind} ${count}`,
    extra: {
      count,
      controller: env["MC_INDEX"],
      layers: where,
      address: env["ADDRESS"],
      syndrome: env["SYNDROME"],
      driverDetail: env["DRIVER_DETAIL"],
    },
  };
}

/** `Corrected`, `Uncorrected`, `Uncorrected (Non-Fatal)`, `Fatal`, as rasdaemon writes it. */
function rasSeverity(kind: string): string {
  if (/(?<!non-)fatal/i.test(kind)) return "non-recoverable";
  return /uncorrected/i.test(kind) ? "critical" : "warning";
}

function rasdaemon(env: Env): Draft {
  const stamp = env["TIMESTAMP"] ?? "";
  const time = stamp === "" ? {} : { time: stamp };
  if (env["DEV_NAME"] !== undefined) {
    const kind = env["ERROR_TYPE"] ?? "";
    const device = env["DEV_NAME"];
    return {
      severity: rasSeverity(kind),
      category: "pcie",
      subject: device,
      text: `${kind} PCIe error: ${env["MSG"] ?? ""}`.trim(),
      key: `rasdaemon aer ${stamp} ${device} ${kind} ${env["MSG"]}`,
      ...time,
      extra: { tlpHeader: env["TLP_HEADER"] },
    };
  }
  if (env["PFN"] !== undefined) {
    const result = env["ACTION_RESULT"] ?? "";
    return {
      severity: result === "Recovered" ? "warning" : "critical",
      category: "memory",
      subject: `page ${env["PFN"]}`,
      text: `memory page ${env["PFN"]} failed (${env["PAGE_TYPE"] ?? "?"}): ${result}`,
      key: `rasdaemon mf ${stamp} ${env["PFN"]}`,
      ...time,
    };
  }
  return { ...rasdaemonMemory(env), ...time };
}

/** `given`: fields on the command line, which win over these. */
export function sourceFields(name: HookSourceName, env: Env, given: Fields): Fields {
  const drafts = { smartd, systemd, rasdaemon };
  const { extra = {}, ...draft } = drafts[name](env, given);
  const all = Object.entries<string | undefined>({ source: name, ...extra, ...draft });
  return Object.fromEntries(
    all.filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== ""),
  );
}
