/**
 * A cluster with a real authority on disk and a real door on loopback, for tests; and the steps that most of them take.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Result } from "../../../core/result.ts";
import type { Problem } from "../../net/problem.ts";
import type { Principal } from "../identity.ts";
import {
  type AuthorityOffice,
  createAuthority,
  openAuthorityOffice,
  type TokenOrder,
} from "../io/authority-office.ts";
import { joinCluster } from "../io/credentials.ts";
import { authorityFolderOf } from "../io/identity-folder.ts";
import { type JoinDoor, startJoinDoor } from "../io/join-door.ts";
import { type FolderIdentity, openIdentity } from "../io/open-identity.ts";
import { type JoinToken, parseJoinToken } from "../join-token.ts";

export interface TestClock {
  /** Added to the machine's time, as the authority sees it. */
  aheadMs: number;
  /** The same as the door sees it, whose own certificate TLS judges by the machine's time. */
  doorAheadMs: number;
}

export class TestDoor {
  readonly root: string;
  readonly office: AuthorityOffice;
  readonly clock: TestClock;
  /** What the door logged. */
  readonly said: readonly string[];
  readonly #door: JoinDoor;
  readonly #opened: FolderIdentity[] = [];

  constructor(
    root: string,
    office: AuthorityOffice,
    parts: { readonly clock: TestClock; readonly said: readonly string[]; readonly door: JoinDoor },
  ) {
    this.root = root;
    this.office = office;
    this.clock = parts.clock;
    this.said = parts.said;
    this.#door = parts.door;
  }

  /** `address:port`. */
  get address(): string {
    return `127.0.0.1:${this.#door.port}`;
  }

  folder(name: string): string {
    return join(this.root, name);
  }

  token(order: Partial<TokenOrder> = {}): JoinToken {
    const made = this.office.makeToken({ role: "agent", name: null, ttlMs: 60_000, ...order });
    if (!made.ok) throw new Error(made.error.detail);
    const token = parseJoinToken(made.value);
    if (token === null) throw new Error("the token cannot be read");
    return token;
  }

  join(
    name: string,
    token: JoinToken = this.token(),
    folder: string = this.folder(name),
  ): Promise<Result<Principal, Problem>> {
    return joinCluster({ door: this.address, token, name, folder });
  }

  /** Joins and opens; closed with the door. */
  async member(name: string, order: Partial<TokenOrder> = {}): Promise<FolderIdentity> {
    const joined = await this.join(name, this.token(order));
    if (!joined.ok) throw new Error(joined.error.detail);
    return this.open(name);
  }

  open(name: string): FolderIdentity {
    const opened = openIdentity(this.folder(name));
    if (!opened.ok) throw new Error(opened.error);
    this.#opened.push(opened.value);
    return opened.value;
  }

  async close(): Promise<void> {
    for (const identity of this.#opened) identity.close();
    await this.#door.close();
    rmSync(this.root, { recursive: true, force: true });
  }
}

export async function testDoor(cluster = "c1", leafDays = 90, doorAheadMs = 0): Promise<TestDoor> {
  const root = mkdtempSync(join(tmpdir(), "holdfast-identity-"));
  const folder = authorityFolderOf(join(root, "home"));
  const clock: TestClock = { aheadMs: 0, doorAheadMs };
  const nowMs = (): number => Date.now() + clock.aheadMs;
  await createAuthority(folder, cluster, nowMs());
  const office = openAuthorityOffice(folder, nowMs, leafDays);
  const said: string[] = [];
  const log = { say: (_level: string, text: string) => said.push(text) };
  const at = { hostname: "127.0.0.1", port: 0, nowMs: () => Date.now() + clock.doorAheadMs };
  const door = await startJoinDoor(office, { ...at, log });
  if (!door.ok) throw new Error(door.error.detail);
  return new TestDoor(root, office, { clock, said, door: door.value });
}

/** Until `isSo`, or fails after `limitMs`. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: string,
  limitMs = 30_000,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`${what}: not within ${limitMs} ms`);
    await Bun.sleep(10);
  }
}
