/**
 * Empty states: what would stand here, and the command that brings it.
 */
import { type Child, h } from "./dom.ts";

export function emptyState(title: string, text: Child, command: string | null): HTMLElement {
  return h(
    "div",
    { class: "empty" },
    h("p", { class: "empty-title" }, title),
    h("p", {}, text),
    command !== null && h("code", { class: "command" }, command),
  );
}

/** The manager as an agent is told it: where this page came from. */
export function ownAddress(): string {
  return location.origin;
}
