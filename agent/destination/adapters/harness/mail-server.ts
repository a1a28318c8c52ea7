/**
 * An SMTP server for what a well-behaved one does not do: it answers each command as it is told to. (Whole conversations, with
 * STARTTLS and logins, are tried with another project's server in `test/real/`.)
 */
import { createServer, type Socket } from "node:net";

export interface MailServer {
  readonly port: number;
  /** Texts of the mails that were taken. */
  readonly mails: readonly string[];
  stop(): void;
}

/** By the command's first word, `GREETING` and `BODY`; others get the usual answer. null: no answer at all. */
export type Replies = Readonly<Record<string, string | null>>;

const USUAL: Readonly<Record<string, string>> = {
  GREETING: "220 test",
  EHLO: "250-test\r\n250 AUTH PLAIN LOGIN",
  HELO: "250 test",
  AUTH: "235 2.7.0 ok",
  MAIL: "250 ok",
  RCPT: "250 ok",
  DATA: "354 go on",
  BODY: "250 taken",
  QUIT: "221 bye",
};

class Conversation {
  readonly #socket: Socket;
  readonly #reply: (word: string) => void;
  readonly #mails: string[];
  #text = "";
  #isInBody = false;

  constructor(socket: Socket, replies: Replies, mails: string[]) {
    this.#socket = socket;
    this.#mails = mails;
    this.#reply = (word) => {
      const reply = Object.hasOwn(replies, word) ? replies[word] : USUAL[word];
      if (reply !== null) this.#socket.write(`${reply ?? "502 no"}\r\n`);
    };
    this.#reply("GREETING");
    socket.on("data", (chunk) => this.#hear(chunk.toString("latin1")));
    socket.on("error", () => undefined);
  }

  #hear(chunk: string): void {
    this.#text += chunk;
    for (;;) {
      const end = this.#text.indexOf(this.#isInBody ? "\r\n.\r\n" : "\r\n");
      if (end < 0) return;
      const line = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + (this.#isInBody ? 5 : 2));
      if (this.#isInBody) {
        this.#isInBody = false;
        this.#mails.push(line);
        this.#reply("BODY");
      } else {
        const word = line.split(" ")[0]?.toUpperCase() ?? "";
        this.#isInBody = word === "DATA";
        this.#reply(word);
      }
    }
  }
}

export async function mailServer(replies: Replies = {}): Promise<MailServer> {
  const mails: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    new Conversation(socket, replies, mails);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    mails,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
