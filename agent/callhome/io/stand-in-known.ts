/**
 * How the BMCs of other nodes are reached, kept on disk so that it is known after a node's death.
 *
 * A node tells its BMC's address and what its watch remembers to the few lowest members, those who would stand in; they ask for it,
 * more often right after something changed. What a peer says is a URL that this node would dial with its own password: so it
 * may name a host and a user, and no file of this machine.
 */
import { parseBmcUrl } from "../../../bmc/link/bmc-url.ts";
import type { Disk } from "../../runtime/disk.ts";
import type { Log } from "../../runtime/log.ts";
import { BMCS_PATH, type BmcsAnswer, bmcsAnswerSchema, type ReachableBmc } from "../peers.ts";
import { askJson, type Caller } from "./parcels-client.ts";

const PREFIX = "stand-in/";
const ANSWER_WITHIN_MS = 2_000;

/** Without parameters that name files; null: no URL of a BMC. */
export function sharableUrl(url: string): string | null {
  const mark = url.indexOf("?");
  const query = mark < 0 ? "" : url.slice(mark + 1);
  const kept = query.split("&").filter((part) => part !== "" && !/^[a-z-]*-file=/i.test(part));
  const text = mark < 0 ? url : url.slice(0, mark);
  const whole = kept.length === 0 ? text : `${text}?${kept.join("&")}`;
  return parseBmcUrl(whole).ok ? whole : null;
}

export interface KnownParts {
  readonly disk: Disk;
  readonly caller: Caller;
  readonly log: Log;
  /** Settings of this node itself, by node: they win over what a node says. */
  readonly overrides: ReadonlyMap<string, string>;
}

interface Kept {
  readonly node: string;
  readonly digest: string;
  readonly bmcs: readonly ReachableBmc[];
}

export class StandInKnown {
  readonly #parts: KnownParts;
  readonly #kept: Map<string, Kept> = new Map();
  readonly #asking: Set<string> = new Set();

  constructor(parts: KnownParts) {
    this.#parts = parts;
    for (const name of parts.disk.list(PREFIX)) {
      const read = parts.disk.read(name);
      const document = read.kind === "document" ? bmcsAnswerSchema.safeParse(read.document) : null;
      if (document?.success === true && document.data.bmcs !== null) {
        const { node, digest, bmcs } = document.data;
        this.#kept.set(node, { node, digest, bmcs });
      } else parts.log.say("detail", `${name} is damaged: the node is asked anew`);
    }
  }

  /** Its own BMC first; empty: nobody knows how. */
  bmcsOf(node: string): readonly ReachableBmc[] {
    const kept = this.#kept.get(node)?.bmcs ?? [];
    const override = this.#parts.overrides.get(node);
    if (override === undefined) return kept;
    const [own] = kept;
    return [{ url: override, system: own?.system ?? null, memory: own?.memory ?? null }];
  }

  /** Asks the node. Silence, and what is not understood, change nothing. */
  async ask(node: string, url: string): Promise<void> {
    if (this.#asking.has(node)) return;
    this.#asking.add(node);
    const digest = this.#kept.get(node)?.digest ?? "";
    const answer = await askJson(this.#parts.caller, {
      target: { role: "agent", url },
      path: `${BMCS_PATH}?not=${encodeURIComponent(digest)}`,
      method: "GET",
      body: null,
      schema: bmcsAnswerSchema,
      timeoutMs: ANSWER_WITHIN_MS,
    });
    this.#asking.delete(node);
    if (answer.ok && answer.value.node === node) this.#take(answer.value);
  }

  #take({ node, digest, bmcs }: BmcsAnswer): void {
    if (bmcs === null) return;
    const sharable = bmcs.flatMap((bmc) => {
      const url = sharableUrl(bmc.url);
      return url === null ? [] : [{ ...bmc, url }];
    });
    const kept = { node, digest, bmcs: sharable };
    this.#kept.set(node, kept);
    this.#parts.disk.write(`${PREFIX}${node}`, kept, (failure) => {
      if (failure === null) return;
      const what = `how the BMC of ${node} is reached cannot be kept: ${failure.detail}`;
      this.#parts.log.say("fault", what);
    });
  }
}
