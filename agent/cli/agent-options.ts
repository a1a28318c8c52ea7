/**
 * What an agent is told at its start: by flags, by a TOML file, or by both; a flag wins over the file.
 *
 * Both are validated by one schema, and each error is one line that names the file and line, or the flag.
 */
import { z } from "zod";
import type { Severity } from "../../bmc/bmc.ts";
import { parseBmcUrl } from "../../bmc/link/bmc-url.ts";
import { parseProxy } from "../net/outgoing-proxy.ts";
import { CliError, EXIT_CONFIG, EXIT_USAGE } from "./cli-error.ts";

/** A socket below it, `/holdfast-<8>-<6>/j-<8>/rank-<5>/segment.sock`, must stay within the 107 bytes of its address. */
const SHM_CHARACTERS_MAX = 48;

const port = z.number().int().min(1).max(65_535);

const seed = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[\d.]+):\d{1,5}$/, "must be ADDRESS:PORT, such as 10.0.0.1:7400");

const endpoint = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[\d.]+):\d{1,5}$/, "must be ADDRESS:PORT, such as 0.0.0.0:162");

const bmcUrl = z.string().refine((text) => parseBmcUrl(text).ok, {
  error: (issue) => {
    const parsed = parseBmcUrl(String(issue.input));
    return parsed.ok ? "" : parsed.error.detail;
  },
});

/** `HOST:PORT` or a URL; without a scheme the identity says which. */
function isOrigin(text: string): boolean {
  const url = text.includes("://") ? text : `https://${text}`;
  if (!URL.canParse(url)) return false;
  const { protocol, username, password, search, hash, hostname } = new URL(url);
  const isHttp = protocol === "http:" || protocol === "https:";
  return isHttp && hostname !== "" && `${username}${password}${search}${hash}` === "";
}

const origin = z
  .string()
  .max(256)
  .refine(isOrigin, "must be HOST:PORT or an http or https URL without a user in it");

const proxyUrl = z
  .string()
  .refine((text) => parseProxy(text) !== null, "must be an URL such as http://10.0.0.1:3128");

const standIn = z
  .string()
  .refine((text) => /^[a-z0-9-]{1,32}=/.test(text) && parseBmcUrl(afterEquals(text)).ok, {
    error: (issue) => {
      const parsed = parseBmcUrl(afterEquals(String(issue.input)));
      const what = "must be NODE=URL, such as n2=serial:/dev/ttyS1";
      return parsed.ok ? what : `${what}: ${parsed.error.detail}`;
    },
  });

export function afterEquals(text: string): string {
  return text.slice(text.indexOf("=") + 1);
}

/** Named as flags are: `--bmc-password-file`, and `bmc-password-file = "…"` in a file. */
const agentSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9-]{1,32}$/, "must be 1 to 32 of a-z, 0-9 and -"),
  address: z
    .union([z.ipv4(), z.ipv6()], { error: "must be an IP address of this node" })
    .default("127.0.0.1"),
  port: port.default(7400),
  data: z.string().min(1),
  join: z.array(seed, { error: 'must be a list, such as ["10.0.0.1:7400"]' }).default([]),
  found: z.boolean().default(false),
  witness: z.boolean().default(false),
  shm: z.string().startsWith("/").max(SHM_CHARACTERS_MAX).default("/dev/shm"),
  log: z.enum(["fault", "event", "detail"]).default("event"),
  bmc: z.array(bmcUrl, { error: 'must be a list, such as ["kcs:/dev/ipmi0"]' }).default([]),
  "bmc-password-file": z.string().min(1).nullable().default(null),
  "bmc-poll-seconds": z.number().min(0.1).max(3600).default(5),
  pet: endpoint.nullable().default(null),
  "pet-acknowledge": z.boolean().default(true),
  "hooks-token-file": z.string().min(1).nullable().default(null),
  "hooks-spool": z.string().startsWith("/", "must be a full path").nullable().default(null),
  manager: z
    .array(origin, { error: 'must be a list, such as ["https://10.0.0.5:7443"]' })
    .max(8)
    .default([]),
  destination: origin.nullable().default(null),
  "destination-ca": z.string().min(1).nullable().default(null),
  "callhome-severity": z
    .enum(["information", "ok", "warning", "critical", "non-recoverable"], {
      error: "must be information, warning, critical or non-recoverable",
    })
    .default("warning"),
  "heartbeat-hours": z.number().min(0).max(720).default(24),
  "http-proxy": proxyUrl.nullable().default(null),
  "bmc-lan": bmcUrl.nullable().default(null),
  "stand-in": z
    .array(standIn, { error: 'must be a list, such as ["n2=serial:/dev/ttyS1"]' })
    .default([]),
  "bundle-severity": z
    .enum(["none", "information", "warning", "critical", "non-recoverable"], {
      error: "must be none, information, warning, critical or non-recoverable",
    })
    .default("critical"),
  "bundle-review": z.boolean().default(false),
  "bundle-redact": z.string().min(1).nullable().default(null),
  identity: z.string().min(1).nullable().default(null),
  insecure: z.boolean().default(false),
  "hooks-listen": endpoint.nullable().default(null),
});

