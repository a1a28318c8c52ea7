/**
 * The epochs: each view of the cluster, who joined and who left. The newest few; the rest on request.
 */
import type { EpochRow } from "../api.ts";
import { byId, h, setText } from "./dom.ts";
import { emptyState } from "./empty.ts";
import { counted, listed, moment } from "./format.ts";

const SHOWN_AT_FIRST = 40;
const NAMES_MOST = 6;

function item(row: EpochRow, nowMs: number, isNewest: boolean): HTMLElement {
  const changes = [
    row.left.length > 0 && h("span", { class: "left" }, `− ${listed(row.left, NAMES_MOST)}`),
    row.joined.length > 0 && h("span", { class: "joined" }, `+ ${listed(row.joined, NAMES_MOST)}`),
    row.left.length + row.joined.length === 0 &&
      h("span", { class: "muted" }, "same members, a recovery"),
  ];
  return h(
    "li",
    { class: isNewest ? "epoch is-newest" : "epoch", title: listed(row.members, 40) },
    h("b", { class: "epoch-number" }, row.epoch),
    h("span", { class: "epoch-changes" }, ...changes),
    h("span", { class: "epoch-members" }, counted(row.members.length, "member")),
    h("time", { datetime: new Date(row.atMs).toISOString() }, moment(row.atMs, nowMs)),
  );
}

export class EpochsView {
  readonly #host = byId("epochs-host");
  readonly #count = byId("epochs-count");
  #shownOf: readonly EpochRow[] | null = null;
  #most = SHOWN_AT_FIRST;

  show(rows: readonly EpochRow[], nowMs: number): void {
    if (rows === this.#shownOf) return;
    this.#shownOf = rows;
    const newest = rows[0];
    setText(this.#count, newest === undefined ? "" : `now ${newest.epoch}`);
    if (newest === undefined) {
      this.#host.replaceChildren(
        emptyState(
          "No epoch yet",
          "Each change of who belongs to the cluster is an epoch, agreed by a majority. The first agent founds it.",
          null,
        ),
      );
      return;
    }
    const items = rows.slice(0, this.#most).map((row) => item(row, nowMs, row === newest));
    const more = rows.length - this.#most;
    const button = h("button", { type: "button", class: "more" }, `show ${more} more`);
    button.addEventListener("click", () => {
      this.#most += 200;
      this.#shownOf = null;
      this.show(rows, nowMs);
    });
    this.#host.replaceChildren(
      h("ol", { class: "epochs", "aria-label": "Epochs, newest first" }, ...items),
      ...(more > 0 ? [button] : []),
    );
  }
}
