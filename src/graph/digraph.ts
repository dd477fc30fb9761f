/** What each service depends on, in declared order. */
export type Dependencies = ReadonlyMap<string, readonly string[]>;

/**
 * Dependencies by number, so that thousands of services are walked in milliseconds. Services are numbered in the
 * order they are given; one that is only depended on comes after them. A dependency given twice is one edge.
 */
export class Digraph {
  readonly names: readonly string[];
  readonly #numbers = new Map<string, number>();
  readonly #out: readonly (readonly number[])[];
  #in: readonly (readonly number[])[] | null = null;

  constructor(dependencies: Dependencies) {
    const number = (name: string) => {
      const known = this.#numbers.get(name);
      if (known !== undefined) return known;
      this.#numbers.set(name, this.#numbers.size);
      return this.#numbers.size - 1;
    };
    for (const name of dependencies.keys()) number(name);
    const out = [...dependencies.values()].map((needed) => [...new Set(needed.map(number))]);
    this.names = [...this.#numbers.keys()];
    this.#out = this.names.map((_, i) => out[i] ?? []);
  }

  get size(): number {
    return this.names.length;
  }

  /** The number of a service; -1 where there is none of the name. */
  numberOf(name: string): number {
    return this.#numbers.get(name) ?? -1;
  }

  nameOf(number: number): string {
    return this.names[number] ?? '';
  }

  /** What it depends on, in declared order. */
  neededBy(number: number): readonly number[] {
    return this.#out[number] ?? [];
  }

  /** What depends on it. */
  dependentsOf(number: number): readonly number[] {
    this.#in ??= reversed(this.#out);
    return this.#in[number] ?? [];
  }

  /** Edges from each service to the nearest of `targets`, by number; -1 where none is reached. */
  distancesTo(targets: Iterable<number>): Int32Array {
    return distances(this.size, targets, (number) => this.dependentsOf(number));
  }

  /** Edges to each service from the nearest of `starts`, by number; -1 where it is not reached. */
  distancesFrom(starts: Iterable<number>): Int32Array {
    return distances(this.size, starts, (number) => this.neededBy(number));
  }
}

function reversed(out: readonly (readonly number[])[]): number[][] {
  const into: number[][] = out.map(() => []);
  for (const [from, needed] of out.entries()) for (const to of needed) into[to]?.push(from);
  return into;
}

function distances(
  size: number,
  from: Iterable<number>,
  next: (number: number) => readonly number[],
): Int32Array {
  const distance = new Int32Array(size).fill(-1);
  const queue: number[] = [];
  const visit = (number: number, steps: number) => {
    if (number < 0 || distance[number] !== -1) return;
    distance[number] = steps;
    queue.push(number);
  };
  for (const number of from) visit(number, 0);
  for (const number of queue)
    for (const other of next(number)) visit(other, (distance[number] as number) + 1);
  return distance;
}
