/**
 * Goal: what the page shows is what happens. Method: a real manager, destination and agent, an emulated BMC that raises errors, and
 * headless Chromium on the manager's own page; the manager is killed and comes back while somebody looks.
 */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "puppeteer-core";
import {
  chromiumPath,
  openBrowser,
  openPage,
  type WatchedPage,
} from "../../agent/manager/page/harness/browser.ts";
import { realPart } from "../real-part.ts";

const chromium = realPart("Chromium", () => chromiumPath() !== null, "apt-get install chromium");
const LIMIT_MS = 120_000;
const MAIN = join(import.meta.dir, "../../agent/main.ts");
/** Of its own, so that nobody else's ports are met. */
const NET = `127.${20 + (process.pid % 200)}.${1 + ((process.pid >> 8) % 250)}`;

const folder = mkdtempSync(join(tmpdir(), "holdfast-live-"));
const children: Bun.Subprocess[] = [];
let browser: Browser | null = null;
let manager: Bun.Subprocess | null = null;

function start(argv: readonly string[]): Bun.Subprocess {
  const name = argv[0] ?? "";
  const log = Bun.file(join(folder, `${name}-${children.length}.log`));
  const child = Bun.spawn([process.execPath, MAIN, ...argv], {
    stdio: ["ignore", log, log],
    env: { ...process.env, HOLDFAST_BMC_PASSWORD: "emulated" },
  });
  children.push(child);
  return child;
}

function startManager(): Bun.Subprocess {
  return start([
    ...["manager", "--listen", `${NET}.3:7443`, "--page-listen", `${NET}.3:7480`],
    ...["--data", join(folder, "manager"), "--destination", `http://${NET}.4:7500`],
  ]);
}

function control(line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(join(folder, "bmc.sock"));
    socket.on("error", reject);
    socket.on("connect", () => socket.write(`${line}\n`));
    socket.once("data", (chunk) => {
      socket.destroy();
      resolve(String(chunk));
    });
  });
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const limitMs = performance.now() + 40_000;
  while (!(await condition().catch(() => false))) {
    if (performance.now() > limitMs) throw new Error(`not within 40 s: ${what}`);
    await Bun.sleep(50);
  }
}

async function isTold(url: string, text: string): Promise<boolean> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(1_000) });
  return (await answer.text()).includes(text);
}

beforeAll(async () => {
  if (chromiumPath() === null) return;
  browser = await openBrowser();
  mkdirSync(join(folder, "shm"));
  writeFileSync(join(folder, "pw"), "emulated\n", { mode: 0o600 });
  start(["bmc", "emulate", "--lan", `${NET}.1:9623`, "--control", join(folder, "bmc.sock")]);
  const data = join(folder, "destination");
  start(["destination", "--listen", `${NET}.4:7500`, "--data", data]);
  manager = startManager();
  start([
    ...["agent", "--id", "n1", "--address", `${NET}.2`, "--found", "--witness"],
    ...["--data", join(folder, "n1"), "--shm", "/dev/shm", "--heartbeat-hours", "0"],
    ...["--bmc", `lan://admin@${NET}.1:9623`, "--bmc-password-file", join(folder, "pw")],
    ...["--bmc-poll-seconds", "0.1", "--manager", `http://${NET}.3:7443`],
    ...["--destination", `http://${NET}.4:7500`],
  ]);
  await until("the node watches its BMC", () =>
    isTold(`http://${NET}.2:7400/v1/callhome`, '"state":"watched"'),
  );
  await until("the manager has the node", () => isTold(`http://${NET}.3:7480/v1/nodes`, '"n1"'));
}, LIMIT_MS);

afterAll(async () => {
  await browser?.close();
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(children.map((child) => child.exited));
  rmSync(folder, { recursive: true, force: true });
}, LIMIT_MS);

/** How long it took until the element said it. */
async function says({ page }: WatchedPage, selector: string, text: string): Promise<number> {
  const startMs = performance.now();
  await page.waitForFunction(
    (where: string, what: string) =>
      document.querySelector(where)?.textContent?.includes(what) === true,
    { timeout: 30_000, polling: 20 },
    selector,
    text,
  );
  return performance.now() - startMs;
}

/** The browser itself logs each connection that is refused or breaks: those are no errors of the page. */
function ownFaults({ faults }: WatchedPage): readonly string[] {
  return faults.filter((text) => !/net::ERR_/.test(text));
}

describe("the page of a real manager", () => {
  chromium(
    "shows an error in a BMC within a second, its way to R2, and its ticket",
    async () => {
      if (browser === null) throw new Error("no browser");
      const view = { width: 1280, height: 900, scheme: "light" } as const;
      const watched = await openPage(browser, `http://${NET}.3:7480/`, view);
      try {
        await says(watched, "#link", "live");
        await says(watched, "#nodes-list", "alive");
        await says(watched, "#epochs-host", "1 member");
        expect(await control('event "DIMM A1" 1')).toStartWith("ok");
        expect(await says(watched, "#events-list-0", "uncorrectable")).toBeLessThan(2_000);
        await says(watched, "#events-list-0 .c-way", "R2");
        await watched.page.click("#events-list-0");
        await says(watched, "#event-detail .sentence", "Support has it through the manager");
        await says(watched, "#tickets-list", "T-");
        await says(watched, "#now", "is open");
        expect(ownFaults(watched)).toEqual([]);
        expect(watched.strays).toEqual([]);
      } finally {
        await watched.page.close();
      }
    },
    LIMIT_MS,
  );

  chromium(
    "says that the manager is dead, and once it is back shows what went around it",
    async () => {
      if (browser === null) throw new Error("no browser");
      const view = { width: 1280, height: 900, scheme: "dark" } as const;
      const watched = await openPage(browser, `http://${NET}.3:7480/`, view);
      try {
        await says(watched, "#link", "live");
        manager?.kill("SIGKILL");
        await manager?.exited;
        await says(watched, "#now", "The manager does not answer");
        expect(await control('event "PSU1 Status" 1')).toStartWith("ok");
        await until("the destination has both tickets", async () => {
          const answer = await fetch(`http://${NET}.4:7500/v1/tickets`);
          const { tickets } = (await answer.json()) as { readonly tickets: readonly unknown[] };
          return tickets.length === 2;
        });
        manager = startManager();
        await says(watched, "#link", "live");
        await says(watched, "#events-list-0", "power supply failure");
        await says(watched, "#events-list-0 .c-way", "direct");
        await watched.page.click("#events-list-0");
        await says(watched, "#event-detail .sentence", "around the manager, directly");
        await says(watched, "#event-detail .way", "told of it afterwards");
        expect(ownFaults(watched)).toEqual([]);
        expect(watched.strays).toEqual([]);
      } finally {
        await watched.page.close();
      }
    },
    LIMIT_MS,
  );
});
