/** The module's exports: the ABI. `core/core.ts` has the same list with types, and a test compares the two. */
export { commonBatch, commonBegin } from "./common-state";
export { changedBlockRuns, encodeBegin, encodeGap, encodeSkip, encodeWindow } from "./delta";
export {
  digestInputPages,
  digestStreamPages,
  streamBegin,
  streamEnd,
  streamNext,
} from "./digest";
export { region } from "./layout";
export { rank } from "./rank";
