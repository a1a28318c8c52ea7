/**
 * Doors for BMCs that push: an address with a secret for each, and who stands behind it now.
 *
 * A Redfish service sends no credentials that one could rely on, so the secret is in the path, 128 bits of it, new at each
 * start of the agent; subscriptions of an earlier start are removed by whoever makes the new one.
 */
import type { PushDoor, PushStatus } from "../../../bmc/bmc.ts";
import { randomHex } from "../../runtime/io/clock.ts";

export const PUSH_PATH = "/v1/hooks/redfish";
const SECRET_BYTES = 16;

type Handler = (body: string) => PushStatus;

export class PushDoors {
  readonly #origin: string;
  readonly #handlers: Map<string, Handler> = new Map();

  /** `origin`: where BMCs reach this agent, such as `http://10.0.0.1:7400`. */
  constructor(origin: string) {
    this.#origin = origin;
  }

  /** One door for one watch. */
  make(): PushDoor {
    const secret = randomHex(SECRET_BYTES);
    return {
      url: `${this.#origin}${PUSH_PATH}/${secret}`,
      open: (handler) => {
        this.#handlers.set(secret, handler);
        return () => {
          if (this.#handlers.get(secret) === handler) this.#handlers.delete(secret);
        };
      },
    };
  }

  /** null: nobody stands behind it. A lookup in a table does not tell how much of a secret was right. */
  handlerOf(secret: string): Handler | null {
    return this.#handlers.get(secret) ?? null;
  }
}
