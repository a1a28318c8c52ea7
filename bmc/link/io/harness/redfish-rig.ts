/**
 * A Redfish service of our own with a client on it, and a watch whose events are kept: for tests of the whole way.
 *
 * Ports are free ones of the loopback interface. `stop` ends everything. Waiting is for a condition, never for luck.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import type {
  Bmc,
  BmcEvent,
  PushDoor,
  PushStatus,
  Watch,
  WatchMemory,
  WatchNotice,
  WatchOptions,
} from "../../../bmc.ts";
import { type Emulator, startEmulator } from "../../../emulator/io/emulator.ts";
import { RedfishServer, type RedfishServerOptions } from "../../../emulator/io/redfish-server.ts";
import type { RedfishAddress } from "../../../redfish/redfish-address.ts";
import { openRedfish, type RedfishOptions } from "../redfish.ts";

export const PASSWORD = "emulated";

/** Throws after the limit, naming what did not come. */
export async function until(
  what: string,
  isTrue: () => boolean,
  limitMs: number = 10_000,
): Promise<void> {
  const endMs = Date.now() + limitMs;
  while (!isTrue()) {
    if (Date.now() > endMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await Bun.sleep(5);
  }
}

/** The endpoint that an agent would have. */
export class Door implements PushDoor {
  readonly #server: Bun.Server<undefined>;
  #handler: ((body: string) => PushStatus) | null = null;
  /** 503 to every delivery while true. */
  isShut = false;
  readonly statuses: number[] = [];

  constructor() {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const body = await request.text();
        const status = this.isShut ? 503 : (this.#handler?.(body) ?? 503);
        this.statuses.push(status);
        return new Response(null, { status });
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}/v1/hooks/redfish/a-token`;
  }

  get isOpen(): boolean {
    return this.#handler !== null;
  }

  open(handler: (body: string) => PushStatus): () => void {
    this.#handler = handler;
    return () => {
      this.#handler = null;
    };
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }
}

export interface Watching {
  readonly events: BmcEvent[];
  readonly notices: WatchNotice[];
  /** As last given to be kept. */
  memory: WatchMemory | null;
  stop(): Promise<void>;
}

export class Rig {
  readonly emulator: Emulator;
  readonly server: RedfishServer;
  readonly #ends: (() => Promise<void>)[] = [];

  private constructor(emulator: Emulator, server: RedfishServer) {
    this.emulator = emulator;
    this.server = server;
  }

  static async start(
    options: Partial<RedfishServerOptions> = {},
    bmc: Parameters<typeof startEmulator>[0]["bmc"] = {},
  ): Promise<Rig> {
    const emulator = await startEmulator({ lan: null, pty: null, bmc });
    const server = new RedfishServer(emulator, {
      ...{ host: "127.0.0.1", port: 0, isTls: false },
      ...options,
    });
    return new Rig(emulator, server);
  }

  address(changes: Partial<RedfishAddress> = {}): RedfishAddress {
    const { port, fingerprint } = this.server;
    const isTls = fingerprint !== null;
    const url = `redfish+${isTls ? "https" : "http"}://127.0.0.1:${port}`;
    const where = { url, host: "127.0.0.1", port, isTls };
    return { ...where, user: "admin", caFile: null, fingerprint, ...changes };
  }

  async open(options: RedfishOptions = {}): Promise<Bmc> {
    const opened = await openRedfish(this.address(), PASSWORD, options);
    if (!opened.ok) throw new Error(opened.error.detail);
    this.#ends.push(() => opened.value.close());
    return opened.value;
  }

  door(): Door {
    const door = new Door();
    this.#ends.push(() => door.stop());
    return door;
  }

  /** An event of a sensor that is in the log and pushed at once; answers with what the emulator says. */
  raise(sensor: string, offset: number): void {
    const said = this.emulator.control(`event ${sensor} ${offset}`);
    if (!said.startsWith("ok")) throw new Error(said);
  }

  watch(bmc: Bmc, options: Partial<WatchOptions> = {}): Watching {
    const events: BmcEvent[] = [];
    const notices: WatchNotice[] = [];
    let isStopped = false;
    const watching: Watching = {
      events,
      notices,
      memory: null,
      stop: async () => {
        isStopped = true;
        await watch.stop();
      },
    };
    const watch: Watch = bmc.watch(
      { pollMs: 60_000, memory: null, tellsOld: false, ...options },
      {
        onEvent: (event) => {
          if (isStopped) throw new Error("an event after the watch was stopped");
          events.push(event);
        },
        onMemory: (memory) => {
          // As it is kept: what JSON cannot hold must not matter.
          watching.memory = JSON.parse(JSON.stringify(memory)) as WatchMemory;
        },
        onNotice: (notice) => notices.push(notice),
      },
    );
    return watching;
  }

  /** Records of the events in the emulator's log that are not among those told, and those told twice. */
  unaccounted(watching: Watching): { readonly missing: number; readonly repeated: number } {
    const told = watching.events.map(({ id }) => id);
    return {
      missing: this.server.service.model.records().length - new Set(told).size,
      repeated: told.length - new Set(told).size,
    };
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.toReversed()) await end();
    await this.server.stop();
    await this.emulator.stop();
  }
}

export function hasNotice(watching: Watching, kind: WatchNotice["kind"]): boolean {
  return watching.notices.some((notice) => notice.kind === kind);
}

export function isPushedBy(watching: Watching, way: string): boolean {
  return watching.notices.some((notice) => notice.kind === "pushed" && notice.way === way);
}

export function temporaryFile(name: string): string {
  return join(tmpdir(), `holdfast-${process.pid}-${crypto.randomUUID()}-${name}`);
}
