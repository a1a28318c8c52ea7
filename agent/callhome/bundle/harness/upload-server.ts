/**
 * A receiver of uploads as a process of its own, to be killed: `bun upload-server.ts FOLDER PORT`; prints its port.
 */
import { uploadRoutes } from "../io/upload-routes.ts";
import { UploadStore } from "../io/upload-store.ts";

const [folder = "", port = "0"] = process.argv.slice(2);
const store = await UploadStore.open({
  ...{ folder, wholeState: "delivered", nowMs: () => Date.now() },
  log: { say: (_, text) => process.stderr.write(`${text}\n`) },
});
const app = uploadRoutes(store);
const server = Bun.serve({ hostname: "127.0.0.1", port: Number(port), fetch: app.fetch });
process.stdout.write(`${server.port}\n`);
