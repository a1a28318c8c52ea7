/**
 * The control protocol of the emulator: one line in, one line out, for people at a terminal and for scripts.
 *
 * Decides what a line asks for; `control-run.ts` does it. Words are separated by spaces; a name with spaces stands in double
 * quotes, or with `_` for each space, and neither case matters. An error is one line that says what was wrong.
 *
 *   event SENSOR [OFFSET] [off]     an event of a sensor: by name, number, or category such as memory
 *   event raw HEX                   a whole record of 16 bytes, 32 hex digits
 *   sensor NAME VALUE               drives it; a discrete one: its states as bits
 *   sensor NAME state OFFSET on|off
 *   fault NAME on|off [VALUE]       fault list: those that are on; fault clear: none
 *   sel clear | sel fill N | sel count
 *   power [on|off|soft-off|cycle|reset|nmi]
 *   reset                           the BMC, not the node
 *   status, help
 */
import { err, ok, type Result } from "../../core/result.ts";
import type { ChassisAction } from "./chassis.ts";
import { FAULT_NAMES, type FaultName, isFaultName } from "./faults.ts";

export type ControlCommand =
  | {
      readonly kind: "event";
      readonly sensor: string;
      readonly offset: number;
      readonly isAssertion: boolean;
    }
  | { readonly kind: "record"; readonly record: Uint8Array }
  | { readonly kind: "sensor"; readonly sensor: string; readonly value: number }
  | {
      readonly kind: "state";
      readonly sensor: string;
      readonly offset: number;
      readonly isOn: boolean;
    }
  | { readonly kind: "fault"; readonly name: FaultName; readonly value: number | null }
  | { readonly kind: "fault-off"; readonly name: FaultName }
  | { readonly kind: "fault-list" }
  | { readonly kind: "fault-clear" }
  | { readonly kind: "sel-clear" }
  | { readonly kind: "sel-fill"; readonly count: number }
  | { readonly kind: "sel-count" }
  | { readonly kind: "power"; readonly action: ChassisAction | null }
  | { readonly kind: "reset" }
  | { readonly kind: "status" }
  | { readonly kind: "help" };

export const CONTROL_HELP: string = [
  "event SENSOR [OFFSET] [off]",
  "event raw HEX",
  "sensor NAME VALUE",
  "sensor NAME state OFFSET on|off",
  "fault NAME on|off [VALUE]",
  "fault list",
  "fault clear",
  "sel clear",
  "sel fill N",
  "sel count",
  "power [on|off|soft-off|cycle|reset|nmi]",
  "reset",
  "status",
  "help",
].join("; ");

const OFFSET_MAX = 15;
const FILL_MAX = 65_534;
const RECORD_DIGITS = 32;
const ACTIONS: readonly ChassisAction[] = ["on", "off", "soft-off", "cycle", "reset", "nmi"];

type Parsed = Result<ControlCommand, string>;

function words(line: string): readonly string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(
    ([, quoted, plain = ""]) => quoted ?? plain.replaceAll("_", " "),
  );
}

function wholeNumber(word: string | undefined, most: number): number | null {
  if (word === undefined || !/^(?:0x[0-9a-f]+|\d+)$/i.test(word)) return null;
  const value = Number(word);
  return value <= most ? value : null;
}

function parseEvent(rest: readonly string[]): Parsed {
  const [sensor, ...more] = rest;
  if (sensor === undefined) return err("event needs a sensor's name");
  if (sensor === "raw") {
    const digits = more.join("");
    const isRecord = digits.length === RECORD_DIGITS && /^[0-9a-f]*$/i.test(digits);
    if (!isRecord) return err("event raw needs 32 hex digits, a record of 16 bytes");
    return ok({ kind: "record", record: Uint8Array.fromHex(digits) });
  }
  const isAssertion = more.at(-1) !== "off";
  const numbers = isAssertion ? more : more.slice(0, -1);
  const offset = numbers.length === 0 ? 0 : wholeNumber(numbers[0], OFFSET_MAX);
  if (offset === null || numbers.length > 1) return err("event SENSOR [OFFSET 0-15] [off]");
  return ok({ kind: "event", sensor, offset, isAssertion });
}

function parseSensor(rest: readonly string[]): Parsed {
  const [sensor, value, offsetWord, onOff] = rest;
  if (sensor === undefined || value === undefined) return err("sensor needs a name and a value");
  if (value === "state") {
    const offset = wholeNumber(offsetWord, OFFSET_MAX - 1);
    if (offset === null || (onOff !== "on" && onOff !== "off")) {
      return err("sensor NAME state OFFSET on|off");
    }
    return ok({ kind: "state", sensor, offset, isOn: onOff === "on" });
  }
  const number = Number(value);
  if (value.trim() === "" || !Number.isFinite(number)) return err(`${value} is no number`);
  return ok({ kind: "sensor", sensor, value: number });
}

function parseFault(rest: readonly string[]): Parsed {
  const [name, how, valueWord] = rest;
  if (name === undefined || name === "list") return ok({ kind: "fault-list" });
  if (name === "clear") return ok({ kind: "fault-clear" });
  if (!isFaultName(name)) return err(`no fault ${name}; there are ${FAULT_NAMES.join(", ")}`);
  if (how === "off") return ok({ kind: "fault-off", name });
  if (how !== "on") return err(`fault ${name} on|off [VALUE]`);
  if (valueWord === undefined) return ok({ kind: "fault", name, value: null });
  const value = wholeNumber(valueWord, Number.MAX_SAFE_INTEGER);
  return value === null
    ? err(`${valueWord} is no whole number`)
    : ok({ kind: "fault", name, value });
}

function parseSel(rest: readonly string[]): Parsed {
  const [what, countWord] = rest;
  if (what === "clear") return ok({ kind: "sel-clear" });
  if (what === "count") return ok({ kind: "sel-count" });
  const count = wholeNumber(countWord, FILL_MAX);
  if (what !== "fill" || count === null) return err("sel clear | sel fill N | sel count");
  return ok({ kind: "sel-fill", count });
}

function parsePower(word: string | undefined): Parsed {
  if (word === undefined || word === "status") return ok({ kind: "power", action: null });
  const action = ACTIONS.find((one) => one === word);
  return action === undefined
    ? err(`power ${word}: one of ${ACTIONS.join(", ")}`)
    : ok({ kind: "power", action });
}

export function parseControl(line: string): Parsed {
  const [verb, ...rest] = words(line);
  switch (verb) {
    case "event":
      return parseEvent(rest);
    case "sensor":
      return parseSensor(rest);
    case "fault":
      return parseFault(rest);
    case "sel":
      return parseSel(rest);
    case "power":
      return parsePower(rest[0]);
    case "reset":
    case "status":
    case "help":
      return ok({ kind: verb });
    default:
      return err(`unknown command ${verb ?? "of no words"}; help lists them`);
  }
}
