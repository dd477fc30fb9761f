import { randomBytes } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AuditFailure } from '../audit/failure.ts';
import { makeDirectory } from '../audit/state-directory.ts';
import { formatEdge, mergeEdges, type ObservedEdge, readEdge, seenSince } from '../graph/observed.ts';
import { readBounded, readingFault } from './bounded-file.ts';

/** In the state directory, the edges merged from other hosts. */
const FILE = 'observed.jsonl';
const MOST_BYTES = 64 << 20;
/** Edges not seen for so long are dropped when others are merged in. */
const KEPT_MS = 365 * 24 * 3_600_000;

/** Observed edges that cannot be read or kept. */
class EdgesFailure extends Error {
  override readonly name = 'EdgesFailure';
  readonly code = 'edges';
  readonly remedy: string;

  constructor(message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.remedy = remedy;
  }
}

/** The edges of a file that `graph export --observed` wrote. Throws EdgesFailure. */
export function readEdgeFile(path: string): ObservedEdge[] {
  try {
    return edgesOf(path, readBounded(path, MOST_BYTES));
  } catch (error) {
    throw error instanceof EdgesFailure ? error : unreadable(path, error as NodeJS.ErrnoException);
  }
}

function edgesOf(path: string, text: string): ObservedEdge[] {
  if (Buffer.byteLength(text) > MOST_BYTES)
    throw new EdgesFailure(
      `${path}: over ${MOST_BYTES >> 20} MiB, the most a file of edges may have`,
      REMEDY,
    );
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    const edge = readEdge(line);
    if (typeof edge === 'string')
      throw new EdgesFailure(`${path}:${i + 1}: not an observed edge: ${edge}`, REMEDY);
    return edge;
  });
}

function unreadable(path: string, error: NodeJS.ErrnoException): EdgesFailure {
  const message = `cannot read the observed edges ${path}: ${readingFault(error)}`;
  return new EdgesFailure(message, REMEDY, { cause: error });
}

const REMEDY = 'give a file that `acyclic graph export --observed` wrote';

/** What was merged on this host so far. Throws EdgesFailure. */
export function keptEdges(state: string): ObservedEdge[] {
  const path = join(state, FILE);
  try {
    return edgesOf(path, readBounded(path, MOST_BYTES));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error instanceof EdgesFailure ? error : unreadable(path, error as NodeJS.ErrnoException);
  }
}

/** Merges edges into those kept on this host, and gives all there are then. Throws EdgesFailure, AuditFailure. */
export function keepEdges(state: string, edges: readonly ObservedEdge[], now: Date): ObservedEdge[] {
  const all = mergeEdges([...keptEdges(state), ...edges]);
  const kept = seenSince(all, new Date(now.getTime() - KEPT_MS));
  const path = join(state, FILE);
  const text = kept.map((edge) => `${formatEdge(edge)}\n`).join('');
  if (Buffer.byteLength(text) > MOST_BYTES)
    throw new EdgesFailure(
      `with these, ${path} would be over ${MOST_BYTES >> 20} MiB`,
      'merge less, or remove the file to begin anew',
    );
  // A name nobody can have made before us, and a rename: readers have the old file or the new one.
  const fresh = `${path}.${randomBytes(8).toString('hex')}`;
  try {
    makeDirectory(state);
    writeFileSync(fresh, text, { flag: 'wx', mode: 0o600 });
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    if (error instanceof AuditFailure) throw error;
    const remedy = 'run it as root, or name another directory with --state';
    throw new EdgesFailure(`cannot keep observed edges in ${state}: ${(error as Error).message}`, remedy, {
      cause: error,
    });
  }
  return kept;
}
