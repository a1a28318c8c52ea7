/**
 * For tests: who sends a body of 1 GiB wherever he is let, by a real socket, and sees how much of it was taken.
 */
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { DialTls } from "./secure.ts";

export const FLOOD_BYTES: number = 1024 ** 3;

interface FloodTrust {
  readonly rejectUnauthorized?: boolean;
}

export interface Flood {
  readonly at: { readonly host: string; readonly port: number };
  /** null: in the clear. `serverName` is what is checked; without certificates, the server's is taken whatever it says. */
  readonly tls: (Partial<Omit<DialTls, "rejectUnauthorized">> & FloodTrust) | null;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Announced by a length, or in chunks without one. */
  readonly way: "length" | "chunks";
  readonly bytes?: number;
  /** Whether the rest is sent although there is an answer. */
  readonly goesOn?: boolean;
}

export interface FloodOutcome {
  /** null: the connection was closed without an answer. */
  readonly status: number | null;
  readonly text: string;
  readonly sentBytes: number;
  /** Until the other side had closed the connection; null: it did not within the limit. */
  readonly closedMs: number | null;
  /** How far the memory of this process, and so of a server in it, grew. */
  readonly grownBytes: number;
}

const PIECE: Buffer = Buffer.alloc(65_536, 0x20);
const CHUNK: Buffer = Buffer.concat([Buffer.from("10000\r\n"), PIECE, Buffer.from("\r\n")]);

function headOf({ method, path, headers = {}, way, bytes = FLOOD_BYTES }: Flood): string {
  const length = way === "length" ? `content-length: ${bytes}` : "transfer-encoding: chunked";
  const given = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\nhost: x\r\n${given.join("")}${length}\r\n\r\n`;
}

function dial({ at, tls }: Flood): { readonly socket: Socket; readonly ready: string } {
  if (tls === null) return { socket: connectPlain(at), ready: "connect" };
  const { serverName = "", ...rest } = tls;
  const socket = connectTls({ ...at, ...rest, servername: serverName });
  return { socket, ready: "secureConnect" };
}

/** Sends until it is all sent, the other side closes, or the limit is over. */
export function flood(order: Flood, limitMs = 10_000): Promise<FloodOutcome> {
  const { way, bytes = FLOOD_BYTES, goesOn = true } = order;
  const { socket, ready } = dial(order);
  const startMs = performance.now();
  const before = process.memoryUsage.rss();
  let most = before;
  let text = "";
  let sentBytes = 0;
  let hasEnded = false;
  const send = (): void => {
    most = Math.max(most, process.memoryUsage.rss());
    while (sentBytes < bytes && (goesOn || text === "")) {
      const piece = PIECE.subarray(0, bytes - sentBytes);
      sentBytes += piece.length;
      if (!socket.write(way === "length" ? piece : CHUNK)) return;
    }
    if (way === "chunks" && sentBytes >= bytes && !hasEnded) socket.write("0\r\n\r\n");
    hasEnded = true;
  };
  return new Promise((resolve) => {
    const over = (closedMs: number | null): void => {
      clearTimeout(timer);
      socket.destroy();
      const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1];
      const grownBytes = Math.max(most, process.memoryUsage.rss()) - before;
      resolve({
        ...{ status: status === undefined ? null : Number(status), text, sentBytes, closedMs },
        grownBytes,
      });
    };
    const timer = setTimeout(() => over(null), limitMs);
    socket.on(ready, () => {
      socket.write(headOf(order));
      send();
    });
    socket.on("drain", send);
    socket.on("data", (data: Buffer) => {
      if (text.length < 64_000) text += data.toString("latin1");
    });
    // That the other side has closed is seen by an error as well; `close` follows it.
    socket.on("error", () => undefined);
    socket.on("close", () => over(performance.now() - startMs));
  });
}
