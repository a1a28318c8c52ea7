/** Goal: a trap has its sensor's name where its BMC is watched, waits for it a short while at most, and a flood of traps asks once. */
import { expect, test } from "bun:test";
import type { SensorNames } from "../../../bmc/bmc.ts";
import { type NamedBmc, PetNames } from "./pet-names.ts";

const GUID = "44454c4c360010448035b3c04f333453";
const names: SensorNames = () => ({ name: "DIMM A1", entity: null });

class Asked implements NamedBmc {
  count = 0;
  readonly guid: string | null;
  readonly bmc: { sensorNames: () => Promise<SensorNames | null> };

  constructor(answer: () => Promise<SensorNames | null>, guid: string | null = GUID) {
    this.guid = guid;
    this.bmc = {
      sensorNames: () => {
        this.count++;
        return answer();
      },
    };
  }
}

test("names are of the BMC that sent it, in whichever order it tells its GUID, and of no other", async () => {
  const other = new Asked(() => Promise.resolve(null), "f".repeat(32));
  const watched = [
    new Asked(() => Promise.resolve(null), null),
    other,
    new Asked(async () => names),
  ];
  const book = new PetNames(() => watched);
  const reversed = Uint8Array.fromHex(GUID).reverse().toHex();
  expect(await book.of(GUID)).toBe(names);
  expect(await book.of(reversed)).toBe(names);
  expect(await book.of("a".repeat(32))).toBeNull();
  expect(await book.of("10.0.0.5")).toBeNull();
  expect(watched.map(({ count }) => count)).toEqual([0, 0, 1]);
});

test("a BMC that is slow, is not open or tells no names costs a name and no event", async () => {
  const silent = new Asked(() => new Promise(() => undefined));
  const begunMs = performance.now();
  expect(await new PetNames(() => [silent], 30).of(GUID)).toBeNull();
  expect(performance.now() - begunMs).toBeLessThan(1_000);
  expect(await new PetNames(() => [{ guid: GUID, bmc: null }]).of(GUID)).toBeNull();
  expect(await new PetNames(() => [{ guid: GUID, bmc: {} }]).of(GUID)).toBeNull();
});

test("a thousand traps ask it once, and it is asked again after a minute or when it was opened anew", async () => {
  let nowMs = 0;
  const first = new Asked(async () => names);
  const watch: { guid: string; bmc: NamedBmc["bmc"] } = { guid: GUID, bmc: first.bmc };
  const book = new PetNames(
    () => [watch],
    1_000,
    () => nowMs,
  );
  const found = await Promise.all(Array.from({ length: 1_000 }, () => book.of(GUID)));
  expect(new Set(found)).toEqual(new Set([names]));
  expect(first.count).toBe(1);
  nowMs = 60_000;
  await book.of(GUID);
  expect(first.count).toBe(2);
  const second = new Asked(async () => names);
  watch.bmc = second.bmc;
  await book.of(GUID);
  expect([first.count, second.count]).toEqual([2, 1]);
});
