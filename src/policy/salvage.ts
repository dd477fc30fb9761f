import type { Path } from './path.ts';

/** What remains of a file without its misshapen parts, and where its lists' entries stood before. */
export interface Salvaged {
  readonly data: unknown;
  /** By the path of a list: for each entry left, its index in the file. */
  readonly indices: ReadonlyMap<string, readonly number[]>;
}

/** A path as a key of `Salvaged.indices`. */
export function pathKey(path: Path): string {
  return JSON.stringify(path);
}

/**
 * The data without what stands at the given paths, so that the rest can be checked too. Of a rule or a
 * waiver nothing remains if a part of it goes: half of one would only earn further complaints.
 */
export function salvage(data: unknown, faulty: readonly Path[]): Salvaged {
  const dropped = new Set(faulty.map((path) => pathKey(upToEntry(data, path))));
  const indices = new Map<string, readonly number[]>();
  const copy = (value: unknown, path: Path): unknown => {
    if (Array.isArray(value)) {
      const kept = value.flatMap((_, i) => (dropped.has(pathKey([...path, i])) ? [] : [i]));
      indices.set(pathKey(path), kept);
      return kept.map((i) => copy(value[i], [...path, i]));
    }
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).filter(([key]) => !dropped.has(pathKey([...path, key])));
    return Object.fromEntries(entries.map(([key, inner]) => [key, copy(inner, [...path, key])]));
  };
  return { data: copy(data, []), indices };
}

function upToEntry(data: unknown, path: Path): Path {
  let value = data;
  for (const [depth, step] of path.entries()) {
    const inList = Array.isArray(value);
    value = (value as Record<string | number, unknown> | null | undefined)?.[step];
    if (inList && typeof value === 'object') return path.slice(0, depth + 1);
  }
  return path;
}
