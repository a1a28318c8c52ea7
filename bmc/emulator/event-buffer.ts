/**
 * The Event Message Buffer of an emulated BMC (IPMI 2.0 §22.8): events for the system's software, which reads them one by one.
 *
 * Decides what is kept: a few, as real BMCs do; when it is full the newest is lost, and the log still has it. Nothing is kept
 * while the buffer is not enabled (global enables, bit 2).
 */
const EVENTS_MAX = 16;
const ENABLE_BUFFER = 0x04;
/** Event message buffer full, in the message flags. */
const FLAG_EVENT = 0x02;

export class EventBuffer {
  #events: Uint8Array[] = [];
  /** As in Set BMC Global Enables (§22.1); the log is on from the start. */
  globalEnables = 0x08;

  add(record: Uint8Array): void {
    const isEnabled = (this.globalEnables & ENABLE_BUFFER) !== 0;
    if (isEnabled && this.#events.length < EVENTS_MAX) this.#events.push(record.slice());
  }

  /** null: it is empty (80h). */
  take(): Uint8Array | null {
    return this.#events.shift() ?? null;
  }

  flags(): number {
    return this.#events.length > 0 ? FLAG_EVENT : 0;
  }

  clear(): void {
    this.#events = [];
  }
}
