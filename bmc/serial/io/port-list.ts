/**
 * Which serial ports this machine has, as the kernel's sysfs tells.
 *
 * A terminal counts when hardware is behind it: it has a `device`, and where the driver tells the type of its UART, that is not 0
 * (the kernel makes ttyS0 to ttyS31 whether there is something or not). Of USB adapters the description is taken from the device
 * up the path that has one.
 */
import { readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { PortInfo } from "@serialport/bindings-interface";

export interface ListRoots {
  readonly sys: string;
  readonly dev: string;
}

/** How many folders up a USB device may be from its terminal: interface, port, device and some room. */
const CLIMB_MAX = 8;

function textOf(path: string): string | undefined {
  try {
    const text = readFileSync(path, "utf8").trim();
    return text === "" ? undefined : text;
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/** From the name of a terminal to its link in /dev/serial/by-id, which udev makes of what the device says of itself. */
function idsOf(dev: string): ReadonlyMap<string, string> {
  const folder = join(dev, "serial/by-id");
  const ids = new Map<string, string>();
  for (const name of namesIn(folder)) {
    try {
      ids.set(basename(readlinkSync(join(folder, name))), name);
    } catch {}
  }
  return ids;
}

function usbDeviceOf(device: string): string | undefined {
  let folder = device;
  for (let climb = 0; climb < CLIMB_MAX; climb++) {
    if (textOf(join(folder, "idVendor")) !== undefined) return folder;
    folder = dirname(folder);
  }
  return undefined;
}

function portOf(name: string, roots: ListRoots, pnpId: string | undefined): PortInfo | null {
  const folder = join(roots.sys, "class/tty", name);
  let device: string;
  try {
    device = realpathSync(join(folder, "device"));
  } catch {
    return null;
  }
  if (textOf(join(folder, "type")) === "0") return null;
  const usb = usbDeviceOf(device);
  const described = (file: string): string | undefined =>
    usb === undefined ? undefined : textOf(join(usb, file));
  return {
    path: join(roots.dev, name),
    manufacturer: described("manufacturer"),
    serialNumber: described("serial"),
    pnpId: pnpId ?? (usb === undefined ? textOf(join(device, "id")) : undefined),
    locationId: usb === undefined ? undefined : basename(usb),
    vendorId: described("idVendor"),
    productId: described("idProduct"),
  };
}

export function listPorts(roots: ListRoots = { sys: "/sys", dev: "/dev" }): readonly PortInfo[] {
  const ids = idsOf(roots.dev);
  return namesIn(join(roots.sys, "class/tty")).flatMap((name) => {
    const port = portOf(name, roots, ids.get(name));
    return port === null ? [] : [port];
  });
}