export interface AgentOptions {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly data: string;
  readonly join: readonly string[];
  readonly found: boolean;
  readonly witness: boolean;
  readonly shm: string;
  readonly log: "fault" | "event" | "detail";
  /** URLs of the BMCs that this agent watches; the first is its own machine's. */
  readonly bmc: readonly string[];
  readonly bmcPasswordFile: string | null;
  readonly bmcPollSeconds: number;
  /** Where traps of BMCs are heard. */
  readonly pet: string | null;
  readonly petAcknowledge: boolean;
  readonly hooksTokenFile: string | null;
  readonly hooksSpool: string | null;
  /** In order of preference. */
  readonly manager: readonly string[];
  readonly destination: string | null;
  /** PEM of its authority, where it is of another cluster. */
  readonly destinationCa: string | null;
  /** The least that is told. */
  readonly callhomeSeverity: Severity;
  /** The least that service data is gathered for. */
  readonly bundleSeverity: Severity | "none";
  /** An operator approves service data before it leaves. */
  readonly bundleReview: boolean;
  /** TOML of what more is taken out of service data. */
  readonly bundleRedact: string | null;
  /** 0: no sign of life. */
  readonly heartbeatHours: number;
  /** For the way to the destination. */
  readonly httpProxy: string | null;
  /** How other nodes reach this machine's BMC. */
  readonly bmcLan: string | null;
  /** `NODE=URL`: how this node reaches the BMC of another. */
  readonly standIn: readonly string[];
  readonly identity: string | null;
  /** In the clear on an address that others reach. */
  readonly insecure: boolean;
  /** Where hooks are heard besides. */
  readonly hooksListen: string | null;
}

/** What is given so far; undefined: not given. */
export type PartialOptions = { readonly [K in keyof AgentOptions]?: AgentOptions[K] | undefined };

function parses(text: string): string | null {
  try {
    Bun.TOML.parse(text);
    return null;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

/**
 * Bun's parser does not say where: it is the first line at which the text up to there fails in the same way as the whole.
 * Quadratic, in a file of some dozens of lines.
 */
function lineOfSyntaxError(text: string, message: string): number {
  const lines = text.split("\n");
  for (let count = 1; count < lines.length; count++) {
    if (parses(`${lines.slice(0, count).join("\n")}\n`) === message) return count;
  }
  return lines.length;
}

function lineOfKey(text: string, key: string): number | null {
  const isOf = (line: string): boolean =>
    line.startsWith(key) && !/^[\w-]/.test(line.slice(key.length));
  const index = text.split("\n").findIndex((line) => isOf(line.trimStart()));
  return index === -1 ? null : index + 1;
}

export function readToml(path: string, text: string): Readonly<Record<string, unknown>> {
  const message = parses(text);
  if (message !== null) {
    const line = lineOfSyntaxError(text, message);
    const what = message.replace(/^TOML Parse error: /, "");
    throw new CliError(`${path}:${line}: ${what}`, EXIT_CONFIG, "mend that line");
  }
  return Bun.TOML.parse(text) as Record<string, unknown>;
}

interface Source {
  readonly path: string;
  readonly text: string;
}

type Flags = Readonly<Record<string, unknown>>;

function complain(issue: z.core.$ZodIssue, flags: Flags, file: Source | null): CliError {
  const isUnknown = issue.code === "unrecognized_keys";
  const key = isUnknown ? String(issue.keys[0]) : String(issue.path[0] ?? "");
  const isFlag = flags[key] !== undefined;
  const what = isUnknown ? "is no setting of an agent" : issue.message;
  const known = `known are: ${Object.keys(agentSchema.shape).join(", ")}`;
  if (file !== null && !isFlag) {
    const line = lineOfKey(file.text, key);
    if (line !== null) {
      return new CliError(
        `${file.path}:${line}: ${key}: ${what}`,
        EXIT_CONFIG,
        isUnknown ? known : undefined,
      );
    }
  }
  const isMissing = issue.code === "invalid_type" && !isFlag;
  if (isMissing) {
    const nowhere = file === null ? "" : `, and ${file.path} has no ${key}`;
    return new CliError(`--${key} is missing${nowhere}`, EXIT_USAGE, "see holdfast agent --help");
  }
  return new CliError(`--${key}: ${what}`, EXIT_USAGE, "see holdfast agent --help");
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function camel(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** What the schema gives, under the names of `AgentOptions`. */
function named(settings: z.output<typeof agentSchema>): AgentOptions {
  const entries = Object.entries(settings).map(([name, value]) => [camel(name), value]);
  return Object.fromEntries(entries) as AgentOptions;
}

export function agentOptions(given: PartialOptions, file: Source | null): AgentOptions {
  const fromFile = file === null ? {} : readToml(file.path, file.text);
  const flags = Object.fromEntries(
    Object.entries(given)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [kebab(name), value]),
  );
  const parsed = agentSchema.safeParse({ ...fromFile, ...flags });
  if (parsed.success) return named(parsed.data);
  const { issues } = parsed.error;
  // A setting that is misspelt is why another one is missing.
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  if (issue === undefined) throw parsed.error;
  throw complain(issue, flags, file);
}
