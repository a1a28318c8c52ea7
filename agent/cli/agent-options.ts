/**
 * What an agent is told at its start: by flags, by a TOML file, or by both; a flag wins over the file.
 *
 * Both are validated by one schema, and each error is one line that names the file and line, or the flag.
 */
import { z } from "zod";
import { CliError, EXIT_CONFIG, EXIT_USAGE } from "./cli-error.ts";

/** A socket below it, `/holdfast-<8>-<6>/j-<8>/rank-<5>/segment.sock`, must stay within the 107 bytes of its address. */
const SHM_CHARACTERS_MAX = 48;

const port = z.number().int().min(1).max(65_535);

const seed = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[\d.]+):\d{1,5}$/, "must be ADDRESS:PORT, such as 10.0.0.1:7400");

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
  const index = text.split("\n").findIndex((line) => line.trimStart().startsWith(key));
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

function complain(issue: z.core.$ZodIssue, given: PartialOptions, file: Source | null): CliError {
  const isUnknown = issue.code === "unrecognized_keys";
  const key = isUnknown ? String(issue.keys[0]) : String(issue.path[0] ?? "");
  const isFlag = (given as Record<string, unknown>)[key] !== undefined;
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

export function agentOptions(given: PartialOptions, file: Source | null): AgentOptions {
  const fromFile = file === null ? {} : readToml(file.path, file.text);
  const flags = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
  const parsed = agentSchema.safeParse({ ...fromFile, ...flags });
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  // A setting that is misspelt is why another one is missing.
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  if (issue === undefined) throw parsed.error;
  throw complain(issue, given, file);
}
