/**
 * The ledger on disk: a folder of files, each begun by a signed checkpoint (`ledger-chain.ts` has the lines).
 *
 * Lines are only appended, and one flush serves all that came meanwhile. What a crash tore off is cut, and the chain goes on
 * from the last whole line; a file that does not read any further is set aside as `.damaged`, and a new chain file begins
 * with a checkpoint on what was sound. The oldest files are deleted once there are too many. While the disk is full
 * lines wait, up to a bound; then they are counted, and the count is a line.
 */
import { mkdirSync } from "node:fs";
import { type FileHandle, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Signer } from "../../identity/identity.ts";
import type { DiskFailure } from "../../runtime/disk.ts";
import { diskFailure, syncFolder } from "../../runtime/io/disk.ts";
import type { DeliveryStep } from "../delivery-events.ts";
import type { Ledger, LedgerEntry } from "../ledger.ts";
import { LedgerChain, parseLine } from "../ledger-chain.ts";
import {
  type FoundLedger,
  findLedger,
  LEDGER_SUFFIX,
  type LedgerFileState,
} from "./ledger-found.ts";
import { sha256Hex } from "./sha256-hex.ts";

export interface LedgerLimits {
  readonly fileBytes: number;
  readonly filesMax: number;
  /** A checkpoint at least every so many lines. */
  readonly checkpointLines: number;
  /** Lines that wait for a disk; more are counted only. */
  readonly pendingMax: number;
}

export const DEFAULT_LEDGER_LIMITS: LedgerLimits = {
  fileBytes: 4 * 1024 * 1024,
  filesMax: 16,
  checkpointLines: 1_000,
  pendingMax: 50_000,
};

export interface LedgerOptions {
  readonly limits?: Partial<LedgerLimits>;
  readonly signer: Signer;
  readonly nowWallMs: () => number;
  /** It cannot write, or (null) can again. */
  readonly onFailure: (failure: DiskFailure | null) => void;
}

/** So long a step waits for company before it is flushed by itself. */
const LINGER_MS = 20;

function fileName(firstN: number): string {
  return `${String(firstN).padStart(12, "0")}${LEDGER_SUFFIX}`;
}

interface OpenFile {
  readonly state: LedgerFileState;
  readonly file: FileHandle;
}

/** Lines that wait to be written; with `firstN` they begin a file. */
interface Group {
  readonly firstN: number | null;
  readonly lines: string[];
}

export class LedgerFolder implements Ledger {
  readonly #folder: string;
  readonly #limits: LedgerLimits;
  readonly #options: LedgerOptions;
  readonly #chain: LedgerChain;
  readonly #files: LedgerFileState[];
  #current: OpenFile | null = null;
  #pending: Group[] = [];
  #pendingCount = 0;
  /** Of the file that the next line goes to, what waits included. */
  #fileBytes: number;
  #waiting: (() => void)[] = [];
  #unsigned = 0;
  #gapCount = 0;
  #running: Promise<void> | null = null;
  #linger: ReturnType<typeof setTimeout> | null = null;
  #failure: DiskFailure | null = null;

  constructor(folder: string, found: FoundLedger, options: LedgerOptions) {
    this.#folder = folder;
    this.#limits = { ...DEFAULT_LEDGER_LIMITS, ...options.limits };
    this.#options = options;
    this.#chain = new LedgerChain(sha256Hex, found.end);
    this.#files = [...found.files];
    this.#fileBytes = this.#files.at(-1)?.bytes ?? this.#limits.fileBytes;
  }

  append(step: DeliveryStep, wallMs: number): void {
    if (this.#pendingCount >= this.#limits.pendingMax) {
      this.#gapCount++;
    } else {
      this.#beginFile(wallMs);
      if (this.#gapCount > 0) this.#push(this.#chain.gap(this.#gapCount, wallMs));
      this.#gapCount = 0;
      this.#push(this.#chain.step(step, wallMs));
      if (++this.#unsigned >= this.#limits.checkpointLines) this.#sign(wallMs);
    }
    if (this.#running !== null || this.#linger !== null) return;
    this.#linger = setTimeout(() => this.#begin(), LINGER_MS);
    this.#linger.unref();
  }

  flush(done: () => void): void {
    if (this.#pending.length === 0 && this.#running === null) {
      done();
      return;
    }
    this.#waiting.push(done);
    this.#begin();
  }

  ofEvent(id: string, done: (entries: readonly LedgerEntry[]) => void): void {
    void this.#ofEvent(id).then(done);
  }

  export(done: (lines: readonly string[]) => void): void {
    void this.#export().then(done);
  }

  get failure(): DiskFailure | null {
    return this.#failure;
  }

  settled(): Promise<void> {
    return new Promise((resolve) => this.flush(resolve));
  }

  async stop(): Promise<void> {
    await this.settled();
    if (this.#linger !== null) clearTimeout(this.#linger);
    await this.#current?.file.close();
    this.#current = null;
  }

  #push(line: string): void {
    const group = this.#pending.at(-1);
    if (group === undefined) this.#pending.push({ firstN: null, lines: [line] });
    else group.lines.push(line);
    this.#pendingCount++;
    this.#fileBytes += Buffer.byteLength(line) + 1;
  }

  #sign(wallMs: number): void {
    this.#push(this.#chain.checkpoint(this.#options.signer, wallMs));
    this.#unsigned = 0;
  }

  /** A checkpoint stands first in each file: what is before it may be deleted one day. */
  #beginFile(wallMs: number): void {
    if (this.#fileBytes < this.#limits.fileBytes) return;
    this.#fileBytes = 0;
    this.#pending.push({ firstN: this.#chain.end.n + 1, lines: [] });
    this.#sign(wallMs);
  }

  #begin(): void {
    if (this.#linger !== null) clearTimeout(this.#linger);
    this.#linger = null;
    if (this.#running !== null) return;
    this.#running = this.#run().finally(() => {
      this.#running = null;
      // Somebody came after the last look, or the disk did not take it: whoever waits is not kept.
      if (this.#waiting.length > 0) this.#begin();
    });
  }

  async #run(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    do {
      const waiting = this.#waiting;
      this.#waiting = [];
      const isWritten = await this.#flushOnce();
      for (const done of waiting) done();
      if (!isWritten) return;
    } while (this.#pending.length > 0);
  }

  async #flushOnce(): Promise<boolean> {
    try {
      for (let group = this.#pending[0]; group !== undefined; group = this.#pending[0]) {
        // Taken out whole: what comes while it is written begins another group.
        this.#pending.shift();
        await this.#writeGroup(group);
        this.#pendingCount -= group.lines.length;
      }
      this.#note(null);
      return true;
    } catch (cause) {
      await this.#current?.file.close().catch(() => undefined);
      this.#current = null;
      this.#note(diskFailure(cause));
      return false;
    }
  }

