/**
 * Views of the cluster as nodes report them, one after the other: who joined, who left.
 */
import type { EpochRow } from "./api.ts";

export type View = Omit<EpochRow, "joined" | "left">;

/** `before`: the view that was known before; null: none, then everybody is new. */
export function withDifference(view: View, before: Pick<View, "members"> | null): EpochRow {
  const old = new Set(before?.members ?? []);
  const members = new Set(view.members);
  return {
    ...view,
    joined: view.members.filter((member) => !old.has(member)),
    left: [...old].filter((member) => !members.has(member)),
  };
}
