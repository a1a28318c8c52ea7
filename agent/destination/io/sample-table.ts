/**
 * Whole events of tickets with their signatures and trails, in the database.
 *
 * Bounded for each ticket: the first ones, the newest ones, and some further sightings of each. An envelope is kept in parts: its payload
 * as bytes, and each signer's certificate once, since a node signs all its events with the same one.
 */
import type { Database } from "bun:sqlite";
import type { Hop } from "../../callhome/protocol.ts";
import type { Envelope } from "../../identity/identity.ts";
import { SAMPLES_FIRST, SAMPLES_NEWEST } from "../ticket.ts";

/** Further sightings of one event. */
const SIGHTINGS_MAX = 8;
const CERTS_CACHED_MAX = 4_096;

export interface Sample {
  /** Of its ticket. */
  readonly number: number;
  /** Of the event in its ticket, from 1. */
  readonly n: number;
  /** A further sighting of one that is counted. */
  readonly isMerged: boolean;
  readonly id: string;
  readonly receivedMs: number;
  readonly signer: string;
  readonly trail: readonly Hop[];
  readonly envelope: Envelope;
}

export interface KeptSample extends Omit<Sample, "number"> {
  /** How often it came again under this id. */
  readonly copies: number;
}

type KeptSignature = readonly [cert: number, keyid: string, sig: string];

interface Row {
  readonly n: number;
  readonly nth: number;
  readonly id: Uint8Array;
  readonly received_ms: number;
  readonly copies: number;
  readonly signer: string;
  readonly trail: string;
  readonly payload: Uint8Array;
  readonly signatures: string;
}

export class SampleTable {
  readonly #db: Database;
  readonly #payloadType: string;
  readonly #certs = new Map<string, number>();

  constructor(db: Database, payloadType: string) {
    this.#db = db;
    this.#payloadType = payloadType;
  }

  /** What is neither among the first nor among the newest is not kept. */
  add({ number, n, isMerged, id, receivedMs, signer, trail, envelope }: Sample): void {
    const nth = isMerged ? this.#nextSighting(number, n) : 0;
    if (nth > SIGHTINGS_MAX) return;
    const signatures = envelope.signatures.map(
      ({ keyid, sig, cert }): KeptSignature => [this.#certNumber(cert), keyid, sig],
    );
    this.#db
      .query("INSERT INTO samples VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?)")
      .run(
        number,
        n,
        nth,
        Buffer.from(id, "hex"),
        Math.round(receivedMs),
        signer,
        JSON.stringify(trail),
        Buffer.from(envelope.payload, "base64"),
        JSON.stringify(signatures),
      );
    const out = n - SAMPLES_NEWEST;
    if (isMerged || out <= SAMPLES_FIRST) return;
    this.#db.query("DELETE FROM samples WHERE ticket = ? AND n = ?").run(number, out);
  }

  addCopy(number: number, n: number, id: string): void {
    this.#db
      .query("UPDATE samples SET copies = copies + 1 WHERE ticket = ? AND n = ? AND id = ?")
      .run(number, n, Buffer.from(id, "hex"));
  }

  of(number: number): readonly KeptSample[] {
    return this.#db
      .query<Row, [number]>("SELECT * FROM samples WHERE ticket = ? ORDER BY n, nth")
      .all(number)
      .map((row) => ({
        n: row.n,
        isMerged: row.nth > 0,
        id: Buffer.from(row.id).toString("hex"),
        receivedMs: row.received_ms,
        copies: row.copies,
        signer: row.signer,
        trail: JSON.parse(row.trail) as readonly Hop[],
        envelope: this.#envelope(row),
      }));
  }

  /** After a transaction that was undone. */
  forget(): void {
    this.#certs.clear();
  }

  #envelope({ payload, signatures }: Row): Envelope {
    const kept = JSON.parse(signatures) as readonly KeptSignature[];
    return {
      payloadType: this.#payloadType,
      payload: Buffer.from(payload).toString("base64"),
      signatures: kept.map(([number, keyid, sig]) => ({ keyid, sig, cert: this.#cert(number) })),
    };
  }

  #nextSighting(number: number, n: number): number {
    const row = this.#db
      .query<{ readonly nth: number }, [number, number]>(
        "SELECT COALESCE(MAX(nth), 0) + 1 AS nth FROM samples WHERE ticket = ? AND n = ?",
      )
      .get(number, n);
    return row?.nth ?? 1;
  }

  #cert(number: number): string {
    const row = this.#db
      .query<{ readonly cert: string }, [number]>("SELECT cert FROM certs WHERE number = ?")
      .get(number);
    return row?.cert ?? "";
  }

  #certNumber(cert: string): number {
    const known = this.#certs.get(cert);
    if (known !== undefined) return known;
    this.#db.query("INSERT OR IGNORE INTO certs (cert) VALUES (?)").run(cert);
    const row = this.#db
      .query<{ readonly number: number }, [string]>("SELECT number FROM certs WHERE cert = ?")
      .get(cert);
    const number = row?.number ?? 0;
    if (this.#certs.size >= CERTS_CACHED_MAX) this.#certs.clear();
    this.#certs.set(cert, number);
    return number;
  }
}
