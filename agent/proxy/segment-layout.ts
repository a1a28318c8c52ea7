/**
 * The shared memory between a program and its proxy: where everything lies. `docs/proxy-protocol.md` says the same in prose,
 * for programs in other languages. Numbers are little endian; words are 32 bits; every offset is in bytes.
 *
 *   offset   bytes  field
 *        0       8  magic "HOLDFAST"
 *        8       4  layout version
 *       12       4  rank
 *       16       4  size (number of ranks)
 *       20       4  slots of each ring, a power of two
 *       24       4  offset of the submission ring
 *       28       4  offset of the completion ring
 *       32       4  offset of the region table
 *       36       4  entries of the region table
 *       40       4  offset of the slab
 *       44       4  bytes of the slab
 *       48       4  piece: most payload bytes of one record that refers to the slab
 *       64       4  epoch            ┐
 *       68       4  generation       │ written by the proxy
 *       72       4  pid of the proxy │ before it raises `resume`
 *       76       4  pid of the agent │
 *       80       8  restored version ┘
 *      128       4  pid of the program, 0 before it attached
 *      132       4  layout version the program speaks
 *      136       4  1 once the program has finalized
 *      192       4  proxy sleeps
 *      256       4  program sleeps (a futex)
 *      320       4  idle request: the epoch whose proxy wants the program idle
 *      384       4  idle acknowledgement
 *      448       4  resume: the epoch under which the program may run
 *     2048    1024  text of the last failure: length, then UTF-8
 *     4096          submission ring, completion ring, region table, slab
 *
 * Each word that one side spins on has a line of 64 bytes for itself. Invariant: at most `slots` submissions are without
 * a completion that the program has read, therefore neither ring can overflow and neither needs a head word.
 */
export const SEGMENT_MAGIC = "HOLDFAST";
export const LAYOUT_VERSION = 1;

export const RING_SLOTS = 256;
export const RECORD_BYTES = 64;
export const REGION_ENTRIES = 256;
export const REGION_ENTRY_BYTES = 256;
export const SUBMISSION_OFFSET = 4096;
export const COMPLETION_OFFSET = 20_480;
export const REGION_TABLE_OFFSET = 36_864;
export const SLAB_OFFSET = 131_072;
export const SLAB_BYTES = 16_777_216;
/** A large message is two pieces under way: one being copied, one being sent. Large enough that a system call is nothing. */
export const PIECE_BYTES = 1_048_576;
export const SEGMENT_BYTES: number = SLAB_OFFSET + SLAB_BYTES;

/** Byte offsets of header words. */
export const HEADER = {
  layoutVersion: 8,
  rank: 12,
  size: 16,
  ringSlots: 20,
  submissionOffset: 24,
  completionOffset: 28,
  regionTableOffset: 32,
  regionEntries: 36,
  slabOffset: 40,
  slabBytes: 44,
  pieceBytes: 48,
  epoch: 64,
  generation: 68,
  proxyPid: 72,
  agentPid: 76,
  restoredLow: 80,
  restoredHigh: 84,
  programPid: 128,
  programVersion: 132,
  finalized: 136,
  proxySleeps: 192,
  programSleeps: 256,
  idleRequest: 320,
  idleAck: 384,
  resume: 448,
  failureText: 2048,
} as const;

export type HeaderField = keyof typeof HEADER;

export const FAILURE_TEXT_BYTES = 1020;

export const OP = {
  null: 1,
  send: 2,
  receive: 3,
  /** More data (of a send) or more room (of a receive) for the open request of the same id. */
  piece: 4,
  barrier: 5,
  broadcast: 6,
  reduce: 7,
  allReduce: 8,
  gather: 9,
  allGather: 10,
  allToAll: 11,
  checkpoint: 12,
  finalize: 13,
} as const;
export type Op = (typeof OP)[keyof typeof OP];

export const STATUS = {
  ok: 0,
  truncated: 1,
  mismatch: 2,
  badArgument: 3,
  checkpointFailed: 4,
} as const;
export type Status = (typeof STATUS)[keyof typeof STATUS];

export const NUMBER_TYPE = {
  f32: 1,
  f64: 2,
  i32: 3,
  u32: 4,
  i64: 5,
  u64: 6,
  i16: 7,
  u16: 8,
  i8: 9,
  u8: 10,
} as const;
export type NumberType = (typeof NUMBER_TYPE)[keyof typeof NUMBER_TYPE];

export const REDUCE_OP = { sum: 1, product: 2, min: 3, max: 4 } as const;
export type ReduceCode = (typeof REDUCE_OP)[keyof typeof REDUCE_OP];

/** Any source, any tag. */
export const ANY = -1;
/** Area number of the slab; area k > 0 is entry k − 1 of the region table. */
export const SLAB_AREA = 0;

/** Words of a submission; word 0 is the stamp. */
export const SUBMISSION = {
  op: 1,
  epoch: 2,
  request: 3,
  /** Destination, source or root. */
  peer: 4,
  tag: 5,
  area: 6,
  offsetLow: 7,
  offsetHigh: 8,
  bytesLow: 9,
  bytesHigh: 10,
  /** Of a send: bytes of the whole message. Of a receive: capacity in all. */
  totalLow: 11,
  totalHigh: 12,
  /** Number type in bits 0 … 7, reduction in bits 8 … 15. */
  kind: 13,
  /** Output of gather, all-gather, all-to-all: in area `outArea` at `outOffset` (unsigned). */
  outArea: 14,
  outOffset: 15,
} as const;

/** Words of a completion; word 0 is the stamp. */
export const COMPLETION = {
  status: 1,
  epoch: 2,
  request: 3,
  source: 4,
  tag: 5,
  /** Bytes in the piece that this completion is about. */
  bytesLow: 6,
  bytesHigh: 7,
  /** Bytes of the whole message. */
  totalLow: 8,
  totalHigh: 9,
  /** Version of a checkpoint. */
  valueLow: 10,
  valueHigh: 11,
} as const;

/** Byte offsets inside an entry of the region table. */
export const REGION = { state: 0, nameBytes: 4, bytesLow: 8, bytesHigh: 12, name: 16 } as const;
export const REGION_NAME_BYTES_MAX = 200;
export const REGION_STATE = { free: 0, protected: 1, shared: 2 } as const;
