/**
 * What a page must have so that everybody can use it, looked for in the page as it is drawn: names, roles, contrast, order, room.
 *
 * The rules are those of WCAG 2.2 that a program can judge by itself. Runs in the browser; gives a line per breach.
 */
import type { Page } from "puppeteer-core";

/** The accessible names, as the browser itself computes them. */
async function namelessControls(page: Page): Promise<readonly string[]> {
  const tree = await page.accessibility.snapshot();
  const found: string[] = [];
  const walk = (node: Awaited<ReturnType<typeof page.accessibility.snapshot>>): void => {
    if (node === null) return;
    const isControl = [
      "button",
      "textbox",
      "searchbox",
      "combobox",
      "grid",
      "link",
      "application",
    ].includes(node.role);
    if (isControl && (node.name ?? "").trim() === "") found.push(`a ${node.role} has no name`);
    for (const child of node.children ?? []) walk(child);
  };
  walk(tree);
  if (tree === null) found.push("no accessibility tree");
  return found;
}

/** Serialized into the page: it may use nothing from outside. */
function idBreaches(): readonly string[] {
  const found: string[] = [];
  const seen = new Set<string>();
  for (const element of document.querySelectorAll("[id]")) {
    if (seen.has(element.id)) found.push(`two elements #${element.id}`);
    seen.add(element.id);
  }
  for (const attribute of ["aria-labelledby", "aria-describedby", "aria-activedescendant"]) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      const id = element.getAttribute(attribute) ?? "";
      if (document.getElementById(id) === null) found.push(`${attribute}=${id} names nothing`);
    }
  }
  return found;
}

/** Serialized into the page too: landmarks and headings. */
function structureBreaches(): readonly string[] {
  const found: string[] = [];
  if (document.documentElement.lang === "") found.push("no language");
  if (document.querySelectorAll("main, header.top, footer").length !== 3) found.push("landmarks");
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) found.push(`h${own} after h${level}: ${heading.textContent}`);
    level = own;
  }
  return found;
}

/** Serialized into the page too: keyboard, room, size. */
function useBreaches(): readonly string[] {
  const found: string[] = [];
  for (const element of document.querySelectorAll("[tabindex]")) {
    if (Number(element.getAttribute("tabindex")) > 0) found.push(`tabindex > 0 on ${element.id}`);
  }
  if (document.documentElement.scrollWidth > window.innerWidth) {
    found.push(`wider than the window: ${document.documentElement.scrollWidth} px`);
  }
  for (const element of document.querySelectorAll<HTMLElement>("button, input, select, nav a")) {
    const { width, height } = element.getBoundingClientRect();
    if (width > 0 && (width < 24 || height < 20)) {
      found.push(
        `too small to hit: ${element.textContent} ${Math.round(width)} × ${Math.round(height)}`,
      );
    }
  }
  for (const grid of document.querySelectorAll('[role="grid"]')) {
    for (const row of grid.querySelectorAll('[role="row"]')) {
      if (!row.hasAttribute("aria-rowindex")) found.push("a row without its place");
    }
  }
  return found;
}

/** Serialized into the page too. Colours are read back from a canvas, whatever notation they are in. */
function contrastBreaches(): readonly string[] {
  const canvas = new OffscreenCanvas(1, 1);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) return ["no canvas"];
  type Colour = readonly [number, number, number, number];
  const read = (colour: string): Colour => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r = 0, g = 0, b = 0, a = 0] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top: Colour, under: Colour): Colour => {
    const mix = (index: 0 | 1 | 2): number => top[index] * top[3] + under[index] * (1 - top[3]);
    return [mix(0), mix(1), mix(2), 1];
  };
  const luminance = ([r, g, b]: Colour): number => {
    const part = (value: number): number => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const groundOf = (element: Element): Colour => {
    const layers: Colour[] = [];
    for (let at: Element | null = element; at !== null; at = at.parentElement) {
      const colour = read(getComputedStyle(at).backgroundColor);
      layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reduceRight<Colour>((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const found = new Set<string>();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    if (element === null || (node.textContent ?? "").trim() === "") continue;
    if (element.closest("script, style, .for-readers, .skip, [hidden]") !== null) continue;
    const style = getComputedStyle(element);
    if (style.visibility === "hidden" || element.getClientRects().length === 0) continue;
    const ground = groundOf(element);
    const isDrawing = element.closest("svg") !== null;
    const ink = over(read(isDrawing ? style.fill : style.color), ground);
    const [light, dark] = [luminance(ink), luminance(ground)].sort((a, b) => b - a) as [
      number,
      number,
    ];
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) {
      found.add(
        `contrast ${ratio.toFixed(2)} of .${element.getAttribute("class")} "${node.textContent?.slice(0, 20)}"`,
      );
    }
  }
  return [...found];
}

export async function auditPage(page: Page): Promise<readonly string[]> {
  return [
    ...(await namelessControls(page)),
    ...(await page.evaluate(idBreaches)),
    ...(await page.evaluate(structureBreaches)),
    ...(await page.evaluate(useBreaches)),
    ...(await page.evaluate(contrastBreaches)),
  ];
}
