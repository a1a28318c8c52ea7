/**
 * Seeded defects: each breaks one promise of the decision code from outside, by wrapping what goes in or comes out.
 *
 * They exist to show that the referee can fail. A rule that no defect triggers is a rule nobody has seen working.
 */

import type { Version } from "../../agent/checkpoint/checkpoint.ts";
import type { NodeEffect, NodeEvent } from "../../agent/job/node-events.ts";
import type { View } from "../../agent/membership/membership.ts";
import type { MembershipEffect } from "../../agent/membership/membership-events.ts";
import type { ScenarioName } from "./history.ts";
import type { ClusterOptions, MembershipLike } from "./world/cluster.ts";
import type { DecisionMachine } from "./world/machine.ts";

export interface Defect {
  readonly name: string;
  readonly scenario: ScenarioName;
  /** Rules of the referee, one of which has to notice. */
  readonly rules: readonly string[];
  readonly broken: Pick<ClusterOptions, "wrap" | "wrapMembership">;
}

/** A machine whose events or effects are changed on their way. */
function changed(
  machine: DecisionMachine,
  change: {
    readonly event?: (event: NodeEvent) => readonly NodeEvent[];
    readonly effect?: (effect: NodeEffect) => readonly NodeEffect[];
  },
): DecisionMachine {
  const { event: onEvent, effect: onEffect } = change;
  return {
    step: (event, nowMs) => {
      const events = onEvent?.(event) ?? [event];
      const effects = events.flatMap((each) => machine.step(each, nowMs));
      return onEffect === undefined ? effects : effects.flatMap(onEffect);
    },
    dueMs: () => machine.dueMs(),
    view: () => machine.view(),
    frozen: () => machine.frozen(),
    records: () => machine.records(),
  };
}

function changedMembership(
  membership: MembershipLike,
  effect: (effect: MembershipEffect) => readonly MembershipEffect[],
  frozen?: () => string | null,
): MembershipLike {
  return {
    step: (event, nowMs) => membership.step(event, nowMs).flatMap(effect),
    dueMs: () => membership.dueMs(),
    view: () => membership.view(),
    frozen: frozen ?? (() => membership.frozen()),
    members: () => membership.members(),
    self: () => membership.self(),
    health: () => membership.health(),
  };
}

function withMembers(view: View, first: string): View {
  const own = view.members.filter((member) => member.id === first);
  return { ...view, members: [...own, ...view.members.filter((member) => member.id !== first)] };
}

/** Says that its promises, votes and views are on disk, and writes only the first few of a run. */
function forgetful(membership: MembershipLike): MembershipLike {
  let written = 0;
  const step: MembershipLike["step"] = (event, nowMs) => {
    const effects: MembershipEffect[] = [];
    for (const effect of membership.step(event, nowMs)) {
      if (effect.kind !== "persist" || ++written <= WRITTEN_MAX) effects.push(effect);
      else effects.push(...step({ kind: "persisted", token: effect.token }, nowMs));
    }
    return effects;
  };
  return { ...changedMembership(membership, (effect) => [effect]), step };
}

/** Enough to be let into a view. */
const WRITTEN_MAX = 6;

