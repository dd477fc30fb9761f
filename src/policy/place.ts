import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type LineCounter,
  type Node,
  type Pair,
  type YAMLMap,
} from 'yaml';
import type { Path } from './path.ts';
import type { Fault, Problem } from './problem.ts';
import { pathKey, type Salvaged } from './salvage.ts';

/** Where something stands in a file, and its text. */
export interface Place {
  readonly line: number;
  readonly column: number;
  readonly text: string | null;
}

/** A fault where it stands. */
export function problemAt(path: string, place: Place, found: Fault): Problem {
  return {
    code: found.code,
    severity: 'error',
    file: path,
    line: place.line,
    column: place.column,
    offending: place.text,
    message: found.message,
    suggestion: found.suggestion,
  };
}

/** A parsed file that can say where each of its values stands. */
export class Places {
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #text: string;
  readonly #pairsOf = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>();
  readonly #indices: Salvaged['indices'];

  constructor(
    document: Document,
    lines: LineCounter,
    text: string,
    indices: Salvaged['indices'] = new Map(),
  ) {
    this.#document = document;
    this.#lines = lines;
    this.#text = text;
    this.#indices = indices;
  }

  /** The same file for paths into what was salvaged of it. */
  salvaged({ indices }: Salvaged): Places {
    return new Places(this.#document, this.#lines, this.#text, indices);
  }

  /** The value at a path; the nearest thing above it where it is absent. */
  value(path: Path): Place {
    return this.#place(this.#walk(path).node);
  }

  /** The key at the end of a path. */
  key(path: Path): Place {
    const { pair, node } = this.#walk(path);
    return this.#place(pair && isScalar(pair.key) ? pair.key : node);
  }

  /** An offset in the text. */
  at(offset: number, end = offset): Place {
    const { line, col } = this.#lines.linePos(offset);
    return { line, column: col, text: this.#text.slice(offset, end) || null };
  }

  #inFile(path: Path): Path {
    const original: (string | number)[] = [];
    for (const step of path) {
      const kept = typeof step === 'number' ? this.#indices.get(pathKey(original)) : undefined;
      original.push(typeof step === 'number' ? (kept?.[step] ?? step) : step);
    }
    return original;
  }

  #walk(path: Path): { node: Node | null; pair: Pair | null } {
    let node = this.#document.contents as Node | null;
    let pair: Pair | null = null;
    for (const step of this.#inFile(path)) {
      let next: unknown;
      if (isAlias(node)) node = node.resolve(this.#document) ?? null;
      if (isMap(node)) {
        pair = this.#pairs(node).get(String(step)) ?? null;
        next = pair?.value ?? pair?.key;
      } else if (isSeq(node)) {
        next = node.items[Number(step)];
        if (isPair(next)) next = next.value;
      }
      if (!next) return { node, pair };
      node = next as Node;
    }
    return { node, pair };
  }

  /** The pairs of a mapping by key; of a key that is given twice, the first. */
  #pairs(map: YAMLMap): ReadonlyMap<string, Pair> {
    const known = this.#pairsOf.get(map);
    if (known) return known;
    const pairs = new Map<string, Pair>();
    for (const item of map.items)
      if (isScalar(item.key) && !pairs.has(String(item.key.value))) pairs.set(String(item.key.value), item);
    this.#pairsOf.set(map, pairs);
    return pairs;
  }

  #place(node: Node | null): Place {
    const [start, end] = node?.range ?? [0, 0];
    const place = this.at(start, end);
    return isMap(node) || isSeq(node) ? { ...place, text: null } : place;
  }
}
