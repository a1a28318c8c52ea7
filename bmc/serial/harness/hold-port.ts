/**
 * A program of its own that takes a serial port and holds it until it is ended: `bun hold-port.ts DEVICE LOCK_FOLDER`. Says
 * `open`, or the kind of the error.
 */
import { linuxBinding } from "../io/linux-binding.ts";
import { PortError } from "../io/port-error.ts";

const [path = "", lockFolder = null] = process.argv.slice(2);

try {
  await linuxBinding.open({ path, baudRate: 9600, lockFolder });
  process.stdout.write("open\n");
  setInterval(() => undefined, 1_000);
} catch (error) {
  process.stdout.write(`${error instanceof PortError ? error.kind : String(error)}\n`);
}