export const DEFECTS: readonly Defect[] = [
  {
    name: "a voter forgets in a crash what it promised and accepted",
    scenario: "membership",
    rules: ["epoch goes back"],
    broken: {
      wrapMembership: forgetful,
    },
  },
  {
    name: "a proposer tells some of another view than was agreed",
    scenario: "membership",
    rules: ["two views of one epoch"],
    broken: {
      wrapMembership: (membership, node) =>
        changedMembership(membership, (effect) => {
          if (effect.kind !== "send" || effect.message.kind !== "decided") return [effect];
          const { view } = effect.message;
          if (effect.to !== "n3" || view.members.length < 5) return [effect];
          const members = view.members.filter((m) => m.id === node.id || m.id === "n3");
          return [{ ...effect, message: { ...effect.message, view: { ...view, members } } }];
        }),
    },
  },
  {
    name: "a node takes up an old view",
    scenario: "membership",
    rules: ["epoch goes back"],
    broken: {
      wrap: (machine) => {
        let old: View | null = null;
        return {
          ...changed(machine, {}),
          view: () => {
            const view = machine.view();
            if (view === null || view.epoch < 4) old = view;
            return view !== null && view.epoch === 6 ? old : view;
          },
        };
      },
    },
  },
  {
    name: "a minority does not notice that it is one",
    scenario: "split",
    rules: ["stale progress", "two views of one epoch", "two common states"],
    broken: {
      wrapMembership: (membership) => {
        // Before the first view nobody acts anyway; after it nothing stops this node any more.
        const frozen = () => (membership.view() === null ? membership.frozen() : null);
        return changedMembership(
          membership,
          (effect) => (effect.kind === "frozen" ? [] : [effect]),
          frozen,
        );
      },
    },
  },
  {
    name: "a frozen node seals all the same",
    scenario: "full",
    rules: ["frozen node acts"],
    broken: {
      wrap: (machine) => {
        let sealed: NodeEffect | null = null;
        return changed(machine, {
          effect: (effect) => {
            if (effect.kind === "store" && effect.command.kind === "seal") sealed = effect;
            const isFreezing = effect.kind === "membership" && effect.effect.kind === "frozen";
            return isFreezing && sealed !== null ? [effect, sealed] : [effect];
          },
        });
      },
    },
  },
  {
    name: "every node takes itself for the lead",
    scenario: "full",
    rules: ["request not taken", "job does not go on", "epochs race", "two common states"],
    broken: {
      wrapMembership: (membership, node) =>
        changedMembership(membership, (effect) =>
          effect.kind === "view"
            ? [{ ...effect, view: withMembers(effect.view, node.id) }]
            : [effect],
        ),
    },
  },
  {
    name: "a shard is called durable when it was only copied",
    scenario: "full",
    rules: ["seal before durable"],
    broken: {
      wrap: (machine) =>
        changed(machine, {
          event: (event) => {
            if (event.kind !== "store" || event.event.kind !== "captured") return [event];
            const { token } = event.event;
            return [event, { kind: "store", event: { kind: "done", token, bytes: 0 } }];
          },
        }),
    },
  },
  {
    name: "the selection counts on holders that are gone",
    scenario: "full",
    rules: ["untrue verdict", "wrong selection", "job does not go on", "epochs race"],
    broken: {
      wrap: (machine) =>
        changed(machine, {
          effect: (effect) => {
            if (effect.kind !== "tell-proxy" || effect.message.kind !== "assign") return [effect];
            const { message } = effect;
            const all = message.holdings.flatMap((node) => node.holdings);
            const newest = all.reduce((max, h) => Math.max(max, h.version), 0);
            // As if the dead had held, sealed, what nobody finished.
            const gone = message.placement.flatMap((_, rank) =>
              all.slice(0, 1).map((h) => ({
                ...h,
                rank,
                version: (newest + 1) as Version,
                parent: null,
                sealed: true,
              })),
            );
            const holdings = message.holdings.map((node, index) =>
              index === 0 ? { ...node, holdings: [...node.holdings, ...gone] } : node,
            );
            return [{ ...effect, message: { ...message, holdings } }];
          },
        }),
    },
  },
  {
    name: "one node restores an older version than was selected",
    scenario: "full",
    rules: ["unrestorable", "ranks out of step", "wrong state"],
    broken: {
      wrap: (machine, node) =>
        changed(machine, {
          effect: (effect) => {
            if (node.id !== "n2" || effect.kind !== "store") return [effect];
            if (effect.command.kind !== "restore") return [effect];
            return [{ kind: "store", command: { ...effect.command, version: 0 as Version } }];
          },
        }),
    },
  },
  {
    name: "one node goes on from another version than the others",
    scenario: "full",
    rules: ["two common states", "unrestorable", "ambiguous version"],
    broken: {
      wrap: (machine, node) =>
        changed(machine, {
          effect: (effect) => {
            if (node.id !== "n2" || effect.kind !== "tell-proxy") return [effect];
            const { message } = effect;
            if (message.kind !== "resume") return [effect];
            const version = (message.version + 1) as Version;
            return [{ ...effect, message: { ...message, version } }];
          },
        }),
    },
  },
  {
    name: "messages of an older epoch are taken for new ones",
    scenario: "full",
    rules: [
      "seal before durable",
      "two common states",
      "unrestorable",
      "untrue verdict",
      "untrue end",
      "job does not go on",
      "epochs race",
      "records differ",
      "versions are not collected",
    ],
    broken: {
      wrap: (machine) =>
        changed(machine, {
          event: (event) => {
            const epoch = machine.view()?.epoch;
            if (event.kind !== "job-message" || epoch === undefined) return [event];
            if (event.message.epoch >= epoch) return [event];
            return [{ ...event, message: { ...event.message, epoch } }];
          },
        }),
    },
  },
  {
    name: "old versions are never collected",
    scenario: "calm",
    rules: ["versions are not collected"],
    broken: {
      wrap: (machine) =>
        changed(machine, {
          effect: (effect) =>
            effect.kind === "store" && effect.command.kind === "collect" ? [] : [effect],
        }),
    },
  },
];
