/**
 * The kernel that the guest boots: Debian's own package of it, unpacked into a cache below the system's temporary folder.
 *
 * Only what the guest needs is kept: the image, and the modules of IPMI, USB serial lines and virtio. Which version it is, the
 * package lists of the machine say. Nothing is installed: root's rights are not needed.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { hasCommand } from "../../real-part.ts";

const CACHE = join(tmpdir(), `holdfast-guest-${process.getuid?.() ?? 0}`);
const KERNEL = join(CACHE, "kernel");

/** Of the package's file tree; the closure of what is loaded is looked for among these. */
const WANTED = [
  "./boot/vmlinuz-*",
  "*/kernel/drivers/char/ipmi/*",
  "*/kernel/drivers/char/virtio_console.ko*",
  "*/kernel/drivers/virtio/*",
  "*/kernel/drivers/usb/common/*",
  "*/kernel/drivers/usb/core/*",
  "*/kernel/drivers/usb/host/xhci*",
  "*/kernel/drivers/usb/serial/usbserial.ko*",
  "*/kernel/drivers/usb/serial/ftdi_sio.ko*",
] as const;

const PROGRAMS: Readonly<Record<string, string>> = {
  "qemu-system-x86_64": "qemu-system-x86",
  busybox: "busybox-static",
  cpio: "cpio",
  ldd: "libc-bin",
};

/** The parts that are not here, with what brings them; empty when a guest can be booted. */
export function missingForGuest(): readonly string[] {
  const missing = Object.entries(PROGRAMS)
    .filter(([program]) => !hasCommand(program))
    .map(([program, name]) => `${program}: apt-get install ${name}`);
  if (process.arch !== "x64") missing.push("the guest runs this machine's binary, and is x86-64");
  if (!existsSync(KERNEL)) missing.push("a kernel: bun test/real/bmc/prepare-guest.ts");
  return missing;
}

function run(argv: readonly string[], cwd: string): string {
  const child = Bun.spawnSync([...argv], { cwd });
  if (child.exitCode !== 0) {
    throw new Error(`${argv.join(" ")}: exit ${child.exitCode}: ${child.stderr.toString()}`);
  }
  return child.stdout.toString();
}

/** The package that the newest-kernel package asks for. */
function kernelPackage(): string {
  const said = run(["apt-cache", "depends", "linux-image-amd64"], "/");
  const name = /Depends: (linux-image-\S+)/.exec(said)?.[1];
  if (name === undefined) throw new Error("no kernel is in the package lists: apt-get update");
  return name;
}

/** Fetches and unpacks, unless that was done. Two at once do not harm each other: the folder appears whole. */
export function prepareKernel(): string {
  if (existsSync(KERNEL)) return KERNEL;
  run(["mkdir", "-p", CACHE], "/");
  const folder = mkdtempSync(join(CACHE, "partial-"));
  try {
    run(["apt-get", "download", "-q", kernelPackage()], folder);
    const archive = readdirSync(folder).find((name) => name.endsWith(".deb"));
    if (archive === undefined) throw new Error("apt-get download left no package");
    const unpacked = join(folder, "kernel");
    run(["mkdir", unpacked], folder);
    const wanted = WANTED.map((pattern) => `'${pattern}'`).join(" ");
    const unpack = `dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards ${wanted}`;
    run(["bash", "-o", "pipefail", "-c", unpack, "unpack", archive, unpacked], folder);
    if (!existsSync(KERNEL)) renameSync(unpacked, KERNEL);
    return KERNEL;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function kernelImage(): string {
  const boot = join(KERNEL, "boot");
  const name = readdirSync(boot).find((one) => one.startsWith("vmlinuz-"));
  if (name === undefined) throw new Error(`${boot} holds no kernel`);
  return join(boot, name);
}

export interface KernelModule {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Newer Debian compresses modules, which busybox cannot load. */
function readModule(path: string): Uint8Array {
  if (!path.endsWith(".xz")) return readFileSync(path);
  const child = Bun.spawnSync(["xz", "-dc", path]);
  if (child.exitCode !== 0) throw new Error(`${path}: ${child.stderr.toString()}`);
  return child.stdout;
}

/** A module says in its `.modinfo` section which others it needs, as `depends=a,b`. */
function dependenciesOf(bytes: Uint8Array): readonly string[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const list = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? "";
  return list.split(",").filter((name) => name !== "");
}

function nameOf(path: string): string {
  return basename(path)
    .replace(/\.ko(\.xz)?$/, "")
    .replaceAll("-", "_");
}

/** These and what they need, in an order in which they can be loaded. */
export function modulesFor(names: readonly string[]): readonly KernelModule[] {
  const paths = new Map<string, string>();
  for (const path of new Bun.Glob("**/*.{ko,ko.xz}").scanSync({ cwd: KERNEL, absolute: true })) {
    paths.set(nameOf(path), path);
  }
  const ordered = new Map<string, KernelModule>();
  const add = (asked: string): void => {
    const name = asked.replaceAll("-", "_");
    if (ordered.has(name)) return;
    const path = paths.get(name);
    if (path === undefined) throw new Error(`module ${name} is not among what was unpacked`);
    const bytes = readModule(path);
    for (const dependency of dependenciesOf(bytes)) add(dependency);
    ordered.set(name, { name, bytes });
  };
  for (const name of names) add(name);
  return [...ordered.values()];
}
