/**
 * The picture of the page in the documents: `bun agent/manager/page/harness/screenshot.ts docs/manager-page.png [light|dark]`.
 * Of the fixture's cluster, with an event chosen that went around the manager.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildPage } from "../build-page.ts";
import { openBrowser, openPage } from "./browser.ts";
import { workingCluster } from "./fixture-data.ts";
import { FixtureServer } from "./fixture-server.ts";

const [path = "manager-page.png", scheme = "light"] = process.argv.slice(2);
const SIZE = { width: 1280, height: 900 } as const;
const LIMIT_MS = 20_000;

const folder = mkdtempSync(join(tmpdir(), "holdfast-page-"));
await buildPage(join(import.meta.dir, "../../../.."), join(folder, "page"));
const server = new FixtureServer(
  readFileSync(join(folder, "page"), "utf8"),
  workingCluster(Date.now()),
);
rmSync(folder, { recursive: true, force: true });
server.start();
const browser = await openBrowser();
try {
  const colours = scheme === "dark" ? "dark" : "light";
  const { page } = await openPage(browser, server.url, { ...SIZE, scheme: colours });
  await page.waitForSelector("#events-list-3", { timeout: LIMIT_MS });
  await page.click("#events-list-3");
  await page.waitForSelector(".way", { timeout: LIMIT_MS });
  // Away from the rows, and no ring of focus: it is a picture.
  await page.mouse.move(1, 1);
  await page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)");
  await page.screenshot({ path, fullPage: true });
} finally {
  await browser.close();
  await server.stop();
}
