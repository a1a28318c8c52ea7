/**
 * Where a Redfish service is and what its certificate is measured by; the URL's parts, read elsewhere (`bmc/link/bmc-url.ts`).
 */
export interface RedfishAddress {
  /** As given, without user and password: safe to print. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** False with `redfish+http`, which is taken for a loopback host only. */
  readonly isTls: boolean;
  readonly user: string;
  /** PEM file of the authorities to trust in place of the system's; null: the system's. */
  readonly caFile: string | null;
  /** SHA-256 of the certificate as 64 hex digits, with or without colons; null: none is pinned. */
  readonly fingerprint: string | null;
}
