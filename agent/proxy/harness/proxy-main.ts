/** A proxy process for the tests and benches of this room: `bun proxy-main.ts CONTROL HOST`. */
import { runProxy } from "../io/proxy-process.ts";

const [control = "", host = "127.0.0.1"] = process.argv.slice(2);
await runProxy({ control, host });
