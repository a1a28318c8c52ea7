/**
 * The lines of the ledger: how they are bound to each other, and how anybody can check that none was changed, left out or added.
 *
 * A ledger is text, a JSON object a line, each line ended by `\n`. Frozen: others verify it with programs of their own.
 *
 *   {"n":7,"atMs":1764062000123,"id":"…","step":"sent","path":"manager m1","reason":"first choice","ticket":null,"prev":"…"}
 *   {"n":8,"atMs":1764062000130,"checkpoint":{…DSSE envelope…},"prev":"…"}
 *   {"n":9,"atMs":1764062060000,"gap":12,"prev":"…"}
 *
 * - `n` rises by one a line. `prev` is the SHA-256, in lower-case hex, of the bytes of the line before without its `\n`; of the
 *   very first line 64 zeros.
 * - A checkpoint is a DSSE envelope of payload type `application/vnd.holdfast.ledger+json` over the JSON
 *   `{"v":1,"cluster":…,"node":…,"n":8,"prev":"…","atMs":…}`: the node signs that the line of this number follows the line with
 *   this digest, and so everything before it. Signed is PAE(type, payload) with Ed25519, the certificate is in the envelope.
 * - Each file begins with a checkpoint. Where retention has deleted older files, it is the anchor: what is left is
 *   verified from it on, and its `n` and `prev` say how much there was before and what its last line was.
 * - A gap says how many steps could not be written while the disk was full.
 */
import { err, ok, type Result } from "../../core/result.ts";
import type { Envelope, Signer, Verifier } from "../identity/identity.ts";
import type { DeliveryStep, Path, PathKind, StepKind } from "./delivery-events.ts";
import type { LedgerEntry } from "./ledger.ts";

export const LEDGER_TYPE = "application/vnd.holdfast.ledger+json";
export const NO_LINE: string = "0".repeat(64);

/** Lower-case hex. */
export type Sha256Hex = (text: string) => string;

export interface LedgerStatement {
  readonly v: 1;
  readonly cluster: string;
  readonly node: string;
  readonly n: number;
  readonly prev: string;
  readonly atMs: number;
}

export function pathText(path: Path | null): string | null {
  return path === null ? null : `${path.kind} ${path.name}`;
}

function pathOf(text: string | null): Path | null {
  const [, kind, name] = /^(manager|direct|peer) (.*)$/s.exec(text ?? "") ?? [];
  return kind === undefined || name === undefined ? null : { kind: kind as PathKind, name };
}

/** The chain's end: what the next line is made from. */
export interface ChainEnd {
  readonly n: number;
  /** Digest of the last line. */
  readonly head: string;
}

export const EMPTY_CHAIN: ChainEnd = { n: 0, head: NO_LINE };

export class LedgerChain {
  readonly #sha256: Sha256Hex;
  #end: ChainEnd;

  constructor(sha256: Sha256Hex, end: ChainEnd = EMPTY_CHAIN) {
    this.#sha256 = sha256;
    this.#end = end;
  }

  get end(): ChainEnd {
    return this.#end;
  }

  step({ id, step, path, reason, ticket }: DeliveryStep, atMs: number): string {
    const way = JSON.stringify(pathText(path));
    const why = JSON.stringify(reason);
    // Ids and steps are of a closed alphabet: nothing in them is to be escaped.
    return this.#line(
      atMs,
      `"id":"${id}","step":"${step}","path":${way},"reason":${why},"ticket":${JSON.stringify(ticket)}`,
    );
  }

  gap(count: number, atMs: number): string {
    return this.#line(atMs, `"gap":${count}`);
  }

  checkpoint(signer: Signer, atMs: number): string {
    const { cluster, name } = signer.principal;
    const { n, head } = this.#end;
    const said: LedgerStatement = { v: 1, cluster, node: name, n: n + 1, prev: head, atMs };
    const envelope = signer.sign(LEDGER_TYPE, new TextEncoder().encode(JSON.stringify(said)));
    return this.#line(atMs, `"checkpoint":${JSON.stringify(envelope)}`);
  }

  #line(atMs: number, fields: string): string {
    const { n, head } = this.#end;
    const line = `{"n":${n + 1},"atMs":${atMs},${fields},"prev":"${head}"}`;
    this.#end = { n: n + 1, head: this.#sha256(line) };
    return line;
  }
}

export type LedgerLine =
  | { readonly kind: "step"; readonly entry: LedgerEntry; readonly prev: string }
  | {
      readonly kind: "checkpoint";
      readonly n: number;
      readonly atMs: number;
      readonly prev: string;
      readonly envelope: Envelope;
    }
  | {
      readonly kind: "gap";
      readonly n: number;
      readonly atMs: number;
      readonly prev: string;
      readonly count: number;
    };

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isEnvelope(value: unknown): value is Envelope {
  return (
    isRecord(value) &&
    typeof value["payloadType"] === "string" &&
    typeof value["payload"] === "string" &&
    Array.isArray(value["signatures"])
  );
}

