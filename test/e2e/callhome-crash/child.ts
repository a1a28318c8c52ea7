/**
 * For the kill trials: a process that does nothing but put events into an outbox and close some, until it is killed.
 *
 *   bun child.ts FOLDER FIRST_NUMBER APPENDERS
 *
 * On standard output, a line each: `end SEGMENT BYTES`, up to where the newest segment is flushed, so that whoever killed it may
 * tear what lies behind; then `kept N` and `closed N`, once the outbox has said so, and `closing N` before it is asked to.
 */
import { writeSync } from "node:fs";
import { itemOf, openTestOutbox } from "../../../agent/callhome/io/test-outbox.ts";

const [folder, first, appenders] = Bun.argv.slice(2) as [string, string, string];
/** Small, so that a short life sees many segments begin, end and be deleted. */
const SEGMENT_BYTES = 256 * 1024;
/** Every so many stays open for good. */
const LEFT_OPEN = 7;

function say(text: string): void {
  writeSync(1, `${text}\n`);
}

const limits = { segmentBytes: SEGMENT_BYTES };
const { put, closed } = await openTestOutbox(folder, limits, (segment, bytes) => {
  // Before anybody is told of it, so that what is torn was never acknowledged.
  say(`end ${segment} ${bytes}`);
});

let next = Number(first);

async function append(): Promise<void> {
  for (;;) {
    const number = next++;
    const item = itemOf(number);
    const result = await put(item);
    if (result.kind !== "kept" && result.kind !== "known") throw new Error(result.kind);
    say(`kept ${number}`);
    if (number % LEFT_OPEN === 0) continue;
    // It may be gone from here on, though nobody was told so yet.
    say(`closing ${number}`);
    await closed(item.id);
    say(`closed ${number}`);
  }
}

say("ready");
await Promise.all(Array.from({ length: Number(appenders) }, () => append()));
