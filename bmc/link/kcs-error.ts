/**
 * What the kernel's error numbers mean at the system interface, said with the remedy.
 *
 * Decides kinds and texts. The numbers are those of asm-generic/errno.h: the same on x86-64 and arm64.
 */
import { type BmcError, bmcError } from "../bmc-error.ts";

export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  ENODEV: 19,
  EISDIR: 21,
  EINVAL: 22,
  ENOTTY: 25,
  EMSGSIZE: 90,
} as const;

function nameOf(errno: number): string {
  for (const [name, number] of Object.entries(ERRNO)) if (number === errno) return name;
  return `error ${errno}`;
}

const MODULES = "load the driver with 'modprobe ipmi_si' and 'modprobe ipmi_devintf'";

export function kcsOpenError(path: string, errno: number): BmcError {
  switch (errno) {
    case ERRNO.ENOENT:
      return bmcError("no-device", `${path} does not exist: ${MODULES}`);
    case ERRNO.ENXIO:
    case ERRNO.ENODEV:
      return bmcError("no-device", `${path} has no BMC behind it (${nameOf(errno)}): ${MODULES}`);
    case ERRNO.EACCES:
    case ERRNO.EPERM:
      return bmcError(
        "permission-denied",
        `${path} may not be opened (${nameOf(errno)}): run as root, or give this user the device`,
      );
    case ERRNO.EBUSY:
      return bmcError("device-in-use", `${path} has as many users as its driver allows (EBUSY)`);
    case ERRNO.ENOTTY:
    case ERRNO.EINVAL:
    case ERRNO.EISDIR:
      return bmcError(
        "not-an-ipmi-device",
        `${path} is not a device of the IPMI driver (${nameOf(errno)}): give the one it made, such as /dev/ipmi0`,
      );
    default:
      return bmcError("disconnected", `${path} cannot be opened (${nameOf(errno)})`);
  }
}

/** Of sending. `busy` is one that goes away by waiting: the driver has no memory or no place for another message. */
export function kcsSendError(path: string, errno: number): BmcError {
  switch (errno) {
    case ERRNO.EAGAIN:
    case ERRNO.ENOMEM:
    case ERRNO.EBUSY:
      return bmcError("busy", `the driver of ${path} takes no message now (${nameOf(errno)})`);
    case ERRNO.EINVAL:
    case ERRNO.EMSGSIZE:
      return bmcError(
        "bad-request",
        `the driver of ${path} refuses the request (${nameOf(errno)})`,
      );
    default:
      return bmcError("disconnected", `${path} does not take messages (${nameOf(errno)})`);
  }
}

/** The driver has gone, or the device was taken away, while it was in use. */
export function kcsLost(path: string, errno: number): BmcError {
  return bmcError("disconnected", `${path} cannot be read any more (${nameOf(errno)})`);
}
