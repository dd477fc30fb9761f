import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { EventDestination } from '../model/event.ts';
import type { ProcessImage, ProcessWithAncestry } from '../model/process.ts';
import type { Decision } from './line.ts';

const MOST_REMEMBERED = 50_000;

interface Body {
  readonly body: unknown;
  readonly parent: number | null;
}

/** What events share, by its row; each is parsed once as far as it is remembered. Throws errors of SQLite. */
export class SharedRows {
  readonly #bodies: Readonly<Record<'decision' | 'destination' | 'process', StatementSync>>;
  readonly #decisions = new Map<number, Decision>();
  readonly #destinations = new Map<number, EventDestination>();
  readonly #images = new Map<number, { readonly image: ProcessImage; readonly parent: number | null }>();

  constructor(db: DatabaseSync) {
    const body = (table: string, parent = 'NULL') =>
      db.prepare(`SELECT body, ${parent} AS parent FROM ${table} WHERE id = ?`);
    this.#bodies = {
      decision: body('decision'),
      destination: body('destination'),
      process: body('process', 'parent'),
    };
  }

  decision(id: number): Decision {
    return remembered(this.#decisions, id, () => this.#body('decision', id).body as Decision);
  }

  destination(id: number): EventDestination {
    return remembered(this.#destinations, id, () => this.#body('destination', id).body as EventDestination);
  }

  /** The process with its ancestry. */
  process(id: number): ProcessWithAncestry {
    const line: ProcessImage[] = [];
    for (let at: number | null = id; at !== null; ) {
      const known: { image: ProcessImage; parent: number | null } = this.#image(at);
      line.push(known.image);
      at = known.parent;
    }
    const [caller, ...ancestry] = line;
    return { ...(caller as ProcessImage), ancestry };
  }

  #image(id: number): { image: ProcessImage; parent: number | null } {
    return remembered(this.#images, id, () => {
      const { body, parent } = this.#body('process', id);
      return { image: body as ProcessImage, parent };
    });
  }

  #body(table: 'decision' | 'destination' | 'process', id: number): Body {
    const row = this.#bodies[table].get(id);
    if (!row) throw new Error(`the store has no ${table} ${id}`);
    return { body: JSON.parse(String(row.body)), parent: row.parent === null ? null : Number(row.parent) };
  }
}

function remembered<T>(known: Map<number, T>, id: number, read: () => T): T {
  const found = known.get(id);
  if (found !== undefined) return found;
  if (known.size >= MOST_REMEMBERED) known.clear();
  const value = read();
  known.set(id, value);
  return value;
}
