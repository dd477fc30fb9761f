import type { Function as FunctionNode } from 'unbash';
import type { Source } from './walker.ts';

/** A function of a script, and how it was followed so far. */
export interface Defined {
  readonly node: FunctionNode;
  readonly source: Source;
  calls: number;
  /** It led to a host, or to something that could be one. */
  names: boolean;
}

/** A function is followed so often; afterwards it is known what it does with what it is given. */
const MOST_CALLS = 100;

/** The functions of a script and of what it sources. */
export class Functions {
  readonly #all = new Map<string, Defined>();

  define(node: FunctionNode, source: Source): void {
    this.#all.set(node.name.value, { node, source, calls: 0, names: false });
  }

  get(name: string): Defined | null {
    return this.#all.get(name) ?? null;
  }

  get uncalled(): Defined[] {
    return [...this.#all.values()].filter(({ calls }) => calls === 0);
  }
}

/** Whether a function is worth following once more. */
export function isFresh({ calls }: Defined): boolean {
  return calls < MOST_CALLS;
}
