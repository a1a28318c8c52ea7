/**
 * Bundles of others that are passed on: what waits of them, and how far each has come. Standings are kept in memory: after a restart each
 * is simply offered again, and whoever has it says so.
 */
import type { Consignment } from "./bundle-post.ts";
import type { UploadStore } from "./upload-store.ts";

interface Passed {
  readonly tries: number;
  readonly nextMs: number;
  readonly keptBy: string | null;
}

const NEW: Passed = { tries: 0, nextMs: 0, keptBy: null };

export class Passing {
  readonly #store: UploadStore;
  readonly #passed = new Map<string, Passed>();

  constructor(store: UploadStore) {
    this.#store = store;
  }

  consignments(): readonly Consignment[] {
    return this.#store.whole().flatMap((upload): Consignment[] => {
      if (upload.state !== "kept") return [];
      const { digest, begunMs } = upload;
      return [
        {
          path: this.#store.pathOf(digest),
          offer: upload,
          ...{ begunMs, ...(this.#passed.get(digest) ?? NEW), isForOthers: true },
          note: async ({ state, tries, nextMs, keptBy }) => {
            if (state !== "delivered") this.#passed.set(digest, { tries, nextMs, keptBy });
            else {
              this.#passed.delete(digest);
              await this.#store.delivered(digest);
            }
          },
        },
      ];
    });
  }
}
