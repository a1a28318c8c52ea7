/**
 * The hello of a program to its proxy over the control socket: who it is, and which layout it speaks. The connection stays open for
 * as long as the program lives, so that its end is seen at once.
 */
import { ffiBuffer } from "../../../core/io/native.ts";
import { libc } from "../../runtime/io/ffi.ts";
import { connectUnix, MSG_DONTWAIT, MSG_NOSIGNAL, wouldBlock } from "../io/socket.ts";
import { LAYOUT_VERSION } from "../segment-layout.ts";
import type { Channel } from "./channel.ts";

const RETRY_MS = 10;
const ANSWER_BYTES_MAX = 4096;

export interface AttachPlace {
  readonly job: string;
  readonly rank: number;
  readonly control: string;
}

let connected = -1;

function ask(fd: number, place: AttachPlace): void {
  const hello = {
    kind: "attach",
    job: place.job,
    rank: place.rank,
    pid: process.pid,
    layout: LAYOUT_VERSION,
  };
  const bytes = new TextEncoder().encode(`${JSON.stringify(hello)}\n`);
  const memory = ffiBuffer(bytes.byteLength);
  memory.u8.set(bytes);
  libc.send(fd, memory.pointer, bytes.byteLength, MSG_NOSIGNAL);
}

/** Null: the proxy went away before it answered. */
async function answerOf(fd: number, isOver: () => boolean): Promise<string | null> {
  const memory = ffiBuffer(ANSWER_BYTES_MAX);
  let text = "";
  while (!text.includes("\n")) {
    const got = libc.recv(fd, memory.pointer, ANSWER_BYTES_MAX, MSG_DONTWAIT);
    if (got > 0) text += new TextDecoder().decode(memory.u8.subarray(0, got));
    else if (got === 0 || !wouldBlock() || isOver()) return null;
    else await Bun.sleep(1);
  }
  return text;
}

/** False: the proxy is being replaced; idle and come again. */
export async function attach(place: AttachPlace, channel: Channel): Promise<boolean> {
  const { segment } = channel.mapped;
  const isOver = (): boolean => segment.load("idleRequest") !== channel.epoch;
  if (connected >= 0) libc.close(connected);
  connected = -1;
  while (!isOver()) {
    const fd = connectUnix(place.control);
    if (fd < 0) {
      await Bun.sleep(RETRY_MS);
      channel.checkAgent();
      continue;
    }
    ask(fd, place);
    const answer = await answerOf(fd, isOver);
    if (answer === null) {
      libc.close(fd);
      continue;
    }
    const { kind, reason } = JSON.parse(answer) as {
      readonly kind: string;
      readonly reason?: string;
    };
    if (kind !== "welcome") throw new Error(`the proxy refuses this program: it ${reason ?? kind}`);
    connected = fd;
    return true;
  }
  return false;
}
