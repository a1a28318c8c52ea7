/** Typed arrays as the proxy knows them: number type, and the bytes they show. */
import { NUMBER_TYPE, type NumberType } from "../segment-layout.ts";
import type { Numbers } from "./context.ts";

export function bytesOf(data: Numbers): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

export function numberTypeOf(data: Numbers): NumberType {
  if (data instanceof Float32Array) return NUMBER_TYPE.f32;
  if (data instanceof Float64Array) return NUMBER_TYPE.f64;
  if (data instanceof Int32Array) return NUMBER_TYPE.i32;
  if (data instanceof Uint32Array) return NUMBER_TYPE.u32;
  if (data instanceof BigInt64Array) return NUMBER_TYPE.i64;
  if (data instanceof BigUint64Array) return NUMBER_TYPE.u64;
  if (data instanceof Int16Array) return NUMBER_TYPE.i16;
  if (data instanceof Uint16Array) return NUMBER_TYPE.u16;
  if (data instanceof Int8Array) return NUMBER_TYPE.i8;
  return NUMBER_TYPE.u8;
}
