/**
 * Element-wise reduction of received bytes into an accumulator, by number type.
 *
 * Sums of 32-bit floats are rounded to 32 bits after every addition, as a C program would; integers wrap. Both spans are
 * aligned to the element; the owner of the ring has checked it. One loop a float type: a loop that sees two kinds of array
 * is compiled to slower code.
 */
import { assert, unreachable } from "../../core/assert.ts";
import { NUMBER_TYPE, type NumberType, REDUCE_OP, type ReduceCode } from "./segment-layout.ts";
import type { Span } from "./transport.ts";

const ELEMENT_BYTES: Readonly<Record<NumberType, number>> = {
  [NUMBER_TYPE.f32]: 4,
  [NUMBER_TYPE.f64]: 8,
  [NUMBER_TYPE.i32]: 4,
  [NUMBER_TYPE.u32]: 4,
  [NUMBER_TYPE.i64]: 8,
  [NUMBER_TYPE.u64]: 8,
  [NUMBER_TYPE.i16]: 2,
  [NUMBER_TYPE.u16]: 2,
  [NUMBER_TYPE.i8]: 1,
  [NUMBER_TYPE.u8]: 1,
};

export function elementBytes(type: NumberType): number {
  return ELEMENT_BYTES[type];
}

export function isNumberType(value: number): value is NumberType {
  return value >= NUMBER_TYPE.f32 && value <= NUMBER_TYPE.u8;
}

export function isReduceCode(value: number): value is ReduceCode {
  return value >= REDUCE_OP.sum && value <= REDUCE_OP.max;
}

type SmallNumbers =
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;
type BigNumbers = BigInt64Array | BigUint64Array;

type Kind<T> = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => T;

const SMALL_KINDS: Readonly<Partial<Record<NumberType, Kind<SmallNumbers>>>> = {
  [NUMBER_TYPE.i32]: Int32Array,
  [NUMBER_TYPE.u32]: Uint32Array,
  [NUMBER_TYPE.i16]: Int16Array,
  [NUMBER_TYPE.u16]: Uint16Array,
  [NUMBER_TYPE.i8]: Int8Array,
  [NUMBER_TYPE.u8]: Uint8Array,
};

function viewOf<T>(kind: Kind<T>, span: Span, bytesEach: number): T {
  const { u8 } = span.memory;
  return new kind(u8.buffer, u8.byteOffset + span.offset, span.bytes / bytesEach);
}

function addF32(target: Float32Array, source: Float32Array): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] as number) + (source[i] as number);
}

function addF64(target: Float64Array, source: Float64Array): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] as number) + (source[i] as number);
}

function combineNumbers(target: SmallNumbers, source: SmallNumbers, op: ReduceCode): void {
  const isWord = target instanceof Int32Array || target instanceof Uint32Array;
  for (let i = 0; i < target.length; i++) {
    const a = target[i] as number;
    const b = source[i] as number;
    if (op === REDUCE_OP.sum) target[i] = a + b;
    else if (op === REDUCE_OP.product) target[i] = isWord ? Math.imul(a, b) : a * b;
    else target[i] = op === REDUCE_OP.min ? Math.min(a, b) : Math.max(a, b);
  }
}

function combineBig(target: BigNumbers, source: BigNumbers, op: ReduceCode): void {
  for (let i = 0; i < target.length; i++) {
    const a = target[i] as bigint;
    const b = source[i] as bigint;
    if (op === REDUCE_OP.sum) target[i] = a + b;
    else if (op === REDUCE_OP.product) target[i] = a * b;
    else target[i] = (op === REDUCE_OP.min ? a < b : a > b) ? a : b;
  }
}

/** target = target ∘ source, O(bytes). */
export function combine(type: NumberType, op: ReduceCode, target: Span, source: Span): void {
  assert(target.bytes === source.bytes, "both sides of a reduction are equally long");
  const each = elementBytes(type);
  switch (type) {
    case NUMBER_TYPE.f32: {
      const a = viewOf<Float32Array>(Float32Array, target, each);
      const b = viewOf<Float32Array>(Float32Array, source, each);
      if (op === REDUCE_OP.sum) addF32(a, b);
      else combineNumbers(a, b, op);
      return;
    }
    case NUMBER_TYPE.f64: {
      const a = viewOf<Float64Array>(Float64Array, target, each);
      const b = viewOf<Float64Array>(Float64Array, source, each);
      if (op === REDUCE_OP.sum) addF64(a, b);
      else combineNumbers(a, b, op);
      return;
    }
    case NUMBER_TYPE.i64:
    case NUMBER_TYPE.u64: {
      const kind: Kind<BigNumbers> = type === NUMBER_TYPE.i64 ? BigInt64Array : BigUint64Array;
      combineBig(viewOf(kind, target, each), viewOf(kind, source, each), op);
      return;
    }
    case NUMBER_TYPE.i32:
    case NUMBER_TYPE.u32:
    case NUMBER_TYPE.i16:
    case NUMBER_TYPE.u16:
    case NUMBER_TYPE.i8:
    case NUMBER_TYPE.u8: {
      const kind = SMALL_KINDS[type];
      assert(kind !== undefined, "every small type has an array");
      combineNumbers(viewOf(kind, target, each), viewOf(kind, source, each), op);
      return;
    }
    default:
      unreachable(type, "number type");
  }
}
