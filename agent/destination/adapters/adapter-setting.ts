/**
 * What is set about an adapter, as a closed union: made from its URL (`adapter-url.ts`), opened by `io/open-adapter.ts`. Secrets are
 * only ever named by their files.
 */
export interface HttpSetting {
  readonly timeoutMs: number;
  readonly caFile: string | null;
  readonly clientCertFile: string | null;
  readonly clientKeyFile: string | null;
  /** Without password. */
  readonly proxy: string | null;
  readonly proxyPasswordFile: string | null;
}

interface Named {
  readonly name: string;
}

export interface WebhookSetting extends Named {
  readonly kind: "webhook";
  /** null: it stands in `urlFile`, since such URLs are often secrets themselves. */
  readonly url: string | null;
  readonly urlFile: string | null;
  /** The current one first; empty: not signed, as asked for. */
  readonly secretFiles: readonly string[];
  readonly allowsHttp: boolean;
  readonly http: HttpSetting;
}

export interface PagerdutyAdapterSetting extends Named {
  readonly kind: "pagerduty";
  readonly url: string;
  readonly keyFile: string;
  readonly http: HttpSetting;
}

export interface AlertSetting extends Named {
  readonly kind: "opsgenie" | "jsm";
  readonly url: string;
  readonly keyFile: string;
  readonly responders: readonly { readonly type: string; readonly name: string }[];
  readonly tags: readonly string[];
  readonly http: HttpSetting;
}

export interface ServicenowAdapterSetting extends Named {
  readonly kind: "servicenow";
  readonly url: string;
  readonly table: "incident" | "em_event";
  readonly access: AccessSetting;
  readonly closes: boolean;
  readonly closeCode: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly http: HttpSetting;
}

export type AccessSetting =
  | { readonly kind: "basic"; readonly user: string; readonly passwordFile: string }
  | { readonly kind: "bearer"; readonly tokenFile: string }
  | { readonly kind: "none" };

export interface RedfishSetting extends Named {
  readonly kind: "redfish";
  readonly url: string;
  readonly access: AccessSetting;
  readonly context: string;
  readonly http: HttpSetting;
}

export interface SmtpSetting extends Named {
  readonly kind: "smtp";
  readonly host: string;
  readonly port: number;
  /** `tls`: from the first byte. `starttls`: refused without it. */
  readonly security: "tls" | "starttls" | "opportunistic" | "none";
  readonly user: string | null;
  readonly passwordFile: string | null;
  readonly from: string;
  readonly to: readonly string[];
  readonly caFile: string | null;
  readonly timeoutMs: number;
}

export interface FolderSetting extends Named {
  readonly kind: "dir";
  readonly path: string;
}

export type AdapterSetting =
  | WebhookSetting
  | PagerdutyAdapterSetting
  | AlertSetting
  | ServicenowAdapterSetting
  | RedfishSetting
  | SmtpSetting
  | FolderSetting;
