/**
 * A curve in braille: each character cell is 2 dots wide and 4 high (Unicode 2800 + one bit a dot).
 *
 *   dot bits   1   8
 *              2  10
 *              4  20
 *             40  80   (hexadecimal)
 */
const BITS: readonly (readonly [number, number])[] = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
];

export interface Plot {
  /** Cells. */
  readonly width: number;
  readonly height: number;
  /** Values of x run from 0 up to this. */
  readonly xMax: number;
  /** Values of y run from 0 up to this; higher ones are drawn at the top. */
  readonly yMax: number;
}

/** `values[x]` is y, undefined where there is none. Several values in one column are drawn as the span they cover. */
export function plotCurve(values: readonly (number | undefined)[], plot: Plot): readonly string[] {
  const columns = plot.width * 2;
  const rows = plot.height * 4;
  const cells = Array.from({ length: plot.height }, () => new Uint8Array(plot.width));
  const rowOf = (y: number): number => {
    const share = plot.yMax > 0 ? Math.min(1, Math.max(0, y / plot.yMax)) : 0;
    return Math.round((1 - share) * (rows - 1));
  };
  const low = new Array<number>(columns).fill(-1);
  const high = new Array<number>(columns).fill(-1);
  values.forEach((y, x) => {
    if (y === undefined || !Number.isFinite(y)) return;
    const column = Math.min(columns - 1, Math.floor((x / Math.max(1, plot.xMax)) * columns));
    const row = rowOf(y);
    const isFirst = low[column] === -1;
    low[column] = isFirst ? row : Math.max(low[column] as number, row);
    high[column] = isFirst ? row : Math.min(high[column] as number, row);
  });
  for (let column = 0; column < columns; column++) {
    if (low[column] === -1) continue;
    for (let row = high[column] as number; row <= (low[column] as number); row++) {
      const line = cells[row >> 2] as Uint8Array;
      const bits = BITS[row & 3] as readonly [number, number];
      line[column >> 1] = (line[column >> 1] as number) | bits[column & 1 ? 1 : 0];
    }
  }
  return cells.map((line) =>
    Array.from(line, (bits) => (bits === 0 ? " " : String.fromCodePoint(0x2800 + bits))).join(""),
  );
}
