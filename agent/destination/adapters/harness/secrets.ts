/**
 * A temporary folder with secrets in files of mode 0600, and how an adapter is opened in a test.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Adapter } from "../../io/adapter.ts";
import { openAdapter } from "../io/open-adapter.ts";

export interface SecretFolder {
  readonly path: string;
  /** Its path. */
  write(name: string, text: string, mode?: number): string;
  remove(): void;
}

export function secretFolder(): SecretFolder {
  const path = mkdtempSync(join(tmpdir(), "holdfast-adapter-"));
  return {
    path,
    write: (name, text, mode = 0o600) => {
      const file = join(path, name);
      writeFileSync(file, `${text}\n`);
      chmodSync(file, mode);
      return file;
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

export function opened(url: string, proxy: string | null = null): Adapter {
  const adapter = openAdapter(url, { proxy, nowMs: () => Date.now() });
  if (!adapter.ok) throw new Error(adapter.error);
  return adapter.value;
}
