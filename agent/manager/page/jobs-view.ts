/**
 * The jobs: where each rank runs, which versions are sealed and whole, what was rolled back. The newest few, the rest on request.
 */
import type { ReportedRollback } from "../../callhome/report.ts";
import type { JobRow } from "../api.ts";
import { byId, h, setText } from "./dom.ts";
import { emptyState } from "./empty.ts";
import { counted, listed, runs } from "./format.ts";
import { badge } from "./marks.ts";

const SHOWN_AT_FIRST = 12;
const NODES_MOST = 12;
const VERSIONS_MOST = 16;

const TONES: Readonly<Record<JobRow["state"], "good" | "warn" | "bad" | "plain">> = {
  starting: "plain",
  running: "good",
  recovering: "warn",
  ended: "plain",
  lost: "bad",
};

/** How many ranks of each node, nodes in the order of their first rank. */
function ranksByNode(
  placement: readonly string[],
): readonly (readonly [string, readonly number[]])[] {
  const byNode = new Map<string, number[]>();
  placement.forEach((node, rank) => {
    const ranks = byNode.get(node);
    if (ranks === undefined) byNode.set(node, [rank]);
    else ranks.push(rank);
  });
  return [...byNode];
}

function placementLine({ placement }: JobRow): HTMLElement {
  const nodes = ranksByNode(placement);
  if (nodes.length === 0) return h("p", { class: "job-line muted" }, "not placed yet");
  const chips = nodes.slice(0, NODES_MOST).map(([node, ranks]) =>
    h(
      "li",
      {
        class: "rank",
        title: `${ranks.length === 1 ? "rank" : "ranks"} ${runs(ranks)} on ${node}`,
      },
      h("b", {}, runs(ranks)),
      ` ${node}`,
    ),
  );
  const more = nodes.length - NODES_MOST;
  if (more > 0) chips.push(h("li", { class: "rank muted" }, `${more} more nodes`));
  return h("ul", { class: "job-line ranks", "aria-label": "Ranks and their nodes" }, ...chips);
}

function versionsLine(job: JobRow, back: ReportedRollback | null): HTMLElement {
  const squares = job.versions.slice(0, VERSIONS_MOST).map(({ version, nodes, ranks }) => {
    const isWhole = ranks >= job.ranks;
    const held = isWhole ? "whole" : `${ranks} of ${job.ranks} ranks`;
    const isBase = back?.base === version;
    const rolled = isBase ? ", rolled back to" : "";
    const title = `version ${version}: sealed, ${held}, on ${listed(nodes, 6)}${rolled}`;
    const classes = `version${isWhole ? " is-whole" : ""}${isBase ? " is-base" : ""}`;
    return h("li", { class: classes, title }, `v${version}`, isBase && " ↶");
  });
  if (squares.length === 0) {
    const none = job.sealed === 0 ? "no sealed version yet" : "no node holds a sealed version now";
    return h("p", { class: "job-line muted" }, none);
  }
  const more = job.versions.length - VERSIONS_MOST;
  if (more > 0) squares.push(h("li", { class: "version muted" }, `+${more}`));
  return h(
    "ul",
    { class: "job-line versions", "aria-label": "Sealed versions, newest first" },
    ...squares,
  );
}

function card(job: JobRow): HTMLElement {
  const rollbacks = job.rollbacks ?? [];
  const back = rollbacks.at(-1) ?? null;
  const code = job.exitCode === null ? "" : `, code ${job.exitCode}`;
  return h(
    "article",
    { class: "job", id: `job-${job.id}`, "aria-label": `Job ${job.id}` },
    h(
      "header",
      {},
      h("h3", { class: "mono" }, job.id),
      badge(`${job.state}${code}`, TONES[job.state] ?? "plain"),
      h("span", { class: "muted" }, `epoch ${job.epoch} · ${counted(job.ranks, "rank")}`),
      h("span", { class: "sealed" }, job.sealed === 0 ? "" : `sealed v${job.sealed}`),
    ),
    h("code", { class: "argv", title: job.argv.join(" ") }, job.argv.join(" ")),
    placementLine(job),
    versionsLine(job, back),
    back !== null &&
      h(
        "p",
        { class: "job-line rolled" },
        `rolled back ${counted(rollbacks.length, "time")}, last to ${back.base === 0 ? "its beginning" : `v${back.base}`} in epoch ${back.epoch}`,
      ),
    job.verdict !== null && h("p", { class: "job-line verdict" }, job.verdict),
  );
}

export class JobsView {
  readonly #host = byId("jobs-host");
  readonly #count = byId("jobs-count");
  #shownOf: readonly JobRow[] | null = null;
  #most = SHOWN_AT_FIRST;

  show(rows: readonly JobRow[]): void {
    if (rows === this.#shownOf) return;
    this.#shownOf = rows;
    const active = rows.filter(({ state }) => state !== "ended" && state !== "lost").length;
    setText(this.#count, `${active} active of ${counted(rows.length, "job")}`);
    if (rows.length === 0) {
      this.#host.replaceChildren(
        emptyState(
          "No job",
          "Jobs whose nodes report here appear with their ranks and sealed versions. To run one:",
          "holdfast run --ranks 4 -- bun train.ts",
        ),
      );
      return;
    }
    const cards = rows.slice(0, this.#most).map(card);
    const more = rows.length - this.#most;
    const button = h("button", { type: "button", class: "more" }, `show ${more} more`);
    button.addEventListener("click", () => {
      this.#most += 50;
      this.#shownOf = null;
      this.show(rows);
    });
    this.#host.replaceChildren(...cards, ...(more > 0 ? [button] : []));
  }

  find(job: string): void {
    document.getElementById(`job-${job}`)?.scrollIntoView({ block: "center" });
  }
}
