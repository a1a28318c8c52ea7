/**
 * Goal: the manager's page shows what is so, at once, to everybody, and survives its manager. Method: headless Chromium on the
 * page as it is built, over a server that speaks a manager's lists and stream; at 1280 and 400 pixels, light and dark, by keyboard;
 * with texts that are attacks, with a thousand nodes and ten thousand events.
 */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "puppeteer-core";
import { buildPage } from "../../agent/manager/page/build-page.ts";
import { auditPage } from "../../agent/manager/page/harness/audit.ts";
import {
  chromiumPath,
  openBrowser,
  openPage,
  type WatchedPage,
} from "../../agent/manager/page/harness/browser.ts";
import {
  eventRow,
  type FixtureRows,
  largeCluster,
  nodeRow,
  step,
  workingCluster,
} from "../../agent/manager/page/harness/fixture-data.ts";
import { FixtureServer } from "../../agent/manager/page/harness/fixture-server.ts";
import { realPart } from "../real-part.ts";

const chromium = realPart("Chromium", () => chromiumPath() !== null, "apt-get install chromium");
const ROOT = join(import.meta.dir, "../..");
const LIMIT_MS = 60_000;
const WIDE = { width: 1280, height: 900, scheme: "light" } as const;
const NARROW = { width: 400, height: 800, scheme: "dark" } as const;

let browser: Browser | null = null;
let html = "";

beforeAll(async () => {
  if (chromiumPath() === null) return;
  const folder = mkdtempSync(join(tmpdir(), "holdfast-page-"));
  await buildPage(ROOT, join(folder, "page"));
  html = readFileSync(join(folder, "page"), "utf8");
  rmSync(folder, { recursive: true, force: true });
  browser = await openBrowser();
}, LIMIT_MS);

afterAll(async () => {
  await browser?.close();
}, LIMIT_MS);

interface Visit extends WatchedPage {
  readonly server: FixtureServer;
}

/** Every visit ends with the same two questions: did the page do anything wrong, did it ask anybody else. */
async function visit(
  rows: FixtureRows,
  body: (visit: Visit) => Promise<void>,
  options: typeof WIDE | typeof NARROW = WIDE,
): Promise<void> {
  if (browser === null) throw new Error("no browser");
  const server = new FixtureServer(html, rows);
  server.start();
  let watched: WatchedPage | null = null;
  try {
    watched = await openPage(browser, server.url, options);
    await watched.page.waitForSelector('#link[data-link="live"]', { timeout: 10_000 });
    await body({ ...watched, server });
    expect(watched.faults).toEqual([]);
    expect(watched.strays).toEqual([]);
  } finally {
    await watched?.page.close();
    await server.stop();
  }
}

function noRows(): FixtureRows {
  return { nodes: [], events: [], tickets: [], jobs: [], epochs: [] };
}

function textOf(page: Page, selector: string): Promise<string> {
  return page.$eval(selector, (element) => element.textContent ?? "");
}

/** Waits until the element says it; how long that took. */
async function says(page: Page, selector: string, text: string): Promise<number> {
  const startMs = performance.now();
  await page.waitForFunction(
    (where: string, what: string) =>
      document.querySelector(where)?.textContent?.includes(what) === true,
    { timeout: 10_000, polling: 20 },
    selector,
    text,
  );
  return performance.now() - startMs;
}

