/**
 * Small documents that must survive a crash: acceptor state, job records. (Bulk bytes are the checkpoint store's.)
 *
 * `write` replaces a document as a whole: after a crash either the old or the new one is read, never a mixture; once `done`
 * was called without a failure it is the new one. Writes to one name happen in the order they were asked for.
 * The real twin writes a temporary file, syncs, renames and syncs the folder; the simulated twin (`sim/sim-disk.ts`) loses or
 * tears what was not acknowledged when the power goes.
 */
export interface Disk {
  write(name: string, document: unknown, done: (failure: DiskFailure | null) => void): void;
  remove(name: string, done: (failure: DiskFailure | null) => void): void;
  /** What was last written, or null. A damaged document is reported, not returned. */
  read(name: string): DiskRead;
  /** Names that begin with `prefix`, sorted. Leftovers of torn writes are not among them. */
  list(prefix: string): readonly string[];
}

export type DiskRead =
  | { readonly kind: "document"; readonly document: unknown }
  | { readonly kind: "absent" }
  | { readonly kind: "damaged"; readonly detail: string };

export interface DiskFailure {
  readonly kind: "no-space" | "io";
  readonly detail: string;
}
