import type { Digraph } from './digraph.ts';
import { Heap } from './heap.ts';

/** A path of services that closes a cycle through what is deployed. */
export interface Closing<Entry> {
  /** How it begins, as given. */
  readonly entry: Entry;
  /** From the service that is called to one that is deployed; no service is on it twice, and only the last is deployed. */
  readonly path: readonly string[];
}

export interface Closings<Entry> {
  /** The shortest first; of one length by rank. */
  readonly found: readonly Closing<Entry>[];
  /** There are others beyond the limit. */
  readonly more: boolean;
}

/** A service that is called, or may be, by what is deployed. */
export interface Entry {
  readonly service: string;
  /** Of cycles of one length, those of the lower rank come first. */
  readonly rank: number;
}

/**
 * The elementary cycles through the deployed services, taken as one: each goes on from an entry by what it depends
 * on, and ends at the first deployed service it meets. At most `limit`, the shortest first.
 *
 * Lawler's partition of the paths that are left into those that part from a known one at one step, each part looked
 * for by A* when its bound comes up: the work is polynomial in the limit however many cycles there are.
 */
export function closings<E extends Entry>(
  graph: Digraph,
  deployed: readonly string[],
  entries: readonly E[],
  limit: number,
): Closings<E> {
  const targets = deployed.map((service) => graph.numberOf(service)).filter((number) => number >= 0);
  const search = new Search(graph, targets);
  const queue = new Heap<Part<E>>((a, b) => a.bound - b.bound || a.entry.rank - b.entry.rank);
  for (const entry of entries) {
    const start = graph.numberOf(entry.service);
    const left = search.left(start);
    if (left > 0) queue.push({ entry, path: [start], at: 0, banned: [], bound: left, found: false });
  }
  const found: Closing<E>[] = [];
  for (let part = queue.pop(); part; part = queue.pop()) {
    if (!part.found) {
      const path = search.complete(part.path.slice(0, part.at + 1), part.banned);
      if (path) queue.push({ ...part, path, bound: path.length - 1, found: true });
      continue;
    }
    if (found.length === limit) return { found, more: true };
    found.push({ entry: part.entry, path: part.path.map((number) => graph.nameOf(number)) });
    for (const rest of partitions(part)) {
      const bound = search.bound(rest);
      if (bound !== null) queue.push({ ...rest, bound });
    }
  }
  return { found, more: false };
}

/** Paths that begin as `path` up to the service at `at`, and go on from there to none of `banned`. */
interface Part<E> {
  readonly entry: E;
  /** Service numbers; whole if it is found, and then the shortest of the part. */
  readonly path: readonly number[];
  readonly at: number;
  readonly banned: readonly number[];
  /** Edges of the path, or the fewest it could have. */
  readonly bound: number;
  readonly found: boolean;
}

/** The paths of a part but for the one that was found, by where they leave it. */
function* partitions<E>({ entry, path, at, banned }: Part<E>): Generator<Part<E>> {
  for (let i = at; i < path.length - 1; i++) {
    const next = path[i + 1] as number;
    yield { entry, path, at: i, banned: i === at ? [...banned, next] : [next], bound: 0, found: false };
  }
}

class Search {
  readonly #graph: Digraph;
  /** Edges to the nearest target, whatever is in the way. */
  readonly #left: Int32Array;
  /** In which search a service was passed, and from where and how far into it. */
  readonly #passed: Int32Array;
  readonly #from: Int32Array;
  readonly #steps: Int32Array;
  #searches = 0;

  constructor(graph: Digraph, targets: readonly number[]) {
    this.#graph = graph;
    this.#left = graph.distancesTo(targets);
    this.#passed = new Int32Array(graph.size);
    this.#from = new Int32Array(graph.size);
    this.#steps = new Int32Array(graph.size);
  }

  /** Edges to the nearest target; -1 where none is reached. */
  left(number: number): number {
    return this.#left[number] ?? -1;
  }

  /** The fewest edges a path of the part could have; null if it can have none. */
  bound({ path, at, banned }: Pick<Part<unknown>, 'path' | 'at' | 'banned'>): number | null {
    let least = -1;
    for (const next of this.#graph.neededBy(path[at] as number)) {
      const left = this.left(next);
      if (left !== -1 && (least === -1 || left < least) && !banned.includes(next)) least = left;
    }
    return least === -1 ? null : at + 1 + least;
  }

  /** The shortest path to a target that begins so, meets no service twice, and first goes on to none of `banned`. */
  complete(prefix: readonly number[], banned: readonly number[]): number[] | null {
    const search = ++this.#searches;
    for (const number of prefix) this.#passed[number] = search;
    const start = prefix[prefix.length - 1] as number;
    this.#steps[start] = 0;
    /** Services by the least length of a path through them, from the shortest there could be. */
    const waiting: number[][] = [];
    for (let here = start, length = 0; ; ) {
      for (const next of this.#graph.neededBy(here)) {
        const left = this.left(next);
        if (left === -1 || this.#passed[next] === search || (here === start && banned.includes(next)))
          continue;
        const steps = (this.#steps[here] as number) + 1;
        const queue = waiting[steps + left];
        if (queue) queue.push(next, here);
        else waiting[steps + left] = [next, here];
      }
      const taken = this.#take(waiting, length, search);
      if (taken === null) return null;
      ({ here, length } = taken);
      if (this.#left[here] === 0) return [...prefix, ...this.#back(here, start)];
    }
  }

  /** The next service to go on from, and marks how it was reached. */
  #take(waiting: number[][], length: number, search: number): { here: number; length: number } | null {
    for (let at = length; at < waiting.length; at++) {
      const queue = waiting[at];
      while (queue && queue.length > 0) {
        const from = queue.pop() as number;
        const here = queue.pop() as number;
        if (this.#passed[here] === search) continue;
        this.#passed[here] = search;
        this.#from[here] = from;
        this.#steps[here] = (this.#steps[from] as number) + 1;
        return { here, length: at };
      }
    }
    return null;
  }

  #back(end: number, start: number): number[] {
    const path: number[] = [];
    for (let here = end; here !== start; here = this.#from[here] as number) path.push(here);
    return path.reverse();
  }
}
