/**
 * The lock file, told from its text: it names no host, since the host it was made with may not be there for others; it has
 * the packages of every platform, since an `npm` that ran on one platform can drop the rest; versions are exact.
 */
export interface LockEntry {
  readonly version?: string;
  readonly resolved?: string;
  readonly optional?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export interface Lock {
  readonly packages: Readonly<Record<string, LockEntry>>;
}

export function hostsIn(lock: Lock): readonly string[] {
  return Object.entries(lock.packages)
    .filter(([, entry]) => entry.resolved !== undefined)
    .map(([path, entry]) => `${path}: ${entry.resolved}`);
}

/** Optional dependencies of a locked package that are not locked themselves. */
export function missingPlatforms(lock: Lock): readonly string[] {
  const locked = new Set(
    Object.keys(lock.packages).map((path) => path.slice(path.lastIndexOf("node_modules/") + 13)),
  );
  return Object.entries(lock.packages).flatMap(([path, entry]) =>
    Object.keys(entry.optionalDependencies ?? {})
      .filter((name) => !locked.has(name))
      .map((name) => `${path}: ${name} is not locked`),
  );
}

export interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

export function looseVersions(manifest: Manifest): readonly string[] {
  return Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
    .filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
    .map(([name, version]) => `${name}: ${version} is not one version`);
}

/** Direct dependencies whose locked version is another than the manifest's. */
export function staleLocks(manifest: Manifest, lock: Lock): readonly string[] {
  return Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
    .filter(([name, version]) => lock.packages[`node_modules/${name}`]?.version !== version)
    .map(([name, version]) => `${name}: the lock does not have ${version}`);
}
