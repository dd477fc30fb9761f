import { spell, type Text } from './text.ts';

/** What a variable may hold. */
export interface Variable {
  /** Each a value it may have; none: it may have any. */
  readonly values: readonly Text[];
  /** It may have other values too. */
  readonly open: boolean;
  /** An array's elements, each with the values it may have. */
  readonly items: readonly (readonly Text[])[] | null;
  readonly exported: boolean;
}

/** Values told apart; past that a variable is `open`. */
const MOST_VALUES = 32;
const MOST_ITEMS = 200;
const MOST_VARIABLES = 5000;

export const ANYTHING: Variable = { values: [], open: true, items: null, exported: false };

/** What is known of a script's variables at one place of it. */
export class Variables {
  readonly #map: Map<string, Variable>;
  exportsAll = false;

  constructor(map: ReadonlyMap<string, Variable> = new Map()) {
    this.#map = new Map(map);
  }

  get size(): number {
    return this.#map.size;
  }

  get(name: string): Variable {
    return this.#map.get(name) ?? ANYTHING;
  }

  set(name: string, value: Omit<Variable, 'exported'>): void {
    const before = this.#map.get(name);
    if (!before && this.#map.size >= MOST_VARIABLES) return;
    this.#map.set(name, { ...bounded(value), exported: this.exportsAll || (before?.exported ?? false) });
  }

  /** From now on nothing is known of it. */
  forget(name: string): void {
    this.#map.delete(name);
  }

  export(name: string): void {
    const before = this.#map.get(name);
    if (before) this.#map.set(name, { ...before, exported: true });
  }

  /** What a program it starts has of them. */
  exported(): Variables {
    return new Variables(new Map([...this.#map].filter(([, { exported }]) => exported)));
  }

  copy(): Variables {
    const copy = new Variables(this.#map);
    copy.exportsAll = this.exportsAll;
    return copy;
  }

  /** Takes over what may be, where one of several ways was gone. */
  join(ways: readonly Variables[]): void {
    const names = new Set(ways.flatMap((way) => [...way.#map.keys()]));
    this.#map.clear();
    for (const name of names) {
      const all = ways.map((way) => way.get(name));
      const [first = ANYTHING] = all;
      this.#map.set(name, all.every((one) => one === first) ? first : either(all));
    }
  }
}

function either(all: readonly Variable[]): Variable {
  const arrays = all.flatMap(({ items }) => items ?? []);
  return {
    ...bounded({
      values: all.flatMap(({ values }) => values),
      // Of several arrays only what is in them is known, not where.
      open: all.some(({ open }) => open) || arrays.length > 0,
      items: arrays.length > 0 ? arrays : null,
    }),
    exported: all.some(({ exported }) => exported),
  };
}

function bounded({ values, open, items }: Omit<Variable, 'exported'>): Omit<Variable, 'exported'> {
  const kept = distinct(values);
  return {
    values: kept.slice(0, MOST_VALUES),
    open: open || kept.length > MOST_VALUES || (items?.length ?? 0) > MOST_ITEMS,
    items: items?.slice(0, MOST_ITEMS) ?? null,
  };
}

/** Texts that read alike are one, wherever they stand: the first. */
export function distinct(texts: readonly Text[]): Text[] {
  const kept = new Map<string, Text>();
  for (const text of texts) {
    const key = spell(text);
    if (!kept.has(key)) kept.set(key, text);
  }
  return [...kept.values()];
}
