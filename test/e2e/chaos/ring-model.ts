/**
 * What the ring program computes, step by step, without a cluster: the oracle of a chaos round and the program itself use it.
 *
 * Every rank changes a few pages of a field by a number that depends on all ranks, then by a message of its neighbour that was
 * under way while the checkpoint was taken. So a lost, doubled or mixed-up step, message or page shows in the last digest.
 */
export const FIELD_WORDS = 16_384;
/** Written a half step: words spread over the field, so that deltas have holes. */
const WRITES = 12;

export const HEADER = { step: 0, phase: 1, word: 2 } as const;
export const HEADER_WORDS = 4;

/** Half a step is done: the message is sent, not received. */
export const PHASE_RECEIVE = 1;

function mix(word: number, by: number): number {
  let z = (word ^ Math.imul(by + 0x9e3779b9, 0x85ebca6b)) >>> 0;
  z = Math.imul(z ^ (z >>> 15), 0x2c1b3c6d) >>> 0;
  return (z ^ (z >>> 13)) >>> 0;
}

function scatter(field: Uint32Array, word: number): void {
  let at = word;
  for (let i = 0; i < WRITES; i++) {
    at = mix(at, i);
    const index = at % FIELD_WORDS;
    field[index] = mix(field[index] ?? 0, word);
  }
}

/** What a rank gives to the sum of all; small, so that sums stay exact. */
export function shareOf(header: Uint32Array, rank: number): number {
  return ((header[HEADER.word] ?? 0) + rank + 1) % 1_000_003;
}

/** The first half: with the sum of all ranks. Returns what the next rank is sent. */
export function takeSum(header: Uint32Array, field: Uint32Array, sum: number): number {
  const word = mix(header[HEADER.word] ?? 0, sum);
  header[HEADER.word] = word;
  scatter(field, word);
  header[HEADER.phase] = PHASE_RECEIVE;
  return mix(word, header[HEADER.step] ?? 0);
}

/** The second half: with the word of the rank before. */
export function takeMessage(header: Uint32Array, field: Uint32Array, message: number): void {
  const word = mix(header[HEADER.word] ?? 0, message);
  header[HEADER.word] = word;
  scatter(field, word);
  header[HEADER.step] = (header[HEADER.step] ?? 0) + 1;
  header[HEADER.phase] = 0;
}

export function digestOf(header: Uint32Array, field: Uint32Array): string {
  const seed = Bun.hash.xxHash3(header);
  return Bun.hash.xxHash3(field, seed).toString(16).padStart(16, "0");
}

/** The digest each rank ends with when nothing ever fails. */
export function expectedDigests(ranks: number, steps: number): readonly string[] {
  const all = Array.from({ length: ranks }, () => ({
    header: new Uint32Array(HEADER_WORDS),
    field: new Uint32Array(FIELD_WORDS),
  }));
  for (let step = 0; step < steps; step++) {
    const sum = all.reduce((total, { header }, rank) => total + shareOf(header, rank), 0);
    const messages = all.map(({ header, field }) => takeSum(header, field, sum));
    for (const [rank, { header, field }] of all.entries()) {
      takeMessage(header, field, messages[(rank + ranks - 1) % ranks] ?? 0);
    }
  }
  return all.map(({ header, field }) => digestOf(header, field));
}
