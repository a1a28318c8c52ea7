/**
 * Empty states: what would stand here, and the command that brings it.
 */
import { type Child, h } from "./dom.ts";

const MANAGER_PORT = 7443;

export function emptyState(title: string, text: Child, command: string | null): HTMLElement {
  return h(
    "div",
    { class: "empty" },
    h("p", { class: "empty-title" }, title),
    h("p", {}, text),
    command !== null && h("code", { class: "command" }, command),
  );
}

/** Where agents reach the manager, by default: the page has a door of its own, on the same machine. */
export function managerAddress(): string {
  return `${location.hostname}:${MANAGER_PORT}`;
}
