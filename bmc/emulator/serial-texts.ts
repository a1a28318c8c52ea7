/**
 * The texts of Terminal Mode (IPMI 2.0 §14.7.4 to 14.7.7, appendix E): `SYS …` in, `OK …` or `ERR CC` out.
 *
 * Decides what a text does; they are case-sensitive. Without the privilege that the like command needs the answer is `ERR D4`;
 * a text that is not known gives `ERR C1`. Texts never get an answer of more than a line each.
 */
import type { ChassisAction } from "./chassis.ts";
import { CODE, type Level } from "./commands/command.ts";
import type { BmcModel } from "./model.ts";
import type { SensorState } from "./sensors.ts";
import type { SerialSession } from "./serial-session.ts";

const IDENTIFY_SECONDS = 15;

type Health = "ok" | "nc" | "cr" | "nr" | "uf";

function failed(code: number): readonly string[] {
  return [`ERR ${code.toString(16).padStart(2, "0").toUpperCase()}`];
}

const OK: readonly string[] = ["OK"];

export function answerText(
  text: string,
  model: BmcModel,
  session: SerialSession,
  nowMs: number,
): readonly string[] {
  const words = text.split(" ").filter((word) => word !== "");
  if (words[0] !== "SYS") return [];
  const key = words[1] ?? "";
  const rest = words.slice(2);
  const needs = (level: Level, answer: () => readonly string[]): readonly string[] =>
    session.level >= level ? answer() : failed(CODE.privilege);
  session.touch(nowMs);
  switch (key) {
    case "TMODE":
      return ["OK TMODE"];
    case "PWD":
      return password(rest, session);
    case "RESET":
      return needs(3, () => power(model, "reset", nowMs));
    case "POWER":
      return needs(3, () => powerTo(rest[0], model, nowMs));
    case "HEALTH":
      return needs(2, () => health(rest, model));
    case "IDENTIFY":
      return needs(3, () => identify(rest, model, nowMs));
    default:
      return failed(CODE.unknown);
  }
}

function password(words: readonly string[], session: SerialSession): readonly string[] {
  const [option, first, second] = words;
  if (option === "-X") {
    session.end();
    return OK;
  }
  if (option === "-N") return session.logIn("", first ?? "") ? OK : failed(CODE.privilege);
  if (option !== "-U" || first === undefined) return failed(CODE.invalidField);
  return session.logIn(first, second ?? "") ? OK : failed(CODE.privilege);
}

function power(model: BmcModel, action: ChassisAction, nowMs: number): readonly string[] {
  return model.control(action, nowMs) ? OK : failed(CODE.state);
}

function powerTo(word: string | undefined, model: BmcModel, nowMs: number): readonly string[] {
  if (word === "ON") return power(model, "on", nowMs);
  if (word === "OFF") return power(model, "off", nowMs);
  return failed(CODE.invalidField);
}

function identify(words: readonly string[], model: BmcModel, nowMs: number): readonly string[] {
  const [option, count] = words;
  let seconds: number | null = IDENTIFY_SECONDS;
  if (option === "-OFF") seconds = 0;
  else if (option === "-ON" && count === undefined) seconds = null;
  else if (option === "-ON") seconds = Number.parseInt(count ?? "", 16);
  else if (option !== undefined) return failed(CODE.invalidField);
  if (Number.isNaN(seconds)) return failed(CODE.invalidField);
  model.state.chassis.identify(seconds, nowMs);
  return OK;
}

/** How badly a sensor stands: by its thresholds, or for a discrete one by having a state at all beyond "present". */
function healthOf(state: SensorState): Health {
  if (!("raw" in state)) return "ok";
  const { asserted } = state;
  if ((asserted & 0b100100) !== 0) return "nr";
  if ((asserted & 0b010010) !== 0) return "cr";
  return (asserted & 0b001001) === 0 ? "ok" : "nc";
}

const WORST: readonly Health[] = ["ok", "nc", "cr", "nr"];

/** Of all sensors of a type; `uf` where there is none, as "unspecified". */
function worst(model: BmcModel, type: number | null): Health {
  const { sensors } = model.state;
  const found = sensors.configs
    .filter((config) => type === null || config.type === type)
    .flatMap(({ number }) => sensors.get(number) ?? []);
  if (found.length === 0) return "uf";
  const most = Math.max(...found.map((state) => WORST.indexOf(healthOf(state))));
  return WORST[most] ?? "ok";
}

function health(words: readonly string[], model: BmcModel): readonly string[] {
  if (words[0] !== "QUERY") return failed(CODE.invalidField);
  const isOn = model.state.chassis.isOn ? "ON" : "OFF";
  const parts: readonly (readonly [name: string, type: number | null])[] = [
    ["H", null],
    ["T", 0x01],
    ["V", 0x02],
    ["PS", 0x08],
    ["C", 0x0a],
    ["D", 0x0d],
    ["S", 0x05],
    ["O", 0x0b],
  ];
  const terse = parts.map(([name, type]) => `${name}:${worst(model, type)}`);
  const line = `OK PWR:${isOn} ${terse.join(" ")}`;
  if (words[1] !== "-V") return [line];
  const { sensors } = model.state;
  const crossed = sensors.configs.filter(({ number }) => sensors.crossed(number).length > 0);
  return [line, ...crossed.map(({ name }) => name.replace(/[[\]\\]/g, " "))];
}
