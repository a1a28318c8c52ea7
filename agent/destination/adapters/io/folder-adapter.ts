/**
 * A directory as the far end: one JSON file for each change, for whatever people pick files up with.
 *
 *   DIR/<destination>--<key>.json    mode 0600; written beside itself, flushed, renamed, the folder flushed
 *
 * A change that comes again replaces its own file with the same content. Whoever picks up files removes them; `*.tmp` is never
 * complete and may be ignored.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { err, ok, type Result } from "../../../../core/result.ts";
import { writeAtomic } from "../../../runtime/io/disk.ts";
import type { AdapterFailure, Delivered, TicketChange } from "../../adapter.ts";
import type { Adapter } from "../../io/adapter.ts";
import { safeName } from "../change-text.ts";
import { unreachable } from "../http-answer.ts";
import { webhookBody } from "../standard-webhook.ts";

const NAME_MAX = 200;

/** No name of a destination leads out of the folder. */
export function fileNameOf(change: TicketChange): string {
  const safe = (text: string): string => safeName(text, /[^A-Za-z0-9.-]|^\./gu);
  return `${safe(change.destination).slice(0, NAME_MAX)}--${safe(change.key)}.json`;
}

/** The folder is made if only its last part is missing. The error is one line. */
export function folderAdapter(name: string, path: string): Result<Adapter, string> {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    const code = (cause as { code?: string }).code ?? "unknown";
    if (code !== "EEXIST") return err(`--adapter dir: ${path} cannot be made (${code})`);
  }
  return ok({ name, deliver: (change) => write(path, change) });
}

async function write(
  path: string,
  change: TicketChange,
): Promise<Result<Delivered, AdapterFailure>> {
  const file = join(path, fileNameOf(change));
  const failure = await writeAtomic(file, `${JSON.stringify(webhookBody(change), null, 2)}\n`);
  if (failure === null) return ok({ externalId: null });
  const remedy = failure.kind === "no-space" ? "make room" : "look at the directory and its rights";
  return err(unreachable(`${path} takes no file (${failure.detail}): ${remedy}`));
}
