/**
 * Goal: the structures of the driver are laid out as a C compiler lays them out. Method: gcc tells numbers and offsets of
 * `linux/ipmi.h`; what we encode is read, and what we decode is written, at its offsets.
 */
import { describe, expect } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DRIVER_MESSAGE_BYTES_MAX,
  decodeDriverMessage,
  encodeDriverRequest,
  IPMI_IOCTL,
  prepareDriverReceive,
  RECEIVED_ARENA_BYTES,
  REQUEST_ARENA_BYTES,
} from "../../bmc/link/kcs-message.ts";
import { hasCommand, realPart } from "../real-part.ts";

const withHeaders = realPart(
  "kernel headers",
  () => existsSync("/usr/include/linux/ipmi.h") && hasCommand("gcc"),
  "apt-get install gcc libc6-dev",
);

const EXPRESSIONS = {
  sendCommand: "IPMICTL_SEND_COMMAND",
  receiveTruncated: "IPMICTL_RECEIVE_MSG_TRUNC",
  setGetsEvents: "IPMICTL_SET_GETS_EVENTS_CMD",
  getMyAddress: "IPMICTL_GET_MY_ADDRESS_CMD",
  messageBytesMax: "IPMI_MAX_MSG_LENGTH",
  requestAddress: "offsetof(struct ipmi_req, addr)",
  requestAddressLength: "offsetof(struct ipmi_req, addr_len)",
  requestMessageId: "offsetof(struct ipmi_req, msgid)",
  requestNetFn: "offsetof(struct ipmi_req, msg.netfn)",
  requestCommand: "offsetof(struct ipmi_req, msg.cmd)",
  requestLength: "offsetof(struct ipmi_req, msg.data_len)",
  requestData: "offsetof(struct ipmi_req, msg.data)",
  requestBytes: "sizeof(struct ipmi_req)",
  addressType: "IPMI_SYSTEM_INTERFACE_ADDR_TYPE",
  addressChannel: "IPMI_BMC_CHANNEL",
  addressChannelOffset: "offsetof(struct ipmi_system_interface_addr, channel)",
  addressLunOffset: "offsetof(struct ipmi_system_interface_addr, lun)",
  addressBytes: "sizeof(struct ipmi_system_interface_addr)",
  addressBytesMax: "sizeof(struct ipmi_addr)",
  receivedType: "offsetof(struct ipmi_recv, recv_type)",
  receivedAddress: "offsetof(struct ipmi_recv, addr)",
  receivedAddressLength: "offsetof(struct ipmi_recv, addr_len)",
  receivedMessageId: "offsetof(struct ipmi_recv, msgid)",
  receivedLength: "offsetof(struct ipmi_recv, msg.data_len)",
  receivedData: "offsetof(struct ipmi_recv, msg.data)",
  receivedBytes: "sizeof(struct ipmi_recv)",
  responseType: "IPMI_RESPONSE_RECV_TYPE",
  eventType: "IPMI_ASYNC_EVENT_RECV_TYPE",
} as const;

type Numbers = Readonly<Record<keyof typeof EXPRESSIONS, number>>;

function askCompiler(): Numbers {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-ipmi-h-"));
  try {
    const prints = Object.entries(EXPRESSIONS).map(
      ([name, c]) => `printf("\\"${name}\\":%lu,", (unsigned long)(${c}));`,
    );
    const source = `#include <stdio.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <linux/ipmi.h>
int main(void) { printf("{"); ${prints.join("\n")} printf("\\"end\\":0}"); return 0; }
`;
    writeFileSync(join(folder, "ask.c"), source);
    const built = Bun.spawnSync(["gcc", "-o", "ask", "ask.c"], { cwd: folder });
    if (built.exitCode !== 0) throw new Error(built.stderr.toString());
    return JSON.parse(Bun.spawnSync([join(folder, "ask")]).stdout.toString()) as Numbers;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function arenaOf(bytes: number): DataView<ArrayBuffer> {
  return new DataView(new ArrayBuffer(bytes));
}

const BASE = 0x7f00_0000_1000;

/** Where in the arena a pointer leads. */
function led(arena: DataView, offset: number): number {
  return Number(arena.getBigUint64(offset, true)) - BASE;
}

describe("the structures of linux/ipmi.h", () => {
  withHeaders("have the same ioctl numbers and limits", () => {
    const c = askCompiler();
    expect<object>(IPMI_IOCTL).toEqual({
      sendCommand: c.sendCommand,
      receiveTruncated: c.receiveTruncated,
      setGetsEvents: c.setGetsEvents,
      getMyAddress: c.getMyAddress,
    });
    expect(DRIVER_MESSAGE_BYTES_MAX).toBe(c.messageBytesMax);
  });

  withHeaders("find what was encoded for sending", () => {
    const c = askCompiler();
    const arena = arenaOf(REQUEST_ARENA_BYTES);
    const data = Uint8Array.of(9, 8, 7);
    encodeDriverRequest(arena, BASE, 0x1234567890, { netFn: 0x0a, lun: 3, command: 0x44, data });
    expect(arena.getUint32(c.requestAddressLength, true)).toBe(c.addressBytes);
    expect(Number(arena.getBigInt64(c.requestMessageId, true))).toBe(0x1234567890);
    expect(arena.getUint8(c.requestNetFn)).toBe(0x0a);
    expect(arena.getUint8(c.requestCommand)).toBe(0x44);
    expect(arena.getUint16(c.requestLength, true)).toBe(3);
    const address = led(arena, c.requestAddress);
    expect(address).toBeGreaterThanOrEqual(c.requestBytes);
    expect(arena.getInt32(address, true)).toBe(c.addressType);
    expect(arena.getInt16(address + c.addressChannelOffset, true)).toBe(c.addressChannel);
    expect(arena.getUint8(address + c.addressLunOffset)).toBe(3);
    const at = led(arena, c.requestData);
    expect(at).toBeGreaterThanOrEqual(address + c.addressBytes);
    expect(new Uint8Array(arena.buffer, at, 3)).toEqual(data);
    expect(at + c.messageBytesMax).toBeLessThanOrEqual(REQUEST_ARENA_BYTES);
  });

  withHeaders("have room for what is received, and it is decoded from there", () => {
    const c = askCompiler();
    const arena = arenaOf(RECEIVED_ARENA_BYTES);
    prepareDriverReceive(arena, BASE);
    const address = led(arena, c.receivedAddress);
    const at = led(arena, c.receivedData);
    expect(address).toBeGreaterThanOrEqual(c.receivedBytes);
    expect(arena.getUint32(c.receivedAddressLength, true)).toBeGreaterThanOrEqual(
      c.addressBytesMax,
    );
    expect(at).toBeGreaterThanOrEqual(address + c.addressBytesMax);
    expect(at + arena.getUint16(c.receivedLength, true)).toBeLessThanOrEqual(RECEIVED_ARENA_BYTES);
    expect(arena.getUint16(c.receivedLength, true)).toBe(c.messageBytesMax);

    arena.setInt32(c.receivedType, c.responseType, true);
    arena.setBigInt64(c.receivedMessageId, 0x99n, true);
    arena.setUint16(c.receivedLength, 2, true);
    new Uint8Array(arena.buffer).set([0xc1, 0x55], at);
    expect(decodeDriverMessage(arena)).toMatchObject({
      value: { kind: "reply", messageId: 0x99, reply: { completionCode: 0xc1 } },
    });
    arena.setInt32(c.receivedType, c.eventType, true);
    arena.setUint16(c.receivedLength, 16, true);
    expect(decodeDriverMessage(arena)).toMatchObject({ value: { kind: "event" } });
  });
});