  async #writeGroup(group: Group): Promise<void> {
    try {
      const { state, file } = await this.#fileFor(group.firstN);
      await append(file, state, Buffer.from(`${group.lines.join("\n")}\n`, "utf8"));
    } catch (cause) {
      this.#pending.unshift(group);
      throw cause;
    }
  }

  async #fileFor(firstN: number | null): Promise<OpenFile> {
    const name = firstN === null ? this.#files.at(-1)?.name : fileName(firstN);
    if (this.#current !== null && this.#current.state.name === name) return this.#current;
    await this.#current?.file.close();
    this.#current = null;
    const known = this.#files.find((each) => each.name === name);
    if (known !== undefined) {
      const file = await open(join(this.#folder, known.name), "r+");
      this.#current = { state: known, file };
      return this.#current;
    }
    const state: LedgerFileState = { name: name ?? fileName(1), bytes: 0 };
    const file = await open(join(this.#folder, state.name), "w", 0o600);
    this.#current = { state, file };
    this.#files.push(state);
    await syncFolder(this.#folder);
    await this.#retain();
    return this.#current;
  }

  async #retain(): Promise<void> {
    while (this.#files.length > this.#limits.filesMax) {
      const oldest = this.#files[0];
      if (oldest === undefined) return;
      await rm(join(this.#folder, oldest.name), { force: true });
      this.#files.shift();
    }
  }

  #note(failure: DiskFailure | null): void {
    const hadFailed = this.#failure !== null;
    this.#failure = failure;
    if (hadFailed !== (failure !== null)) this.#options.onFailure(failure);
  }

  async #ofEvent(id: string): Promise<readonly LedgerEntry[]> {
    await this.settled();
    const entries: LedgerEntry[] = [];
    for (const { name } of [...this.#files]) {
      const text = await readFile(join(this.#folder, name), "utf8").catch(() => "");
      for (let at = text.indexOf(id); at >= 0; at = text.indexOf(id, at + 1)) {
        const start = text.lastIndexOf("\n", at) + 1;
        const end = text.indexOf("\n", at);
        const line = parseLine(text.slice(start, end < 0 ? undefined : end));
        if (line?.kind === "step" && line.entry.id === id) entries.push(line.entry);
        at = end < 0 ? text.length : end;
      }
    }
    return entries;
  }

  async #export(): Promise<readonly string[]> {
    this.#sign(this.#options.nowWallMs());
    await this.settled();
    const lines: string[] = [];
    for (const { name } of [...this.#files]) {
      const text = await readFile(join(this.#folder, name), "utf8").catch(() => "");
      for (const line of text.split("\n")) if (line !== "") lines.push(line);
    }
    return lines;
  }
}

/** A write that fails leaves no half of a line behind, as far as the disk lets it. */
async function append(file: FileHandle, state: LedgerFileState, bytes: Buffer): Promise<void> {
  try {
    for (let done = 0; done < bytes.length; ) {
      const left = bytes.length - done;
      const { bytesWritten } = await file.write(bytes, done, left, state.bytes + done);
      done += bytesWritten;
    }
    await file.datasync();
  } catch (cause) {
    await file.truncate(state.bytes).catch(() => undefined);
    throw cause;
  }
  state.bytes += bytes.length;
}

export interface OpenLedger {
  readonly ledger: LedgerFolder;
  /** What was wrong with it, a line each. */
  readonly complaints: readonly string[];
}

/** Throws only where the folder cannot be made or listed. */
export async function openLedger(folder: string, options: LedgerOptions): Promise<OpenLedger> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { complaints, ...found } = await findLedger(folder);
  return { ledger: new LedgerFolder(folder, found, options), complaints };
}
