/**
 * A long way: `bun callhome-slow-relay.ts LISTEN-PORT ADDRESS:PORT MS`. What comes in at the port goes on to the address, each piece so
 * many milliseconds later, in both directions. For hosts whose kernel has no `netem`.
 */
import { connect, createServer, type Socket } from "node:net";

const [port = "", target = "", delay = ""] = process.argv.slice(2);
const delayMs = Number(delay);
const [host = "", targetPort = ""] = target.split(":");

function pass(source: Socket, sink: Socket): void {
  source.on("data", (bytes) => setTimeout(() => sink.writable && sink.write(bytes), delayMs));
  source.on("close", () => setTimeout(() => sink.destroy(), delayMs));
  source.on("error", () => sink.destroy());
}

createServer((near) => {
  const far = connect(Number(targetPort), host);
  pass(near, far);
  pass(far, near);
}).listen(Number(port), "0.0.0.0", () => process.stdout.write("ready\n"));
