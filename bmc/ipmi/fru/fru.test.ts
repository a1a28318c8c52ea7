/**
 * FRU devices: real ones, ones built field by field, damaged ones, and the reading of them against a scripted BMC.
 *
 * Real images are from the tests of kontron/python-ipmi (`tests/fru_bin/fru_supermicro_x11scz-f.bin` and
 * `vadatech_utc017.bin`, retyped up to the last byte that is not zero); what they must read as stands in the same tests.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { FruDevice } from "../../bmc.ts";
import {
  errorOfRun,
  LOST_WIRE,
  reply,
  runSteps,
  type StepsRun,
  valueOfRun,
} from "../harness/scripted-bmc.ts";
import {
  fruArea,
  fruHandler,
  fruImage,
  multirecord,
  type ScriptedFruOptions,
  textField,
} from "../harness/scripted-fru.ts";
import type { FruLocator } from "../sdr/locator-record.ts";
import { boardDateText } from "./board-date.ts";
import { decodeFru } from "./decode-fru.ts";
import { readFruData, writeFruData } from "./fru-data.ts";
import { fruPlaces, readFru } from "./read-fru.ts";

const SUPERMICRO = `
0100 0001 0900 00f5 0108 000f f7c8 ca53 7570 6572 6d69 6372 6fc8 5831 3153 435a
2d46 cc56 4d32 3131 5330 3033 3539 39ce 4d44 422d 5831 3153 435a 2d46 2d42 c0c1
0000 0000 0000 e600 0108 00ca 524e 5420 5261 7573 6368 d553 5256 2d52 4e54 2d31
552d 4445 442d 332d 3030 3032 c0cb 504f 2d30 3030 3033 3930 32ca 4453 3033 3231
3031 3039 c0c0 c1af`;

const VADATECH_HEAD = "0100 0001 1121 00cc 0110 1900 0000 c856 6164 6154 6563 68c7 5554 4341";

function bytesOf(hex: string, sizeBytes = 0): Uint8Array {
  const bytes = Uint8Array.fromHex(hex.replaceAll(/\s/g, ""));
  const image = new Uint8Array(Math.max(sizeBytes, bytes.byteLength));
  image.set(bytes);
  return image;
}

const WHAT = "FRU 0 (test)";
const ENGLISH = 25;

const BOARD = fruArea(
  [1, 0, ENGLISH, 0x80, 0x5a, 0xd0],
  ["ACME", "BOARD", "B1", "P1", "F1", "extra"].map(textField),
);
const CHASSIS = fruArea([1, 0, 23], ["CPN", "CSN"].map(textField));
const PRODUCT = fruArea(
  [1, 0, ENGLISH],
  ["ACME", "Server", "PPN", "1.0", "S1", "A1", "F2"].map(textField),
);

describe("a real FRU", () => {
  test("of a Supermicro X11SCZ-F reads as its maker wrote it", () => {
    expect(decodeFru(bytesOf(SUPERMICRO, 256), WHAT)).toEqual({
      fields: [
        ["board.date", "2021-01-15 03:27"],
        ["board.manufacturer", "Supermicro"],
        ["board.product", "X11SCZ-F"],
        ["board.serial", "VM211S003599"],
        ["board.part", "MDB-X11SCZ-F-B"],
        ["product.manufacturer", "RNT Rausch"],
        ["product.name", "SRV-RNT-1U-DED-3-0002"],
        ["product.version", "PO-00003902"],
        ["product.serial", "DS03210109"],
      ],
      problems: [],
    });
  });

  test("that is cut off says which areas are not there", () => {
    const { fields, problems } = decodeFru(bytesOf(VADATECH_HEAD), WHAT);
    expect(fields).toContainEqual(["board.manufacturer", "VadaTech"]);
    expect(problems.map(({ kind }) => kind)).toEqual([
      "truncated-record",
      "truncated-record",
      "truncated-record",
      "truncated-record",
    ]);
  });
});

describe("fields", () => {
  test("of all areas come in the order of the areas", () => {
    const image = fruImage({ chassis: CHASSIS, board: BOARD, product: PRODUCT });
    const { fields, problems } = decodeFru(image, WHAT);
    expect(problems).toEqual([]);
    expect(fields.map(([name, value]) => `${name}=${value}`)).toEqual([
      "chassis.type=rack mount chassis",
      "chassis.part=CPN",
      "chassis.serial=CSN",
      "board.date=2021-12-17 09:36",
      "board.manufacturer=ACME",
      "board.product=BOARD",
      "board.serial=B1",
      "board.part=P1",
      "board.file=F1",
      "board.custom1=extra",
      "product.manufacturer=ACME",
      "product.name=Server",
      "product.part=PPN",
      "product.version=1.0",
      "product.serial=S1",
      "product.asset=A1",
      "product.file=F2",
    ]);
  });

  test("of every type are text", () => {
    const fields = [
      [0x03, 0xde, 0xad, 0x01],
      [0x42, 0x12, 0xb3],
      [0x83, 0x29, 0xdc, 0xa6],
      textField("caf\u0007"),
    ];
    const image = fruImage({ product: fruArea([1, 0, ENGLISH], fields) });
    expect(decodeFru(image, WHAT).fields).toEqual([
      ["product.manufacturer", "0xdead01"],
      ["product.name", "12-3"],
      ["product.part", "IPMI"],
      // A control character would ring a terminal's bell.
      ["product.version", "caf"],
    ]);
  });

  test("of another language are UCS-2, but the serial number", () => {
    const wide = (text: string): number[] => {
      const units = [...text].flatMap((unit) => [
        unit.charCodeAt(0) & 0xff,
        unit.charCodeAt(0) >> 8,
      ]);
      return [0xc0 | units.length, ...units];
    };
    const texts = [wide("富士"), wide("サーバ"), textField("S1"), wide("P")];
    const image = fruImage({ board: fruArea([1, 0, 43, 0, 0, 0], texts) });
    expect(decodeFru(image, WHAT).fields).toEqual([
      ["board.manufacturer", "富士"],
      ["board.product", "サーバ"],
      ["board.serial", "S1"],
      ["board.part", "P"],
    ]);
  });

  test("of the date are minutes since 1996", () => {
    expect(boardDateText(0)).toBeNull();
    expect(boardDateText(1)).toBe("1996-01-01 00:01");
    expect(boardDateText(0xff_ffff)).toBe("2027-11-24 20:15");
    expect(boardDateText(59 * 1440)).toBe("1996-02-29 00:00");
    expect(boardDateText((366 + 3 * 365 + 59) * 1440)).toBe("2000-02-29 00:00");
  });
});

describe("a damaged FRU", () => {
  test("with a wrong checksum in an area tells it, and shows the fields", () => {
    const image = fruImage({ board: BOARD, product: PRODUCT });
    const end = 8 + BOARD.length - 1;
    image[end] = ((image[end] ?? 0) + 1) & 0xff;
    const { fields, problems } = decodeFru(image, WHAT);
    expect(problems).toEqual([
      { kind: "bad-checksum", detail: `${WHAT}: board area: the checksum is wrong` },
    ]);
    expect(fields).toContainEqual(["board.serial", "B1"]);
    expect(fields).toContainEqual(["product.serial", "S1"]);
  });

  test("with a wrong checksum in its header tells it", () => {
    const image = fruImage({ board: BOARD });
    image[7] = ((image[7] ?? 0) + 1) & 0xff;
    expect(decodeFru(image, WHAT).problems[0]?.kind).toBe("bad-checksum");
  });

  test("with a field longer than its area does not read beyond it", () => {
    const board = [...BOARD];
    board[6] = 0xff;
    const image = fruImage({ board, product: PRODUCT });
    const { fields, problems } = decodeFru(image, WHAT);
    expect(fields.filter(([name]) => name.startsWith("board."))).toEqual([
      ["board.date", "2021-12-17 09:36"],
    ]);
    expect(problems.map(({ kind }) => kind)).toEqual(["bad-checksum", "truncated-record"]);
    expect(problems[1]?.detail).toContain("board area: manufacturer");
  });

  test("that was never written says so", () => {
    for (const byte of [0x00, 0xff]) {
      const { problems } = decodeFru(new Uint8Array(64).fill(byte), WHAT);
      expect(problems).toEqual([
        { kind: "malformed", detail: `${WHAT}: nothing was ever written to it` },
      ]);
    }
  });

  test("of any bytes is bounded and never throws", () => {
    const image = fruImage({ chassis: CHASSIS, board: BOARD, product: PRODUCT });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(image.byteLength - 1), fc.nat(255)), { maxLength: 8 }),
        fc.nat(image.byteLength),
        (flips, bytes) => {
          const damaged = image.slice();
          for (const [offset, byte] of flips) damaged[offset] = byte;
          const { fields } = decodeFru(damaged.subarray(0, bytes), WHAT);
          expect(fields.length).toBeLessThanOrEqual(image.byteLength);
        },
      ),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void decodeFru(bytes, WHAT)),
    );
  });
});

describe("multirecords", () => {
  const supply = [
    0x20, 0x03, 0xff, 0xff, 0x1e, 0x05, 0x28, 0x23, 0x30, 0x2a, 0x50, 0x46, 0x90, 0x65, 0x2f, 0x3f,
    0x14, 0x0a, 0x84, 0x53, 0x02, 0x64, 0x00, 0x00,
  ];
  const output = [0x81, 0xb0, 0x04, 0x74, 0x04, 0xec, 0x04, 0x78, 0x00, 0xf4, 0x01, 0x10, 0x27];
  const url = [0x01, ...new TextEncoder().encode("http://bmc.example")];

  function fieldsOf(records: readonly number[]): Record<string, string> {
    const { fields, problems } = decodeFru(fruImage({ multirecords: records }), WHAT);
    expect(problems).toEqual([]);
    return Object.fromEntries(fields);
  }

  test("of power supplies, outputs and management are told in their units", () => {
    const records = [
      ...multirecord(0x00, supply, false),
      ...multirecord(0x01, output, false),
      ...multirecord(0x03, url, false),
      ...multirecord(0xc0, [0x57, 0x01, 0x00, 0xaa], false),
      ...multirecord(0xc0, [0x5a, 0x31, 0x00, 0xbb], true),
    ];
    expect(fieldsOf(records)).toEqual({
      "power-supply.capacity": "800 W",
      "power-supply.inrush-current": "30 A",
      "power-supply.inrush-interval": "5 ms",
      "power-supply.input-range1": "90 V to 108 V",
      "power-supply.input-range2": "180 V to 260 V",
      "power-supply.input-frequency": "47 to 63 Hz",
      "power-supply.dropout-tolerance": "20 ms",
      "power-supply.features": "power factor correction, hot swap",
      "power-supply.peak-capacity": "900 W",
      "power-supply.hold-up": "5 s",
      "power-supply.combined": "100 W on 12 V and 5 V",
      "dc-output1.nominal": "12 V",
      "dc-output1.deviation": "11.4 V to 12.6 V",
      "dc-output1.ripple": "120 mV",
      "dc-output1.current": "0.5 A to 10 A",
      "dc-output1.standby": "yes",
      "management.system-url": "http://bmc.example",
      "oem-c0.maker": "343",
      "oem-c0.data": "0xaa",
      "oem-c0-2.maker": "12634",
      "oem-c0-2.data": "0xbb",
    });
  });

  test("end at a header that cannot be trusted", () => {
    const records = [...multirecord(0x03, url, false), ...multirecord(0x03, url, true)];
    const second = url.length + 5;
    records[second + 4] = ((records[second + 4] ?? 0) + 1) & 0xff;
    const { fields, problems } = decodeFru(fruImage({ multirecords: records }), WHAT);
    expect(fields).toHaveLength(1);
    expect(problems).toEqual([
      { kind: "bad-checksum", detail: `${WHAT}: multirecord 2: header: the checksum is wrong` },
    ]);
  });

  test("with wrong data tell it and go on", () => {
    const records = [...multirecord(0x01, output, false), ...multirecord(0x03, url, true)];
    records[5] = 0x02;
    const { fields, problems } = decodeFru(fruImage({ multirecords: records }), WHAT);
    expect(problems.map(({ kind }) => kind)).toEqual(["bad-checksum"]);
    expect(fields.at(-1)).toEqual(["management.system-url", "http://bmc.example"]);
  });

  test("too short for their type are a problem", () => {
    const { problems } = decodeFru(
      fruImage({ multirecords: multirecord(0x00, [1, 2], true) }),
      WHAT,
    );
    expect(problems[0]?.kind).toBe("truncated-record");
  });
});

describe("reading a device", () => {
  const image = fruImage({
    chassis: CHASSIS,
    board: BOARD,
    product: PRODUCT,
    multirecords: [
      ...multirecord(0x03, [0x02, 0x6e, 0x31], false),
      ...multirecord(0xc1, new Array<number>(90).fill(7), true),
    ],
  });
  const large = new Uint8Array(4096);
  large.set(image);

  function read(
    bytes: Uint8Array,
    options: ScriptedFruOptions = {},
    replyBytesMax = 200,
  ): StepsRun<readonly FruDevice[]> {
    return runSteps(readFru(fruPlaces([]), replyBytesMax), fruHandler(bytes, options));
  }

  const whole = decodeFru(image, "FRU 0 (built-in)");

  test("gives what its image holds, whatever the sizes, units and pauses", () => {
    const variants: readonly [ScriptedFruOptions, number][] = [
      [{}, 200],
      [{}, 17],
      [{ unitBytes: 2 }, 200],
      [{ unitBytes: 2, readBytesMax: 10 }, 200],
      [{ readBytesMax: 16, tooMuch: 0xff }, 200],
      [{ readBytesMax: 5, tooMuch: 0xc8 }, 200],
      [{ busyEvery: 3 }, 40],
    ];
    for (const [options, replyBytesMax] of variants) {
      const [device] = valueOfRun(read(large, options, replyBytesMax));
      expect(device).toEqual({ id: 0, name: "built-in", ...whole });
    }
  });

  test("reads no more than the areas, and areas together", () => {
    const run = read(large);
    const bytesRead = run.requests.reduce((sum, { command, data }) => {
      return command === 0x11 ? sum + (data[3] ?? 0) : sum;
    }, 0);
    expect(bytesRead).toBeLessThan(image.byteLength + 64);
    // Info, head, heads of the areas, areas, and two for each record.
    expect(run.roundCount).toBeLessThanOrEqual(8);
  });

  test("that gives fewer bytes than it says tells it, and shows what came", () => {
    const cut = image.slice(0, 8 + CHASSIS.length + 8);
    const [device] = valueOfRun(read(cut, { sizeBytes: 256 }));
    expect(device?.fields).toContainEqual(["chassis.serial", "CSN"]);
    expect(device?.problems[0]).toEqual({
      kind: "truncated-record",
      detail: `FRU 0 (built-in): the BMC gives ${cut.byteLength} of its 256 bytes`,
    });
  });

  test("that is absent is listed with its problem", () => {
    const [device] = valueOfRun(runSteps(readFru(fruPlaces([]), 200), () => reply(0xcb)));
    expect(device?.fields).toEqual([]);
    expect(device?.problems[0]?.detail).toContain("FRU 0 (built-in)");
  });

  test("over a wire that breaks is an error", () => {
    const handler = fruHandler(large);
    const run = runSteps(readFru(fruPlaces([]), 200), (request, index) =>
      index > 3 ? LOST_WIRE : handler(request),
    );
    expect(errorOfRun(run).kind).toBe("timeout");
  });

  test("of any bytes ends", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
        bytes[0] = 1;
        expect(valueOfRun(read(bytes, { readBytesMax: 20 }))).toHaveLength(1);
      }),
    );
  });
});

describe("which devices there are", () => {
  const locator: FruLocator = {
    kind: "fru-locator",
    recordId: 1,
    accessAddress: 0x20,
    fruId: 3,
    isLogical: true,
    lun: 0,
    busId: 0,
    channel: 0,
    deviceType: 0x10,
    typeModifier: 0,
    entity: { id: 10, instance: 1, isLogical: false },
    name: "PSU 1",
  };

  test("is the BMC's own first, then those of the records, each once", () => {
    const places = fruPlaces([
      locator,
      locator,
      { ...locator, fruId: 0, name: "Board" },
      { ...locator, accessAddress: 0x82, fruId: 3 },
      { ...locator, isLogical: false, fruId: 0x50, name: "" },
    ]);
    expect(places.map(({ id, name }) => `${id} ${name}`)).toEqual([
      "0 Board",
      "3 PSU 1",
      "3 PSU 1",
      "80 FRU 80",
    ]);
    expect(places[2]?.whyNot).toContain("0x82");
    expect(places[3]?.whyNot).toContain("private bus");
  });

  test("and those out of reach say so instead of being left out", () => {
    const places = fruPlaces([{ ...locator, accessAddress: 0x82 }]);
    const image = fruImage({ board: BOARD });
    const devices = valueOfRun(runSteps(readFru(places, 200), fruHandler(image)));
    expect(devices[1]?.problems).toEqual([
      {
        kind: "unsupported",
        detail: "FRU 3 (PSU 1): not read, it is behind the controller at 0x82",
      },
    ]);
  });
});

describe("the commands", () => {
  test("are the bytes of the standard", () => {
    expect(readFruData.encode({ fruId: 1, offset: 0x1234, count: 16 }).toHex()).toBe("01341210");
    const write = { fruId: 2, offset: 8, data: Uint8Array.of(1, 2) };
    expect(writeFruData.encode(write).toHex()).toBe("0208000102");
    const written = writeFruData.decode(Uint8Array.of(2));
    expect(written.ok && written.value).toBe(2);
  });
});
