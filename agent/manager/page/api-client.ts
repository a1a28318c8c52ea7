/**
 * How the page asks the manager: lists page by page, and what an answer that is no success says. Same origin only.
 *
 * A manager that wants to know who asks is given a token that stood in the page's own address, behind `#token=`: that part of
 * an address is never sent, and it is taken out of the address bar and kept for this tab only.
 */
import { PAGE_ROWS_MAX, type Page } from "../api.ts";

const TOKEN_KEY = "holdfast-token";
const LIST_MS_MAX = 20_000;

export function takeToken(): void {
  const token = /^#token=([\w.~+/=-]+)$/.exec(location.hash)?.[1];
  if (token === undefined) return;
  sessionStorage.setItem(TOKEN_KEY, token);
  history.replaceState(null, "", location.pathname + location.search);
}

export function headers(
  more: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const token = sessionStorage.getItem(TOKEN_KEY);
  return token === null ? more : { ...more, authorization: `Bearer ${token}` };
}

/** One line: what the manager says is wrong (RFC 9457), else its status. */
export async function whyRefused(answer: Response): Promise<string> {
  try {
    const problem = (await answer.json()) as { readonly detail?: unknown };
    if (typeof problem.detail === "string") return problem.detail;
  } catch {
    // No JSON: judged by its status.
  }
  if (answer.status === 401 || answer.status === 403) {
    return "the manager wants to know who asks: open the page by the address that it printed when it started";
  }
  return `the manager answered ${answer.status}`;
}

async function readPage<Row>(
  path: string,
  cursor: string | null,
  stop: AbortSignal,
): Promise<Page<Row>> {
  const query = new URLSearchParams({ limit: String(PAGE_ROWS_MAX) });
  if (cursor !== null) query.set("cursor", cursor);
  const answer = await fetch(`${path}?${query}`, {
    headers: headers({ accept: "application/json" }),
    signal: AbortSignal.any([stop, AbortSignal.timeout(LIST_MS_MAX)]),
  });
  if (!answer.ok) throw new Error(await whyRefused(answer));
  return (await answer.json()) as Page<Row>;
}

/** Gives each page to `take`, until the end or `rowsMost` rows; says whether that was all. */
export async function readList<Row>(
  path: string,
  options: { readonly rowsMost: number; readonly stop: AbortSignal },
  take: (rows: readonly Row[]) => void,
): Promise<boolean> {
  let cursor: string | null = null;
  for (let count = 0; count < options.rowsMost; ) {
    const page: Page<Row> = await readPage<Row>(path, cursor, options.stop);
    take(page.rows);
    count += page.rows.length;
    cursor = page.next;
    if (cursor === null || page.rows.length === 0) return true;
  }
  return false;
}