/** null: it is no line of a ledger. */
export function parseLine(line: string): LedgerLine | null {
  let read: unknown;
  try {
    read = JSON.parse(line);
  } catch {
    return null;
  }
  if (!isRecord(read)) return null;
  const { n, atMs, prev } = read;
  if (typeof n !== "number" || typeof atMs !== "number" || typeof prev !== "string") return null;
  if (isEnvelope(read["checkpoint"])) {
    return { kind: "checkpoint", n, atMs, prev, envelope: read["checkpoint"] };
  }
  if (typeof read["gap"] === "number") return { kind: "gap", n, atMs, prev, count: read["gap"] };
  const { id, step, path, reason, ticket } = read;
  if (typeof id !== "string" || typeof step !== "string" || typeof reason !== "string") return null;
  const way = typeof path === "string" ? pathOf(path) : null;
  const entry: LedgerEntry = {
    n,
    atMs,
    id,
    step: step as StepKind,
    path: way,
    reason,
    ticket: typeof ticket === "string" ? ticket : null,
  };
  return { kind: "step", entry, prev };
}

export interface LedgerVerdict {
  readonly firstN: number;
  readonly lastN: number;
  readonly checkpointCount: number;
  /** Number of the last signed checkpoint: what follows is bound to it, but whoever cut the end off is not noticed. */
  readonly signedN: number;
  /** Steps that could not be written. */
  readonly gapCount: number;
  /** Who signed. */
  readonly node: string;
}

export interface LedgerFault {
  /** Place in what was given, from 1. */
  readonly line: number;
  readonly detail: string;
}

export interface LedgerChecks {
  readonly sha256: Sha256Hex;
  readonly verifier: Verifier;
}

function statementOf(payload: Uint8Array): Partial<LedgerStatement> {
  try {
    const read: unknown = JSON.parse(new TextDecoder().decode(payload));
    return isRecord(read) ? read : {};
  } catch {
    return {};
  }
}

type Checkpoint = Extract<LedgerLine, { readonly kind: "checkpoint" }>;

function checkCheckpoint(line: Checkpoint, verifier: Verifier): Result<string, string> {
  const verified = verifier.verify(line.envelope, LEDGER_TYPE, line.atMs);
  if (!verified.ok) return err(`the checkpoint does not hold: ${verified.error.detail}`);
  const { principal, payload } = verified.value;
  const said = statementOf(payload);
  if (said.n !== line.n || said.prev !== line.prev || said.atMs !== line.atMs) {
    return err("the checkpoint signs another place than where it stands");
  }
  if (said.node !== principal.name || said.cluster !== principal.cluster) {
    return err("the checkpoint names another node than the one that signed it");
  }
  return ok(principal.name);
}

/** Goes through the lines in order; what it has seen so far is its verdict. */
class LedgerReader {
  readonly #checks: LedgerChecks;
  #before: ChainEnd | null = null;
  #node: string | null = null;
  #firstN = 0;
  #signedN = 0;
  #checkpointCount = 0;
  #gapCount = 0;

  constructor(checks: LedgerChecks) {
    this.#checks = checks;
  }

  /** What is wrong with the next line; null: nothing. */
  read(text: string): string | null {
    const line = parseLine(text);
    if (line === null) return "it is no line of a ledger";
    const n = line.kind === "step" ? line.entry.n : line.n;
    const fault =
      this.#before === null ? this.#beginsAt(line, n) : faultBetween(this.#before, n, line.prev);
    if (fault !== null) return fault;
    if (line.kind === "checkpoint") {
      const unsigned = this.#readCheckpoint(line);
      if (unsigned !== null) return unsigned;
    }
    if (line.kind === "gap") this.#gapCount += line.count;
    this.#before = { n, head: this.#checks.sha256(text) };
    return null;
  }

  verdict(): Result<LedgerVerdict, string> {
    if (this.#before === null) return err("there are no lines");
    if (this.#node === null) return err("nobody signed any of it");
    return ok({
      firstN: this.#firstN,
      lastN: this.#before.n,
      checkpointCount: this.#checkpointCount,
      signedN: this.#signedN,
      gapCount: this.#gapCount,
      node: this.#node,
    });
  }

  #beginsAt(line: LedgerLine, n: number): string | null {
    if (line.kind !== "checkpoint" && (n !== 1 || line.prev !== NO_LINE)) {
      return "it begins neither with the first line nor with a checkpoint";
    }
    this.#firstN = n;
    return null;
  }

  #readCheckpoint(line: Checkpoint): string | null {
    const signed = checkCheckpoint(line, this.#checks.verifier);
    if (!signed.ok) return signed.error;
    if (this.#node !== null && this.#node !== signed.value) {
      return `signed by ${signed.value}, those before by ${this.#node}`;
    }
    this.#node = signed.value;
    this.#signedN = line.n;
    this.#checkpointCount++;
    return null;
  }
}

function faultBetween(before: ChainEnd, n: number, prev: string): string | null {
  if (n !== before.n + 1) return `line ${n} follows line ${before.n}`;
  if (prev === before.head) return null;
  return `the line before it was changed: its digest is not what line ${n} says`;
}

/**
 * Whether the lines are unchanged and complete, from the first one given on; that one must be a checkpoint or the very first
 * line. O(bytes).
 */
export function verifyLedger(
  lines: readonly string[],
  checks: LedgerChecks,
): Result<LedgerVerdict, LedgerFault> {
  const reader = new LedgerReader(checks);
  for (const [index, text] of lines.entries()) {
    const detail = reader.read(text);
    if (detail !== null) return err({ line: index + 1, detail });
  }
  const verdict = reader.verdict();
  return verdict.ok ? verdict : err({ line: lines.length, detail: verdict.error });
}
