/**
 * A QEMU guest with a Debian kernel, in which holdfast's own binary meets real drivers: KCS, 8250, FTDI.
 *
 * The guest has no disk and no network. Its initrd holds busybox, modules, what was asked for, and the shared libraries that
 * those programs name; its init takes command lines from a virtio port and gives back exit code, output and errors. A
 * second port carries the output of a command that does not end by itself. Emulated in software, so that it runs anywhere.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { kernelImage, modulesFor } from "./guest-kernel.ts";

/** Seven seconds where the machine is quiet. */
const BOOT_WITHIN_MS = 75_000;
const VIRTIO = ["virtio_pci", "virtio_console"] as const;

/** Reads `id command`, one a line; answers `done id exitCode outBytes errBytes`, then both texts. Ends with its host. */
const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /bin /tmp /run
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
export HOME=/tmp
while read -r name; do insmod /modules/$name.ko || echo "module $name is not loaded"; done < /modules/order
until [ -c /dev/vport0p1 ]; do usleep 10000; done
exec 3<>/dev/vport0p1
echo ready >&3
while read -r id command <&3; do
  ( eval "$command" ) </dev/null >/run/out 2>/run/err 3>&-
  echo "done $id $? $(stat -c %s /run/out) $(stat -c %s /run/err)" >&3
  cat /run/out /run/err >&3
