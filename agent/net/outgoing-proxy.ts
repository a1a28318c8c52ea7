/**
 * Which HTTP proxy a way out of the cluster takes: by the variables that everybody's tools read, or by a setting.
 *
 * Decides only; between nodes of a cluster no proxy is ever used, whatever the environment says. `NO_PROXY` is read as curl
 * reads it: names with or without a leading dot also mean what is below them, `*` means everything, and a port may follow.
 */
export interface OutgoingProxy {
  /** For `https:` targets; null: straight. */
  readonly https: string | null;
  readonly http: string | null;
  readonly except: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

export const NO_PROXY_AT_ALL: OutgoingProxy = { https: null, http: null, except: [] };

function isProxyUrl(text: string): boolean {
  try {
    const { protocol, hostname } = new URL(text);
    return (protocol === "http:" || protocol === "https:") && hostname !== "";
  } catch {
    return false;
  }
}

/** As curl does, `10.0.0.1:3128` means `http://10.0.0.1:3128`. null: no proxy's address. */
export function parseProxy(text: string): string | null {
  const url = text.includes("://") ? text : `http://${text}`;
  return isProxyUrl(url) ? url : null;
}

/** Small letters first, as everybody does; a value that is no URL counts as none. */
export function proxyOfEnvironment(environment: Environment): OutgoingProxy {
  const readVariable = (name: string): string =>
    environment[name.toLowerCase()] || environment[name] || "";
  const all = readVariable("ALL_PROXY");
  const except = readVariable("NO_PROXY")
    .split(/[\s,]+/)
    .filter((entry) => entry !== "");
  return {
    https: parseProxy(readVariable("HTTPS_PROXY") || all),
    // Not HTTP_PROXY in capitals: a CGI script would take it from a header of its caller.
    http: parseProxy(environment["http_proxy"] || all),
    except,
  };
}

/** A setting wins over the environment, but for its exceptions. */
export function proxyOf(setting: string | null, environment: Environment): OutgoingProxy {
  const found = proxyOfEnvironment(environment);
  const url = setting === null ? null : parseProxy(setting);
  return url === null ? found : { ...found, https: url, http: url };
}

function isExcepted(host: string, port: string, entry: string): boolean {
  if (entry === "*") return true;
  const [, name = "", onlyPort = ""] = /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(entry) ?? [];
  if (onlyPort !== "" && onlyPort !== port) return false;
  const bare = name.replace(/^\*?\./, "").toLowerCase();
  return bare !== "" && (host === bare || host.endsWith(`.${bare}`));
}

/** null: straight. */
export function proxyFor(proxy: OutgoingProxy, target: string): string | null {
  if (!URL.canParse(target)) return null;
  const { protocol, hostname, port } = new URL(target);
  const isSecure = protocol === "https:";
  const host = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  const at = port === "" ? (isSecure ? "443" : "80") : port;
  if (proxy.except.some((entry) => isExcepted(host, at, entry))) return null;
  return isSecure ? proxy.https : proxy.http;
}
