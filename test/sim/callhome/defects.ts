/**
 * Seeded defects of calling home: each breaks one promise of the machine or of somebody around it, from outside.
 *
 * They exist to show that the referee can fail. A rule that no defect triggers is a rule nobody has seen working.
 */
import type {
  DeliveryEffect,
  DeliveryEvent,
  DeliveryMachine,
} from "../../../agent/callhome/delivery-events.ts";
import type { World, WorldOptions } from "./world.ts";

export interface CallhomeDefect {
  readonly name: string;
  /** Rules of the referee, one of which has to notice. */
  readonly rules: readonly string[];
  readonly wrap?: WorldOptions["wrap"];
  readonly change?: (world: World) => void;
}

function changed(
  machine: DeliveryMachine,
  change: {
    readonly event?: (event: DeliveryEvent) => DeliveryEvent | null;
    readonly effects?: (effects: readonly DeliveryEffect[]) => readonly DeliveryEffect[];
    readonly dueMs?: (dueMs: number) => number;
  },
): DeliveryMachine {
  return {
    step: (event, nowMs) => {
      const heard = change.event === undefined ? event : change.event(event);
      const effects = heard === null ? [] : machine.step(heard, nowMs);
      return change.effects?.(effects) ?? effects;
    },
    dueMs: () => change.dueMs?.(machine.dueMs()) ?? machine.dueMs(),
    report: (nowMs) => machine.report(nowMs),
    explain: (id, nowMs) => machine.explain(id, nowMs),
  };
}

/** Something else in the place of each send. */
function sends(
  instead: (send: Extract<DeliveryEffect, { readonly kind: "send" }>) => readonly DeliveryEffect[],
): (machine: DeliveryMachine) => DeliveryMachine {
  return (machine) =>
    changed(machine, {
      effects: (effects) => effects.flatMap((one) => (one.kind === "send" ? instead(one) : [one])),
    });
}

export const CALLHOME_DEFECTS: readonly CallhomeDefect[] = [
  {
    name: "R1 is taken for R2: what a manager keeps is closed",
    rules: ["acknowledged lost"],
    wrap: (machine) => {
      const kept: string[] = [];
      return changed(machine, {
        event: (event) => {
          if (event.kind === "answered") {
            for (const { id, kind } of event.results) if (kind === "kept") kept.push(id);
          }
          return event;
        },
        effects: (effects) => [
          ...effects,
          ...kept
            .splice(0)
            .map((id) => ({ kind: "close", id, as: "delivered", receipt: null }) as const),
        ],
      });
    },
  },
  {
    name: "what is refused for now is taken for refused for good",
    rules: ["acknowledged lost", "sent after closed"],
    wrap: (machine) =>
      changed(machine, {
        effects: (effects) =>
          effects.flatMap((one) =>
            one.kind === "record" && one.step.step === "turned-away"
              ? [one, { kind: "close", id: one.step.id, as: "refused", receipt: null } as const]
              : [one],
          ),
      }),
  },
  {
    name: "every event goes direct at once as well",
    rules: ["two paths at once", "too many duplicates"],
    wrap: sends((send) => {
      if (send.path.kind !== "manager") return [send];
      const path = { kind: "direct", name: "destination" } as const;
      return [send, { ...send, request: send.request + 1e6, path }];
    }),
  },
  {
    name: "no receipt is heard, and no answer to a question",
    rules: ["not delivered"],
    wrap: (machine) =>
      changed(machine, {
        event: (event) => (event.kind === "receipt" || event.kind === "digest" ? null : event),
      }),
  },
  {
    name: "what is delivered is never closed",
    rules: ["not delivered"],
    wrap: (machine) =>
      changed(machine, { effects: (effects) => effects.filter(({ kind }) => kind !== "close") }),
  },
  {
    name: "a closed event is sent once more",
    rules: ["sent after closed"],
    wrap: (machine) =>
      changed(machine, {
        effects: (effects) => {
          const close = effects.find(({ kind }) => kind === "close");
          if (close?.kind !== "close") return effects;
          const path = { kind: "direct", name: "destination" } as const;
          const ids = [close.id];
          return [...effects, { kind: "send", request: 2e6, path, ids, timeoutMs: 1_000 }];
        },
      }),
  },
  {
    name: "all that waits goes in one request",
    rules: ["batch"],
    wrap: sends((send) => [{ ...send, ids: Array.from({ length: 300 }, () => send.ids[0] ?? "") }]),
  },
  {
    name: "something is sent that nobody acknowledged",
    rules: ["unknown event"],
    wrap: sends((send) => [{ ...send, ids: [...send.ids.slice(1), "made-up"] }]),
  },
  {
    name: "the clock wakes the machine without end",
    rules: ["loop"],
    wrap: (machine) => changed(machine, { dueMs: () => Number.NEGATIVE_INFINITY }),
  },
  {
    name: "the destination opens a ticket for each copy",
    rules: ["second ticket"],
    change: (world) => {
      world.destination.makesSecondTickets = true;
    },
  },
  {
    name: "the destination forgets what it gave a receipt for",
    rules: ["acknowledged lost", "not delivered"],
    change: (world) => {
      world.destination.forgets = true;
    },
  },
  {
    name: "the network brings each request three times",
    rules: ["too many duplicates"],
    change: (world) => {
      world.destination.copies = 3;
    },
  },
];
