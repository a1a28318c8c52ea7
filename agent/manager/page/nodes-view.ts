/**
 * The nodes: how each stands, its epoch, its BMC, what it has not got rid of. Those in trouble come first.
 */
import type { NodeRow } from "../api.ts";
import { byId, h, setText } from "./dom.ts";
import { emptyState, managerAddress } from "./empty.ts";
import { ago, counted, grouped } from "./format.ts";
import { badge, severityMark, stateDot } from "./marks.ts";
import { VirtualList } from "./virtual-list.ts";

const STATE_ORDER: Readonly<Record<NodeRow["state"], number>> = {
  dead: 0,
  silent: 1,
  late: 2,
  alive: 3,
};

function gravest(rows: readonly NodeRow[]): readonly NodeRow[] {
  const order = (row: NodeRow): number =>
    (STATE_ORDER[row.state] ?? 0) * 2 + (row.bmcs.some(({ state }) => state === "lost") ? 0 : 1);
  // The order by name, which they come in, is kept among equals.
  return [...rows].sort((a, b) => order(a) - order(b));
}

function bmcCell({ bmcs, state }: NodeRow): Node | string {
  if (bmcs.length === 0) return "none";
  const ill = bmcs.find(({ state }) => state === "lost");
  const shown = ill ?? bmcs[0];
  if (shown === undefined) return "none";
  const more = bmcs.length > 1 ? ` +${bmcs.length - 1}` : "";
  const power = shown.isPoweredOn === false ? ", off" : "";
  const text = `${shown.product ?? shown.state}${power}${more}`;
  const title = `${shown.url}: ${shown.state}, ${shown.detail}`;
  // What a node said before it fell silent need not hold any more.
  const isKnown = state === "alive" || state === "late";
  return h(
    "span",
    { class: `bmc is-${isKnown ? shown.state : "unknown"}`, title },
    h("i", { class: "dot" }),
    text,
  );
}

function waitingCell({ outbox }: NodeRow): Node | string {
  if (outbox === null) return "–";
  return outbox.queued === 0 ? "0" : badge(grouped(outbox.queued), "warn");
}

/** Of one that is alive the manager does not tell each sign of life. */
function seenText({ seenMs, state }: NodeRow, nowMs: number): string {
  if (state === "alive") return "now";
  return seenMs === null ? "never" : ago(seenMs, nowMs);
}

export class NodesView {
  readonly #list: VirtualList<NodeRow>;
  readonly #empty = byId("nodes-empty");
  readonly #count = byId("nodes-count");
  readonly #words: HTMLInputElement;
  #nowMs = 0;
  #hasEmpty = false;
  #rows: readonly NodeRow[] = [];
  #clusterEpoch: number | null = null;
  #sorted: readonly NodeRow[] = [];
  #sortedOf: readonly NodeRow[] | null = null;

  constructor(onChoose: (node: string) => void) {
    this.#words = h("input", {
      type: "search",
      placeholder: "find a node…",
      "aria-label": "Find a node",
      autocomplete: "off",
      spellcheck: "false",
    });
    this.#words.addEventListener("input", () =>
      this.show(this.#rows, this.#clusterEpoch, this.#nowMs),
    );
    byId("nodes-tools").append(this.#words);
    this.#list = new VirtualList<NodeRow>({
      id: "nodes-list",
      label: "Nodes, those in trouble first",
      columns: [
        { title: "Node", className: "c-node" },
        { title: "State", className: "c-state" },
        { title: "Epoch", className: "c-epoch" },
        { title: "BMC", className: "c-bmc" },
        { title: "Waiting", className: "c-queue" },
        { title: "Tickets", className: "c-tickets" },
        { title: "Seen", className: "c-seen" },
      ],
      keyOf: ({ id }) => id,
      cells: (row) => this.#cells(row),
      onChoose: ({ id }) => onChoose(id),
    });
    byId("nodes-host").prepend(this.#list.element);
  }

  #cells(row: NodeRow) {
    const isBehind =
      row.epoch !== null && this.#clusterEpoch !== null && row.epoch < this.#clusterEpoch;
    const epoch = row.epoch === null ? "–" : String(row.epoch);
    const worst = row.worst === null ? null : severityMark({ severity: row.worst });
    return [
      h(
        "span",
        { title: row.address ?? "" },
        row.id,
        row.isLead && h("i", { class: "lead" }, " lead"),
      ),
      h("span", { title: row.why }, stateDot(row.state)),
      isBehind ? badge(epoch, "warn") : epoch,
      bmcCell(row),
      waitingCell(row),
      row.openTickets === 0 ? "–" : h("span", {}, worst, ` ${row.openTickets}`),
      seenText(row, this.#nowMs),
    ];
  }

  /** Find this one: it may be far down. */
  find(node: string): void {
    this.#words.value = node;
    this.show(this.#rows, this.#clusterEpoch, this.#nowMs);
    this.#list.element.focus();
  }

  show(rows: readonly NodeRow[], clusterEpoch: number | null, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#clusterEpoch = clusterEpoch;
    this.#rows = rows;
    if (this.#sortedOf !== rows) {
      this.#sorted = gravest(rows);
      this.#sortedOf = rows;
    }
    const words = this.#words.value.trim().toLowerCase();
    const shown =
      words === ""
        ? this.#sorted
        : this.#sorted.filter(({ id, address, state }) =>
            `${id} ${address ?? ""} ${state}`.toLowerCase().includes(words),
          );
    const of = shown.length === rows.length ? "" : ` of ${grouped(rows.length)}`;
    setText(this.#count, `${counted(shown.length, "node")}${of}`);
    this.#list.element.hidden = rows.length === 0;
    this.#list.show(shown, null);
    const isEmpty = rows.length === 0;
    if (isEmpty === this.#hasEmpty) return;
    this.#hasEmpty = isEmpty;
    this.#empty.replaceChildren();
    if (isEmpty) {
      this.#empty.append(
        emptyState(
          "No agent reports yet",
          "Start one on each node, and tell it where this manager listens for nodes, as it said when it started:",
          `holdfast agent --id n1 --found --data FOLDER --manager ${managerAddress()}`,
        ),
      );
    }
  }

  refresh(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#list.refresh();
  }
}
