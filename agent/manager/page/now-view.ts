/**
 * What is wrong now, on top of the page; or, in one calm line, that all is well. What is new is told to those who do not see it.
 */
import { byId, h, setText, svg } from "./dom.ts";
import { counted, grouped, shortDuration } from "./format.ts";
import type { Target, Trouble } from "./troubles.ts";
import type { World } from "./world.ts";

const SHOWN_MOST = 6;

function sign(kind: "well" | "grave" | "warning"): SVGElement {
  const shapes = {
    well: "M4.5 10.5 L8.5 14.5 L15.5 6",
    grave: "M10 4 V11.5 M10 15 V15.6",
    warning: "M10 5 V11.5 M10 14.6 V15.2",
  } as const;
  return svg(
    "svg",
    { class: `sign is-${kind}`, viewBox: "0 0 20 20", "aria-hidden": "true" },
    kind === "warning"
      ? svg("path", { class: "sign-ground", d: "M10 1.5 L19 18 H1 Z" })
      : svg("circle", { class: "sign-ground", cx: 10, cy: 10, r: 9 }),
    svg("path", { class: "sign-mark", d: shapes[kind] }),
  );
}

function wellLine(world: World): string {
  const { summary } = world;
  if (summary === null) return "";
  const alive = summary.nodes.alive;
  if (alive === 0) return "Nothing is wrong, and no node reports yet.";
  const nodes = alive === 1 ? "1 node is alive" : `all ${grouped(alive)} nodes are alive`;
  const epoch = summary.clusterEpoch === null ? "" : ` in epoch ${summary.clusterEpoch}`;
  const delivered = summary.events.delivered;
  const events =
    delivered === 0 ? "no error was seen" : `${counted(delivered, "event")} reached support`;
  return `${nodes[0]?.toUpperCase()}${nodes.slice(1)}${epoch}; ${events}, none is on the way.`;
}

export class NowView {
  readonly #host = byId("now-list");
  readonly #title = byId("now-title");
  readonly #panel = byId("now");
  readonly #onTarget: (target: Target) => void;
  #key = "";
  #isAll = false;

  constructor(onTarget: (target: Target) => void) {
    this.#onTarget = onTarget;
  }

  show(world: World, troubles: readonly Trouble[], nowMs: number): void {
    const gravest = troubles[0]?.gravity ?? "well";
    this.#panel.dataset["state"] =
      world.summary === null && troubles.length === 0 ? "unknown" : gravest;
    const title =
      troubles.length === 0
        ? world.summary === null
          ? "Asking the manager…"
          : "All well"
        : `${counted(troubles.length, "thing")} to look at`;
    setText(this.#title, title);
    const key = JSON.stringify([
      this.#isAll,
      troubles.map((trouble) => [trouble, age(trouble, nowMs)]),
      troubles.length === 0 ? wellLine(world) : "",
    ]);
    if (key === this.#key) return;
    this.#key = key;
    if (troubles.length === 0) {
      const text = wellLine(world);
      this.#host.replaceChildren(
        ...(text === ""
          ? []
          : [h("li", { class: "trouble is-well" }, sign("well"), h("span", {}, text))]),
      );
      return;
    }
    const shown = this.#isAll ? troubles : troubles.slice(0, SHOWN_MOST);
    const hidden = troubles.length - shown.length;
    // A button that is used must not lose the focus when its age counts on.
    const focused = document.activeElement?.closest("[data-key]")?.getAttribute("data-key");
    this.#host.replaceChildren(...shown.map((trouble) => this.#item(trouble, nowMs)));
    if (hidden > 0) {
      const more = h("button", { type: "button", class: "more" }, `${hidden} more`);
      more.addEventListener("click", () => {
        this.#isAll = true;
        this.show(world, troubles, nowMs);
      });
      this.#host.append(h("li", {}, more));
    }
    if (focused != null) {
      const same = [...this.#host.children].find(
        (item) => item.getAttribute("data-key") === focused,
      );
      same?.querySelector("button")?.focus();
    }
  }

  #item(trouble: Trouble, nowMs: number): HTMLElement {
    const { key, gravity, title, detail, target } = trouble;
    const name =
      target === null
        ? h("strong", {}, title)
        : h(
            "button",
            { type: "button", class: "trouble-title", click: () => this.#onTarget(target) },
            title,
          );
    return h(
      "li",
      { class: `trouble is-${gravity}`, "data-key": key },
      sign(gravity),
      h("span", { class: "trouble-text" }, name, h("span", { class: "trouble-detail" }, detail)),
      h("span", { class: "trouble-age" }, age(trouble, nowMs)),
    );
  }
}

function age({ sinceMs }: Trouble, nowMs: number): string {
  return sinceMs === null ? "" : `for ${shortDuration(Math.max(1_000, nowMs - sinceMs))}`;
}
