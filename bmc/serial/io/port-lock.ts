/**
 * One user of a serial port at a time: a lock file of our own, named by the device's number.
 *
 * Why, when there is TIOCEXCL: that does not stop root, and it is set only after the port was opened, which has already moved its
 * modem lines. The device number is the same whatever link or name leads to the port. `flock` ends with the process, so a dead
 * owner blocks nobody. The file is removed under its lock, and whoever gets a lock looks whether it is still the file of
 * that name.
 */
import { fstatSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { ffiText } from "../../../core/io/native.ts";
import { ERRNO, errno, libc, OPEN_FLAGS, SystemError } from "./libc.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
/** Reading is enough to lock, so that users of one port need not own the file. */
const FLAGS = OPEN_FLAGS.O_NOFOLLOW | OPEN_FLAGS.O_CLOEXEC;
const CREATE = OPEN_FLAGS.O_CREAT | OPEN_FLAGS.O_EXCL;
const MODE = 0o644;
/** Each turn somebody else made or removed the file in between. */
const TURNS_MAX = 100;

const FOLDERS = ["/run/lock", "/var/lock"] as const;

export interface PortLock {
  release(): void;
}

/** access(2): may be written to and searched. */
const W_OK_X_OK = 3;

function isWritableFolder(path: string): boolean {
  const text = ffiText(path);
  return libc.access(text.pointer, W_OK_X_OK) === 0;
}

function systemFolder(): string {
  return FOLDERS.find(isWritableFolder) ?? process.env["TMPDIR"] ?? "/tmp";
}

/** Tries to have `fd` locked for this opener alone. False where somebody else has it. */
export function tryLock(fd: number): boolean {
  return libc.flock(fd, LOCK_EX | LOCK_NB) === 0;
}

/** A lock lasts as long as any copy of the descriptor, and Bun closes the copy that its streams make a moment later. */
export function unlock(fd: number): void {
  libc.flock(fd, LOCK_UN);
}

function openLockFile(path: string): number {
  const text = ffiText(path);
  for (let turn = 0; turn < TURNS_MAX; turn++) {
    // Without O_CREAT first: the kernel forbids that for others' files in a folder like /run/lock (fs.protected_regular).
    let fd = libc.open(text.pointer, FLAGS, 0);
    if (fd < 0 && errno() === ERRNO.ENOENT) {
      fd = libc.open(text.pointer, FLAGS | CREATE, MODE);
      if (fd < 0 && errno() === ERRNO.EEXIST) continue;
    }
    if (fd < 0) throw new SystemError(`cannot open the lock file ${path}`, errno());
    return fd;
  }
  throw new SystemError(`cannot open the lock file ${path}`, ERRNO.EAGAIN);
}

function isStillNamed(fd: number, path: string): boolean {
  try {
    const named = statSync(path);
    const mine = fstatSync(fd);
    return named.ino === mine.ino && named.dev === mine.dev;
  } catch {
    return false;
  }
}

/** Null: somebody else has the port. Throws a `SystemError` where no lock file can be made. */
export function lockPort(deviceNumber: number, folder: string | null): PortLock | null {
  const major = ((deviceNumber >>> 8) & 0xfff).toString();
  const minor = ((deviceNumber & 0xff) | ((deviceNumber >>> 12) & 0xfff00)).toString();
  const path = join(folder ?? systemFolder(), `holdfast-tty-${major}-${minor}.lock`);
  for (let turn = 0; turn < TURNS_MAX; turn++) {
    const fd = openLockFile(path);
    if (!tryLock(fd)) {
      libc.close(fd);
      return null;
    }
    if (isStillNamed(fd, path)) return { release: () => release(fd, path) };
    libc.close(fd);
  }
  return null;
}

function release(fd: number, path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Another user's file in a sticky folder: it stays, unlocked.
  }
  libc.close(fd);
}
