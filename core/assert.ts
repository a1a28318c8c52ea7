/**
 * Programmer errors. A false condition is a bug in holdfast, never bad input: it throws, the process ends with exit
 * code 70 and the agent is restarted from its journal. Stays on when shipped.
 */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For the `default` of a switch over a closed union: the type checker proves it is never reached. */
export function unreachable(value: never, what: string): never {
  throw new AssertionError(`${what}: unexpected ${JSON.stringify(value)}`);
}
