/**
 * A sender of one bundle as a process of its own, to be killed; prints how it ended.
 *
 *   bun upload-sender.ts PATH DIGEST BYTES EVENT URL PIECE
 */
import { sendBundle } from "../io/upload-client.ts";

const [path = "", digest = "", bytes = "", event = "", url = "", piece = ""] =
  process.argv.slice(2);
const outcome = await sendBundle(
  path,
  { digest, bytes: Number(bytes), event, cluster: "tokyo", node: "n7" },
  { kind: "destination", name: "test", url, fetch: (at, init) => fetch(at, init) },
  { signal: new AbortController().signal, pieceBytes: Number(piece) },
);
process.stdout.write(`${JSON.stringify(outcome)}\n`);
