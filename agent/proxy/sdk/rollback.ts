/**
 * Thrown out of any call when the job goes back to an older state: the body is left, and `run` enters it anew. A program that
 * swallows it meets it again at its next call.
 */
export class Rollback extends Error {
  override readonly name = "Rollback";

  constructor() {
    super("the job goes back to an older state; run() enters the body again");
  }
}
