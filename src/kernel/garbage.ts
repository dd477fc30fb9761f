import * as layout from './layout.gen.ts';
import { native } from './native.ts';
import type { Programs } from './programs.ts';
import { PLACES } from './tables.ts';

/** Numbers up to which an engine that is gone gave out its own (bpf/event.h struct engine). */
export interface Numbers {
  readonly generations: number;
  readonly profiles: number;
  readonly places: number;
}

/** Rows that are read or removed in one go. */
const PART = 256;

/** More than any table has (MAX_ENTRIES of bpf/maps.bpf.h). */
const MOST = 1 << 20;

/**
 * Removes what an engine that is gone had in the tables and no run stands on any more, a few rows at a step. Those that
 * were taken over, `own`, have tables of their own now, as have those that begin meanwhile; those that were not,
 * `others`, stay as they are; any other run is over.
 */
export function* clearLeft(
  programs: Pick<Programs, 'map'>,
  before: Numbers,
  { own, others }: { own: Pick<ReadonlySet<bigint>, 'has'>; others: ReadonlySet<bigint> },
): Generator<void> {
  const runs = programs.map('runs');
  const stay = new Set<number>();
  for (const key of [...partsOfKeys(programs, 'runs')].flat()) {
    const run = key.readBigUInt64LE();
    const state = native().mapLookup(runs, key);
    if (others.has(run) && state) stay.add(state.readUInt32LE(layout.runState.generation.offset));
    else if (!own.has(run)) native().mapDelete(runs, key);
  }
  const isPast = (generation: number) => generation <= before.generations && !stay.has(generation);
  const shared = others.size > 0;
  const ofNone = (key: Buffer) => !own.has(key.readBigUInt64LE()) && !others.has(key.readBigUInt64LE());
  function* remove(name: string, isLeft: (key: Buffer) => boolean): Generator<void> {
    const left: Buffer[] = [];
    for (const keys of partsOfKeys(programs, name)) {
      left.push(...keys.filter(isLeft));
      yield;
    }
    for (let at = 0; at < left.length; at += PART) {
      const part = left.slice(at, at + PART);
      native().mapDeleteBatch(programs.map(name), Buffer.concat(part), part.length);
      yield;
    }
  }
  yield* remove('addresses', (key) => {
    const table = key.readUInt32LE(layout.addressKey.table.offset);
    return table < PLACES ? isPast(table >>> 2) : !shared && (table - PLACES) >>> 1 <= before.places;
  });
  yield* remove('names', (key) => isPast(key.readUInt32LE(layout.nameKey.generation.offset)));
  yield* remove('chains', (key) => isPast(key.readUInt32LE(layout.chainKey.generation.offset)));
  yield* remove('fact_entries', (key) => isPast(key.readUInt32LE(layout.factEntryKey.generation.offset)));
  yield* remove(
    'ports',
    (key) => !shared && key.readUInt32LE(layout.portKey.profile.offset) <= before.profiles,
  );
  for (const name of ['facts', 'closed_sockets', 'run_losses']) yield* remove(name, ofNone);
}

/** The keys of a table, a few at a step. While others delete, one may come twice. */
function* partsOfKeys(programs: Pick<Programs, 'map'>, name: string): Generator<Buffer[]> {
  const map = programs.map(name);
  const { keySize } = native().mapInfo(map);
  let last: Buffer | null = null;
  for (let seen = 0; seen < MOST; seen += PART) {
    const keys: Buffer = native().mapKeys(map, PART, last);
    if (keys.length === 0) return;
    const part = Array.from({ length: keys.length / keySize }, (_, i) =>
      keys.subarray(i * keySize, (i + 1) * keySize),
    );
    yield part;
    last = part.at(-1) ?? null;
  }
}
