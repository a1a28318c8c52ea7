/**
 * `bun test/real/bmc/prepare-guest.ts` — fetches the kernel for the tests that boot a guest; does nothing when it is there.
 *
 * Fails where the network does: whoever calls it tries again.
 */
import { prepareKernel } from "./guest-kernel.ts";

try {
  process.stdout.write(`kernel of the guest: ${prepareKernel()}\n`);
} catch (error) {
  process.stderr.write(
    `prepare-guest: ${error instanceof Error ? error.message : String(error)}\n`,
  );
  process.exit(1);
}
