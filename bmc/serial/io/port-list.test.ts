/**
 * Goal: of the terminals that the kernel knows, those that are ports are listed, with what their hardware says of itself. Method: a
 * tree as sysfs has it, made of files and links: a UART, the empty places that the kernel makes beside it, an adapter of each kind
 * of USB driver, a console.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { linuxBinding } from "./linux-binding.ts";
import { listPorts } from "./port-list.ts";

const root = mkdtempSync(join(tmpdir(), "hf-"));
afterAll(() => rmSync(root, { recursive: true }));
const roots = { sys: join(root, "sys"), dev: join(root, "dev") };

function file(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), `${text}\n`);
}

function link(path: string, target: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  symlinkSync(target, join(root, path));
}

function folder(path: string): string {
  mkdirSync(join(root, path), { recursive: true });
  return join(root, path);
}

function usbDevice(path: string, texts: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(texts)) file(join(path, name), text);
}

folder("sys/class/tty/tty1");
folder("sys/class/tty/ptmx");
file("sys/class/tty/ttyS0/type", "4");
file("sys/devices/pnp0/00:04/id", "PNP0501");
link("sys/class/tty/ttyS0/device", folder("sys/devices/pnp0/00:04"));
file("sys/class/tty/ttyS1/type", "0");
link("sys/class/tty/ttyS1/device", folder("sys/devices/platform/serial8250"));
usbDevice("sys/devices/pci/usb1/1-2", {
  idVendor: "0403",
  idProduct: "6001",
  serial: "FT1A",
  manufacturer: "FTDI",
});
link("sys/class/tty/ttyUSB0/device", folder("sys/devices/pci/usb1/1-2/1-2:1.0/ttyUSB0"));
link("dev/serial/by-id/usb-FTDI_FT232R_FT1A-if00-port0", "../../ttyUSB0");
usbDevice("sys/devices/pci/usb1/1-3.1", { idVendor: "2341", idProduct: "0043", serial: "" });
link("sys/class/tty/ttyACM0/device", folder("sys/devices/pci/usb1/1-3.1/1-3.1:1.0"));

describe("the list of ports", () => {
  test("has what hardware is behind, and describes it", () => {
    const none = {
      manufacturer: undefined,
      serialNumber: undefined,
      pnpId: undefined,
      locationId: undefined,
      vendorId: undefined,
      productId: undefined,
    };
    expect(listPorts(roots)).toEqual([
      {
        ...none,
        path: join(roots.dev, "ttyACM0"),
        locationId: "1-3.1",
        vendorId: "2341",
        productId: "0043",
      },
      { ...none, path: join(roots.dev, "ttyS0"), pnpId: "PNP0501" },
      {
        path: join(roots.dev, "ttyUSB0"),
        manufacturer: "FTDI",
        serialNumber: "FT1A",
        pnpId: "usb-FTDI_FT232R_FT1A-if00-port0",
        locationId: "1-2",
        vendorId: "0403",
        productId: "6001",
      },
    ]);
  });

  test("is empty where there is no sysfs", () => {
    expect(listPorts({ sys: join(root, "nothing"), dev: join(root, "nothing") })).toEqual([]);
  });

  test("of this machine holds paths of devices only", async () => {
    for (const port of await linuxBinding.list()) expect(port.path).toMatch(/^\/dev\/[^/]+$/);
  });
});
