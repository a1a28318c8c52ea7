/**
 * Chromium for tests, and what a page did wrong while a test used it: errors it logged or threw, requests that left its origin.
 */
import puppeteer, { type Browser, type Page } from "puppeteer-core";

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export function chromiumPath(): string | null {
  return PATHS.find((path) => Bun.file(path).size > 0) ?? null;
}

export function openBrowser(): Promise<Browser> {
  const executablePath = chromiumPath();
  if (executablePath === null) throw new Error(`no Chromium at ${PATHS.join(", ")}`);
  const isRoot = process.getuid?.() === 0;
  return puppeteer.launch({
    executablePath,
    headless: true,
    args: [
      "--disable-dev-shm-usage",
      "--disable-gpu",
      "--disable-background-networking",
      "--force-color-profile=srgb",
      // Chromium's own sandbox refuses to run as root; the pages of the tests are our own.
      ...(isRoot ? ["--no-sandbox"] : []),
    ],
  });
}

export interface WatchedPage {
  readonly page: Page;
  /** Errors in the console, exceptions, breaches of the content policy. */
  readonly faults: string[];
  /** Requests to anything but the page's own origin. */
  readonly strays: string[];
}

export interface PageOptions {
  readonly width: number;
  readonly height: number;
  readonly scheme: "light" | "dark";
}

export async function openPage(
  browser: Browser,
  url: string,
  { width, height, scheme }: PageOptions,
): Promise<WatchedPage> {
  const page = await browser.newPage();
  const faults: string[] = [];
  const strays: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warn") faults.push(message.text());
  });
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("request", (request) => {
    const asked = request.url();
    if (!asked.startsWith(new URL(url).origin) && !asked.startsWith("data:")) strays.push(asked);
  });
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(url, { waitUntil: "load" });
  return { page, faults, strays };
}
