/**
 * Asks over mutual TLS from inside a network namespace: `bun callhome-asker.ts IDENTITY`. Each line of standard input is
 * `{role, url}`; each is answered by a line, the answer's JSON, or `null` where there was none.
 */

import type { PrincipalRole } from "../../agent/identity/identity.ts";
import { openIdentity } from "../../agent/identity/io/open-identity.ts";
import { askAgent } from "../../agent/net/io/http-client.ts";

const TIMEOUT_MS = 2_000;

const identity = openIdentity(process.argv[2] ?? "");
if (!identity.ok) throw new Error(identity.error);

for await (const line of console) {
  const { role, url } = JSON.parse(line) as { readonly role: PrincipalRole; readonly url: string };
  const { host, pathname, search } = new URL(url);
  const answer = await askAgent<unknown>({
    at: host,
    path: `${pathname}${search}`,
    timeoutMs: TIMEOUT_MS,
    identity: identity.value,
    role,
  });
  process.stdout.write(`${JSON.stringify(answer.ok ? answer.value : null)}\n`);
}
