/**
 * The control protocol on a Unix socket: each line gets a line back, in order. What a line means is `control.ts`.
 *
 * A line that does not end within its limit closes that connection: whoever is there speaks another protocol.
 */
import { unlinkSync } from "node:fs";

const LINE_CHARS_MAX = 4_096;

export interface ControlSocket {
  close(): void;
}

/** Throws an `Error` that names the path when it cannot be had. */
export function openControlSocket(path: string, answer: (line: string) => string): ControlSocket {
  let server: ReturnType<typeof Bun.listen<{ text: string }>>;
  try {
    server = Bun.listen<{ text: string }>({
      unix: path,
      socket: {
        open: (socket) => {
          socket.data = { text: "" };
        },
        data: (socket, bytes) => {
          const lines = (socket.data.text + bytes.toString("utf8")).split("\n");
          socket.data.text = lines.pop() ?? "";
          for (const line of lines) socket.write(`${answer(line.trim())}\n`);
          if (socket.data.text.length > LINE_CHARS_MAX) socket.end();
        },
      },
    });
  } catch (error) {
    throw new Error(`cannot listen on ${path}`, { cause: error });
  }
  return {
    close: () => {
      server.stop(true);
      try {
        unlinkSync(path);
      } catch {}
    },
  };
}
