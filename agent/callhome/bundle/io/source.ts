/**
 * What every source of an item has in common: it gives chunks until no more is wanted, and a fault in place of an exception.
 */
import type { ItemFault } from "../bundle.ts";

/** False: no more is wanted. */
export type Sink = (chunk: Uint8Array) => Promise<boolean>;

export interface SourceContext {
  readonly sink: Sink;
  readonly signal: AbortSignal;
  /** Bytes that the source knows it left out. */
  readonly cut: (bytes: number) => void;
  readonly bytesMax: number;
}

/** Redacted as a document, by names and texts, so that it stays JSON. */
export interface DocumentSource {
  readonly document: () => unknown;
}

export type Source = (context: SourceContext) => Promise<ItemFault | null>;

export function absent(detail: string): ItemFault {
  return { kind: "absent", detail };
}

export function failed(detail: string): ItemFault {
  return { kind: "failed", detail };
}

function codeOf(cause: unknown): string {
  return (cause as { code?: string } | null)?.code ?? String(cause);
}

/** Of a file that cannot be read. */
export function faultOf(path: string, cause: unknown): ItemFault {
  const code = codeOf(cause);
  if (code === "ENOENT" || code === "ENOTDIR") return absent(`there is no ${path}`);
  return failed(`${path} cannot be read (${code})`);
}