describe("the manager's page", () => {
  chromium("shows nodes, events, tickets, jobs, epochs and what is wrong", async () => {
    await visit(workingCluster(Date.now()), async ({ page }) => {
      await says(page, "#now", "n3 is dead");
      expect(await textOf(page, "#now-title")).toBe("2 things to look at");
      await says(page, "#nodes-list", "R2208WT");
      expect(await textOf(page, "#nodes-list-0")).toMatch(/n3[\s\S]*dead[\s\S]*5/);
      await says(page, "#tickets-list", "HF-1190");
      await says(page, "#jobs-host", "v22 ↶");
      expect(await textOf(page, "#job-j-5be1c0de")).toMatch(/running[\s\S]*sealed v24[\s\S]*2 n5/);
      expect(await textOf(page, "#job-j-5be1c0de")).toContain("rolled back 1 time, last to v22");
      expect(await textOf(page, "#epochs-host")).toMatch(/^6− n35 members/);
      expect(await textOf(page, "#figures")).toMatch(/nodes alive5 \/ 6/);
      expect(await page.$$eval(".bin rect", (bars) => bars.length)).toBeGreaterThan(5);
      expect(await textOf(page, "#place")).toBe("lab · manager m1");
    });
  });

  chromium("says that all is well, and teaches where nothing is", async () => {
    await visit(noRows(), async ({ page, server }) => {
      await says(page, "#now-title", "All well");
      expect(await textOf(page, "#nodes-empty")).toContain("--manager 127.0.0.1:7443");
      await says(page, "#events-empty", "holdfast callhome test");
      expect(await textOf(page, "#tickets-empty")).toContain("holdfast destination");
      expect(await textOf(page, "#jobs-host")).toContain("holdfast run");
      server.node(nodeRow("n1", Date.now()));
      await says(page, "#now-list", "1 node is alive");
      expect(await textOf(page, "#nodes-empty")).toBe("");
    });
  });

  chromium("shows a new event within a second, without a reload", async () => {
    await visit(workingCluster(Date.now()), async ({ page, server }) => {
      await says(page, "#events-list", "Inlet");
      await page.evaluate(() => {
        (window as unknown as { mark: string }).mark = "the same document";
      });
      server.event(
        eventRow(900, Date.now(), { text: "PSU 1: failure, just now", severity: "critical" }),
      );
      expect(await says(page, "#events-list-0", "PSU 1: failure, just now")).toBeLessThan(1_000);
      await says(page, "#figures", "172");
      expect(await page.evaluate(() => (window as unknown as { mark?: string }).mark)).toBe(
        "the same document",
      );
    });
  });

  chromium("shows an event's way, and how it goes on", async () => {
    await visit(noRows(), async ({ page, server }) => {
      const now = Date.now();
      const steps = [step("queued", now, "n1")];
      const queued = eventRow(1, now, { state: "kept", path: null, ticket: null, steps });
      server.event(queued);
      await says(page, "#events-list-0 .c-way", "queued");
      await page.click("#events-list-0");
      await says(page, "#event-detail .sentence", "Kept by its node");
      steps.push(step("R1", now + 12, "m1"));
      server.event({ ...queued, steps: [...steps] });
      await says(page, "#events-list-0 .c-way", "R1");
      await says(page, "#event-detail .sentence", "support does not have it yet");
      expect(await page.$$eval(".way .leg.is-waiting", (legs) => legs.length)).toBe(1);
      steps.push(step("R2", now + 46, "support"));
      server.event({
        ...queued,
        steps: [...steps],
        state: "delivered",
        path: "manager",
        ticket: "HF-7",
      });
      await says(page, "#events-list-0 .c-way", "R2 46 ms");
      await says(page, "#event-detail .sentence", "through the manager, 46 ms after it was seen");
      expect(await textOf(page, "#event-detail .way")).toMatch(/m1[\s\S]*support[\s\S]*HF-7/);
      expect(await page.$eval(".way", (way) => way.getAttribute("aria-label"))).toContain(
        "Support has it",
      );
    });
  });

  chromium(
    "draws the ways around the manager: directly, and through a peer that is named",
    async () => {
      await visit(workingCluster(Date.now()), async ({ page }) => {
        await page.select("#event-filters select", "around");
        await says(page, "#events-count", "2 events");
        await page.click("#events-list-1");
        await says(page, "#event-detail .sentence", "around the manager, directly");
        expect(await textOf(page, ".way")).toContain("R1: no R1 within 3 s");
        expect(await page.$$eval(".way .cross", (crosses) => crosses.length)).toBe(1);
        await page.click("#events-list-0");
        await says(page, "#event-detail .sentence", "through a peer");
        expect(await textOf(page, ".way")).toContain("n2");
      });
    },
  );

  chromium(
    "says when the manager is gone, and comes back by itself with what it missed",
    async () => {
      await visit(workingCluster(Date.now()), async ({ page, server, faults }) => {
        await says(page, "#events-list", "Inlet");
        await server.stop();
        await says(page, "#now", "The manager does not answer");
        await says(page, "#link", "not connected since");
        // The browser itself logs each refused connection: those are no errors of the page.
        server.rows.events.push(
          eventRow(950, Date.now(), { text: "seen while the page was away" }),
        );
        server.forget("run-2");
        server.start();
        await says(page, "#link", "live");
        await says(page, "#events-list-0", "seen while the page was away");
        await page.waitForFunction(
          () => !document.querySelector("#now")?.textContent?.includes("does not answer"),
          { timeout: 5_000 },
        );
        const own = faults.filter(
          (text) =>
            !/net::ERR_(?:CONNECTION_REFUSED|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)/.test(
              text,
            ),
        );
        expect(own).toEqual([]);
        faults.length = 0;
      });
    },
  );

  chromium("takes texts from BMCs as texts, whatever stands in them", async () => {
    const attack = '<img src=x onerror="window.hit=1"><script>window.hit=2</script>"\'`&lt;';
    const now = Date.now();
    const rows = workingCluster(now);
    rows.events.push(
      eventRow(990, now, {
        text: attack,
        subject: attack,
        category: attack,
        system: attack,
        node: attack,
        ticket: attack,
      }),
    );
    rows.nodes.push(nodeRow(attack, now, { why: attack, state: "silent", address: attack }));
    rows.jobs.push({
      ...(rows.jobs[1] as (typeof rows.jobs)[number]),
      id: attack,
      argv: [attack],
      verdict: attack,
      state: "lost",
    });
    rows.epochs.push({ epoch: 7, members: [attack], joined: [attack], left: [attack], atMs: now });
    await visit(rows, async ({ page, server }) => {
      await says(page, "#events-list-0", attack);
      await page.click("#events-list-0");
      await says(page, "#event-detail h3", attack);
      server.event(eventRow(991, Date.now(), { text: `${attack} again` }));
      await says(page, "#events-list-0", `${attack} again`);
      await says(page, "#now", attack);
      expect(
        await page.evaluate(() => (window as unknown as { hit?: number }).hit),
      ).toBeUndefined();
      expect(await page.$$eval("main img, main script, main iframe", (found) => found.length)).toBe(
        0,
      );
    });
  });

  chromium("is refused markup by the browser itself, were there a defect", async () => {
    await visit(noRows(), async ({ page, faults }) => {
      const refusal = await page.evaluate(() => {
        try {
          document.body.insertAdjacentHTML("beforeend", "<b id=made>x</b>");
          return "taken";
        } catch (error) {
          return String(error);
        }
      });
      expect(refusal).toContain("TrustedHTML");
      expect(faults.length).toBeGreaterThan(0);
      faults.length = 0;
    });
  });

  chromium("stays quick with 1,000 nodes and 10,000 events", async () => {
    await visit(largeCluster(Date.now()), async ({ page, server }) => {
      await says(page, "#events-count", "10\u202f000");
      await says(page, "#nodes-count", "1\u202f000 nodes");
      await page.click("#ranges button:last-child");
      await says(page, "#events-count", "10\u202f000 events");
      expect(await page.$$eval("[role=row]", (rows) => rows.length)).toBeLessThan(140);
      expect(await page.$eval("#events-list", (list) => list.getAttribute("aria-rowcount"))).toBe(
        "10001",
      );
      await page.$eval("#events-list", (list) => {
        list.scrollTop = list.scrollHeight;
      });
      await page.waitForSelector("#events-list-9999");
      const typedMs = performance.now();
      await page.type("#event-filters input", "n77 drive");
      await page.waitForFunction(
        () => /^\d{1,3} events of/.test(document.querySelector("#events-count")?.textContent ?? ""),
        { polling: 20 },
      );
      expect(performance.now() - typedMs).toBeLessThan(3_000);
      // A frame that takes longer than this is felt: the page is drawn anew for each of these.
      const drawnMs = await page.evaluate(async () => {
        const took: number[] = [];
        for (let index = 0; index < 7; index++) {
          const button = document.querySelectorAll<HTMLElement>("#ranges button")[index];
          const startMs = performance.now();
          button?.click();
          await new Promise((resolve) => requestAnimationFrame(resolve));
          took.push(performance.now() - startMs);
        }
        return took.sort((a, b) => a - b)[3] ?? 0;
      });
      expect(drawnMs).toBeLessThan(400);
      await page.$eval("#event-filters input", (input) => {
        (input as HTMLInputElement).value = "";
        input.dispatchEvent(new Event("input"));
      });
      server.event(eventRow(20_000, Date.now(), { text: "one more" }));
      expect(await says(page, "#events-list", "one more")).toBeLessThan(1_000);
    });
  });

  chromium("can be used by keyboard alone", async () => {
    await visit(workingCluster(Date.now()), async ({ page }) => {
      await says(page, "#events-list", "Inlet");
      await page.keyboard.press("/");
      await page.keyboard.type("uncorrectable");
      await says(page, "#events-count", "14 events of");
      await page.keyboard.press("Tab");
      const focused = (): Promise<string> => page.evaluate(() => document.activeElement?.id ?? "");
      expect(await focused()).toBe("events-list");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await says(page, "#event-detail h3", "uncorrectable");
      expect(
        await page.$eval("#events-list", (list) => list.getAttribute("aria-activedescendant")),
      ).toBe("events-list-2");
      await page.keyboard.press("End");
      expect(
        await page.$eval("#events-list", (list) => list.getAttribute("aria-activedescendant")),
      ).toBe("events-list-13");
      await page.focus(".timeline");
      await page.keyboard.press("Home");
      await says(page, ".readout", "nothing");
      await page.keyboard.press("Enter");
      await says(page, "#events-empty", "Nothing fits");
      await page.keyboard.press("Escape");
      await says(page, "#events-count", "14 events of");
      const reached = new Set<string>();
      await page.evaluate(() => (document.activeElement as HTMLElement).blur());
      for (let presses = 0; presses < 60; presses++) {
        await page.keyboard.press("Tab");
        reached.add(await page.evaluate(() => document.activeElement?.closest("[id]")?.id ?? ""));
      }
      for (const id of [
        "theme",
        "ranges",
        "event-filters",
        "events-list",
        "nodes-list",
        "tickets-list",
        "jobs-host",
        "epochs-host",
        "now-list",
      ]) {
        expect(reached).toContain(id);
      }
    });
  });

  for (const options of [
    WIDE,
    NARROW,
    { ...WIDE, scheme: "dark" } as const,
    { ...NARROW, scheme: "light" } as const,
  ]) {
    const { width, scheme } = options;
    chromium(`can be read and named by everybody: ${width} px, ${scheme}`, async () => {
      await visit(
        workingCluster(Date.now()),
        async ({ page }) => {
          await says(page, "#events-list", "Inlet");
          await page.click("#events-list-3");
          await says(page, "#event-detail", "queued");
          expect(await auditPage(page)).toEqual([]);
        },
        options as typeof WIDE,
      );
    });
  }

  chromium("keeps the colours that were chosen", async () => {
    await visit(noRows(), async ({ page }) => {
      const ground = (): Promise<string> =>
        page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const light = await ground();
      await page.click("#theme");
      await page.click("#theme");
      expect(await textOf(page, "#theme")).toBe("dark");
      const dark = await ground();
      expect(dark).not.toBe(light);
      await page.reload();
      expect(await ground()).toBe(dark);
    });
  });

  chromium("takes a token from its address, hides it, and asks with it", async () => {
    if (browser === null) throw new Error("no browser");
    const server = new FixtureServer(html, workingCluster(Date.now()));
    server.token = "hft.1.ab";
    server.start();
    try {
      const stranger = await openPage(browser, server.url, WIDE);
      await says(stranger.page, "#now", "Log in with a token");
      await stranger.page.close();
      const { page, strays } = await openPage(browser, `${server.url}#token=hft.1.ab`, WIDE);
      await says(page, "#link", "live");
      await says(page, "#events-list", "Inlet");
      expect(page.url()).toBe(server.url);
      await page.reload();
      await says(page, "#link", "live");
      expect(strays).toEqual([]);
      await page.close();
    } finally {
      await server.stop();
    }
  });

  chromium("says why a list cannot be read", async () => {
    const rows = workingCluster(Date.now());
    await visit(rows, async ({ page, server, faults }) => {
      server.refusal = { status: 403, detail: "only an operator may read this" };
      await server.stop();
      server.forget("run-3");
      server.start();
      await says(page, "#now", "Only an operator may read this");
      server.refusal = null;
      await says(page, "#link", "live");
      faults.length = 0;
    });
  });
});
