/**
 * A change as a Redfish event, for listeners that people already have for their BMCs.
 *
 * Documentation: DMTF DSP0266 (Redfish specification, "Eventing") and its schema Event.v1_7_0: an `Event` requires `@odata.type`, `Id`,
 * `Name` and `Events`; a record requires `EventType`, `MessageId` and `MemberId`. A listener answers 2xx. `EventId` is unique for a change
 * and the same at each attempt; `EventGroupId` is the same for all changes of a ticket. The keys of the messages are of our own
 * registry `Holdfast.1.0`; that of an end has `Resolved` in it, which listeners (ours too) take for a deassertion.
 */
import type { TicketChange, TicketChangeKind } from "../adapter.ts";
import { type BySeverity, changeLine, isoText, oneLine, ticketKey } from "./change-text.ts";
import { failureOf, isSuccess } from "./http-answer.ts";
import { delivered, failed, jsonAsk, type Talk } from "./talk.ts";

const MESSAGE_KEYS: Readonly<Record<TicketChangeKind, string>> = {
  opened: "TicketOpened",
  appended: "TicketUpdated",
  raised: "TicketRaised",
  closed: "TicketResolved",
  reopened: "TicketReopened",
};

const SEVERITIES: BySeverity<"OK" | "Warning" | "Critical"> = {
  "non-recoverable": "Critical",
  critical: "Critical",
  warning: "Warning",
  ok: "OK",
  information: "OK",
};

/** FNV-1a, 31 bits and never 0: 0 would say that no other event belongs to it. */
function groupOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  return (hash & 0x7fffffff) | 1;
}

export function redfishBody(change: TicketChange, context: string): unknown {
  const severity = change.kind === "closed" ? "OK" : SEVERITIES[change.severity];
  const { component } = change;
  return {
    "@odata.type": "#Event.v1_7_0.Event",
    Id: change.key,
    Name: `Ticket ${change.ticket}`,
    Context: context,
    Events: [
      {
        MemberId: "0",
        EventType: "Alert",
        EventId: `${change.destination}/${change.key}`,
        EventGroupId: groupOf(ticketKey(change, 1_024)),
        EventTimestamp: isoText(change.lastMs),
        MessageId: `Holdfast.1.0.${MESSAGE_KEYS[change.kind]}`,
        Message: changeLine(change),
        MessageArgs: [
          change.ticket,
          change.node,
          `${component.category} ${component.subject}`,
          oneLine(change.text, 1_000),
        ],
        MessageSeverity: severity,
        // Deprecated since Event 1.5, and still what older listeners read.
        Severity: severity,
      },
    ],
  };
}

export function redfishTalk(url: string, context: string, who: string): Talk {
  return {
    step: (change, [answer], secrets) => {
      if (answer === undefined) {
        const authorization = secrets["authorization"];
        const headers = {
          "odata-version": "4.0",
          ...(authorization === undefined ? {} : { authorization }),
        };
        return jsonAsk("POST", url, redfishBody(change, context), headers);
      }
      return isSuccess(answer) ? delivered(null) : failed(failureOf(answer, who, null));
    },
  };
}
