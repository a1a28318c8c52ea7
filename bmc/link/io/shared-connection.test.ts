/**
 * Leases on one connection: who opens, who closes, and what happens when the wire breaks.
 */
import { describe, expect, test } from "bun:test";
import { err, ok } from "../../../core/result.ts";
import { bmcError } from "../../bmc-error.ts";
import type { IpmiRequest } from "../../ipmi/ipmi.ts";
import type { IpmiConnection, Unsolicited } from "./connection.ts";
import { SharedConnection } from "./shared-connection.ts";

const ASK: IpmiRequest = { netFn: 6, lun: 0, command: 1, data: new Uint8Array(0) };

class Wires {
  readonly made: { isBroken: boolean; isClosed: boolean; push(message: Unsolicited): void }[] = [];
  isRefusing = false;

  open = async (): Promise<
    ReturnType<typeof ok<IpmiConnection>> | ReturnType<typeof err<never>>
  > => {
    await Promise.resolve();
    if (this.isRefusing) return err(bmcError("device-in-use", "taken") as never);
    let handler: (message: Unsolicited) => void = () => undefined;
    const wire = {
      isBroken: false,
      isClosed: false,
      push: (message: Unsolicited): void => handler(message),
    };
    this.made.push(wire);
    return ok<IpmiConnection>({
      url: "serial:/dev/x",
      requestBytesMax: 33,
      replyBytesMax: 32,
      windowMax: 1,
      request: () =>
        Promise.resolve(
          wire.isBroken
            ? err(bmcError("disconnected", "pulled"))
            : ok({ completionCode: 0, data: Uint8Array.of(this.made.length) }),
        ),
      enableEvents: () => Promise.resolve(ok(true)),
      onUnsolicited: (to) => {
        handler = to;
      },
      close: () => {
        wire.isClosed = true;
        return Promise.resolve();
      },
    });
  };
}

async function lease(shared: SharedConnection): Promise<IpmiConnection> {
  const opened = await shared.open();
  if (!opened.ok) throw new Error(opened.error.detail);
  return opened.value;
}

describe("a shared connection", () => {
  test("is opened once for all who ask at once, and closed with the last of them", async () => {
    const wires = new Wires();
    const shared = new SharedConnection(wires.open, { mendsItself: false });
    const leases = await Promise.all([lease(shared), lease(shared), lease(shared)]);
    expect(wires.made).toHaveLength(1);
    await leases[0]?.close();
    await leases[0]?.close();
    await leases[1]?.close();
    expect(wires.made[0]?.isClosed).toBe(false);
    await leases[2]?.close();
    expect(wires.made[0]?.isClosed).toBe(true);
    await lease(shared);
    expect(wires.made).toHaveLength(2);
  });

  test("answers nobody who has given back the lease", async () => {
    const wires = new Wires();
    const shared = new SharedConnection(wires.open, { mendsItself: false });
    const [first, second] = [await lease(shared), await lease(shared)];
    await first.close();
    expect((await first.request(ASK)).ok).toBe(false);
    expect((await second.request(ASK)).ok).toBe(true);
  });

  test("that broke is closed before the next is opened, and its other users are not closed twice", async () => {
    const wires = new Wires();
    const shared = new SharedConnection(wires.open, { mendsItself: false });
    const [first, second] = [await lease(shared), await lease(shared)];
    (wires.made[0] as { isBroken: boolean }).isBroken = true;
    expect((await second.request(ASK)).ok).toBe(false);
    await second.close();
    const third = await lease(shared);
    expect(wires.made.map((wire) => wire.isClosed)).toEqual([true, false]);
    expect((await third.request(ASK)).ok).toBe(true);
    await first.close();
    expect(wires.made.map((wire) => wire.isClosed)).toEqual([true, false]);
  });

  test("that mends itself is kept", async () => {
    const wires = new Wires();
    const shared = new SharedConnection(wires.open, { mendsItself: true });
    const first = await lease(shared);
    (wires.made[0] as { isBroken: boolean }).isBroken = true;
    await first.request(ASK);
    await lease(shared);
    expect(wires.made).toHaveLength(1);
  });

  test("that cannot be opened is tried again by the next who asks", async () => {
    const wires = new Wires();
    wires.isRefusing = true;
    const shared = new SharedConnection(wires.open, { mendsItself: false });
    const refused = await shared.open();
    expect(!refused.ok && refused.error.kind).toBe("device-in-use");
    wires.isRefusing = false;
    expect((await shared.open()).ok).toBe(true);
  });

  test("tells each of its users what the BMC sends unasked, until that one closes", async () => {
    const wires = new Wires();
    const shared = new SharedConnection(wires.open, { mendsItself: false });
    const [first, second] = [await lease(shared), await lease(shared)];
    const heard: string[] = [];
    first.onUnsolicited(() => heard.push("first"));
    second.onUnsolicited(() => heard.push("second"));
    wires.made[0]?.push({ kind: "ping", sessionState: 0 });
    await first.close();
    wires.made[0]?.push({ kind: "ping", sessionState: 0 });
    expect(heard).toEqual(["first", "second", "second"]);
  });
});