done
poweroff -f
`;

export interface GuestOptions {
  /** Path in the guest → file or folder here. Libraries of programs are found and added. */
  readonly files: Readonly<Record<string, string>>;
  readonly modules: readonly string[];
  /** Words for QEMU's command line: the devices. */
  readonly devices: readonly string[];
}

export interface GuestRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface GuestStream {
  /** The next line; fails when none comes within the limit. With when it came, on this machine's clock. */
  line(limitMs: number): Promise<{ readonly text: string; readonly atMs: number }>;
  /** Ends the command by SIGTERM and waits for it. */
  stop(): Promise<GuestRun>;
}

/** Bytes of a socket, taken by whoever waits for them. */
class Inbox {
  #bytes: Buffer = Buffer.alloc(0);
  #atMs = 0;
  #wake: () => void = () => undefined;
  #closed = false;

  constructor(socket: Socket) {
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#atMs = performance.now();
      this.#wake();
    });
    socket.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** When the newest bytes came. */
  get atMs(): number {
    return this.#atMs;
  }

  async take(bytes: number, limitMs: number): Promise<string> {
    await this.#until(() => this.#bytes.byteLength >= bytes, limitMs);
    return this.#cut(bytes);
  }

  async line(limitMs: number): Promise<string> {
    await this.#until(() => this.#bytes.includes(10), limitMs);
    return this.#cut(this.#bytes.indexOf(10) + 1).trimEnd();
  }

  #cut(bytes: number): string {
    const text = this.#bytes.subarray(0, bytes).toString();
    this.#bytes = this.#bytes.subarray(bytes);
    return text;
  }

  async #until(isThere: () => boolean, limitMs: number): Promise<void> {
    const endMs = performance.now() + limitMs;
    while (!isThere()) {
      const leftMs = endMs - performance.now();
      if (this.#closed) throw new Error(`the guest has gone; last it said: ${this.#bytes}`);
      if (leftMs <= 0) throw new Error(`nothing from the guest for ${limitMs} ms: ${this.#bytes}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(resolve, leftMs);
      await promise;
      clearTimeout(timer);
    }
  }
}

/** Interpreter and libraries of a program, as the loader of this machine finds them: path there → file here. */
function librariesOf(program: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const { stdout, exitCode } = Bun.spawnSync(["ldd", program]);
  // Not a dynamic program: a script, a static one, data.
  if (exitCode !== 0) return found;
  for (const line of stdout.toString().split("\n")) {
    const path = /=> (\/\S+)/.exec(line)?.[1] ?? /^\s*(\/\S+) \(0x/.exec(line)?.[1];
    if (path !== undefined) found.set(path, realpathSync(path));
  }
  return found;
}

function isProgram(path: string): boolean {
  const status = statSync(path);
  return status.isFile() && (status.mode & 0o111) !== 0;
}

function place(root: string, guestPath: string, path: string): void {
  const target = join(root, guestPath);
  mkdirSync(dirname(target), { recursive: true });
  cpSync(path, target, { recursive: true, dereference: true });
}

function makeInitrd(folder: string, options: GuestOptions): string {
  const root = join(folder, "root");
  for (const name of ["bin", "modules"]) mkdirSync(join(root, name), { recursive: true });
  writeFileSync(join(root, "init"), INIT, { mode: 0o755 });
  const busybox = Bun.which("busybox");
  if (busybox === null) throw new Error("no busybox");
  place(root, "/bin/busybox", busybox);
  for (const [guestPath, path] of Object.entries(options.files)) {
    place(root, guestPath, path);
    if (!isProgram(path)) continue;
    for (const [library, file] of librariesOf(path)) place(root, library, file);
  }
  const modules = modulesFor([...VIRTIO, ...options.modules]);
  for (const { name, bytes } of modules) writeFileSync(join(root, `modules/${name}.ko`), bytes);
  writeFileSync(join(root, "modules/order"), `${modules.map(({ name }) => name).join("\n")}\n`);
  const initrd = join(folder, "initrd");
  const pack = `find . | cpio -o -H newc --quiet > "$1"`;
  const child = Bun.spawnSync(["sh", "-c", pack, "pack", initrd], { cwd: root });
  if (child.exitCode !== 0) throw new Error(`cpio: ${child.stderr.toString()}`);
  rmSync(root, { recursive: true, force: true });
  return initrd;
}

async function connect(path: string): Promise<Socket> {
  const endMs = performance.now() + BOOT_WITHIN_MS;
  for (;;) {
    if (existsSync(path)) {
      const socket = createConnection(path);
      const isOpen = await new Promise<boolean>((resolve) => {
        socket.once("connect", () => resolve(true));
        socket.once("error", () => resolve(false));
      });
      if (isOpen) return socket;
    }
    if (performance.now() > endMs) throw new Error(`QEMU does not listen at ${path}`);
    await Bun.sleep(10);
  }
}

function port(name: string, number: number): readonly string[] {
  return [
    ["-chardev", `socket,id=${name},path=${name}.sock,server=on,wait=off`],
    ["-device", `virtserialport,chardev=${name},nr=${number},name=${name}`],
  ].flat();
}

export class Guest {
  /** From the start of QEMU to the first word of its init. */
  readonly bootMs: number;
  readonly #folder: string;
  readonly #qemu: Bun.Subprocess;
  readonly #control: Socket;
  readonly #answers: Inbox;
  readonly #streamed: Inbox;
  readonly #sockets: readonly Socket[];
  #id = 0;

  private constructor(
    folder: string,
    qemu: Bun.Subprocess,
    sockets: readonly [control: Socket, stream: Socket],
    started: { readonly answers: Inbox; readonly streamed: Inbox; readonly bootMs: number },
  ) {
    this.#folder = folder;
    this.#qemu = qemu;
    this.#control = sockets[0];
    this.#sockets = sockets;
    this.#answers = started.answers;
    this.#streamed = started.streamed;
    this.bootMs = started.bootMs;
  }

  static async boot(options: GuestOptions): Promise<Guest> {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-guest-"));
    const initrd = makeInitrd(folder, options);
    const startMs = performance.now();
    const qemu = Bun.spawn(
      [
        "qemu-system-x86_64",
        ...["-machine", "pc,accel=tcg", "-cpu", "max", "-m", "1024", "-smp", "1"],
        ...["-nodefaults", "-display", "none", "-no-reboot", "-serial", "file:console.log"],
        ...["-kernel", kernelImage(), "-initrd", initrd],
        ...["-append", "console=ttyS0 quiet loglevel=4 panic=-1 rdinit=/init"],
        ...["-device", "virtio-serial-pci"],
        ...port("control", 1),
        ...port("stream", 2),
        ...options.devices,
      ],
      {
        cwd: folder,
        stdin: "ignore",
        stdout: Bun.file(join(folder, "qemu.log")),
        stderr: Bun.file(join(folder, "qemu.err")),
      },
    );
    try {
      const control = await connect(join(folder, "control.sock"));
      const answers = new Inbox(control);
      const stream = await connect(join(folder, "stream.sock"));
      const streamed = new Inbox(stream);
      const said = await answers.line(BOOT_WITHIN_MS);
      if (said !== "ready") throw new Error(`the guest says ${said}`);
      const bootMs = performance.now() - startMs;
      return new Guest(folder, qemu, [control, stream], { answers, streamed, bootMs });
    } catch (error) {
      const ended = qemu.exitCode ?? qemu.signalCode ?? "runs";
      qemu.kill("SIGKILL");
      await qemu.exited;
      const said = ["qemu.err", "console.log"]
        .map((name) => join(folder, name))
        .map((log) => (existsSync(log) ? readFileSync(log, "utf8") : ""));
      rmSync(folder, { recursive: true, force: true });
      throw new Error(`no guest (QEMU: ${ended}): ${said.join("\n")}`, { cause: error });
    }
  }

  /** A command line for the guest's shell, without newlines; one at a time. */
  async run(command: string, limitMs = 30_000): Promise<GuestRun> {
    const id = ++this.#id;
    this.#control.write(`${id} ${command}\n`);
    const done = (await this.#answers.line(limitMs)).split(" ").map(Number);
    const [, answered, exitCode = -1, outBytes = 0, errBytes = 0] = done;
    if (answered !== id) throw new Error(`the guest answers ${answered}, asked was ${id}`);
    const stdout = await this.#answers.take(outBytes, limitMs);
    const stderr = await this.#answers.take(errBytes, limitMs);
    return { exitCode, stdout, stderr };
  }

  /** Runs until it is stopped; its output comes line by line. One at a time. */
  async stream(command: string): Promise<GuestStream> {
    const start = `( exec ${command} ) >/dev/vport0p2 2>/run/stream.err & echo $! >/run/stream.pid`;
    await this.run(start);
    return {
      line: async (limitMs) => {
        const text = await this.#streamed.line(limitMs);
        return { text, atMs: this.#streamed.atMs };
      },
      stop: () =>
        this.run(
          [
            "pid=$(cat /run/stream.pid); kill $pid",
            "i=0; while kill -0 $pid 2>/dev/null && [ $i -lt 100 ]; do usleep 50000; i=$((i+1)); done",
            "cat /run/stream.err >&2; ! kill -0 $pid 2>/dev/null",
          ].join("; "),
        ),
    };
  }

  consoleText(): string {
    return readFileSync(join(this.#folder, "console.log"), "utf8");
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#qemu.kill("SIGKILL");
    await this.#qemu.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
