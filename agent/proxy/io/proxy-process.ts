/**
 * `holdfast proxy`: the process between a node's programs and the communication library.
 */
export interface ProxyArguments {
  /** Unix socket of the agent. */
  readonly control: string;
  /** IP literal to listen on for other proxies. */
  readonly host: string;
}

/** Resolves when the agent said quit or went away. */
export declare function runProxy(args: ProxyArguments): Promise<void>;
