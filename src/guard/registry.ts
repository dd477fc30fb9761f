import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { startOf } from '../audit/liveness.ts';
import { SetupFailure } from '../kernel/failure.ts';
import { mayRead } from './readable.ts';

/** Runs in progress, one file each, so that what a killed engine leaves can be found. Root's alone. */
const DIRECTORY = '/run/acyclic/runs';

const processIdentity = z.object({ pid: z.number().int().positive(), start: z.string() });

const count = z.number().int().nonnegative();
const runCounts = z.object({
  calls: count,
  denials: count,
  would_deny: count,
  /** Records lost, by cause; causes that never struck are left out. */
  lost: z.record(z.string(), count),
});

/** What an entry has since it was first written comes with a default: entries of earlier versions are read too. */
const runEntry = z.object({
  v: z.literal(1),
  id: z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/),
  engine: processIdentity,
  command: processIdentity.nullable(),
  cgroup: z.string(),
  /** The cgroup the run was started from, where leftover processes go back to. */
  origin: z.string(),
  leftover: z.enum(['release', 'kill']),
  /** An existing cgroup, which is left as it is; otherwise the field is not there. */
  attached: z
    .object({
      /** The cgroup's id: a later one of its path is another. */
      id: z.string().regex(/^\d{1,20}$/),
      service: z.string().nullable(),
      deployment: z.string().nullable(),
      mode: z.enum(['audit', 'enforce']),
    })
    .optional(),
  /** It is a daemon's, which has others too, and takes it up again when it is started anew. */
  hosted: z.boolean().default(false),
  deployment: z.string().nullable().default(null),
  mode: z.enum(['enforce', 'audit']).nullable().default(null),
  /** Id of its policy; null when there is none. */
  policy: z.string().nullable().default(null),
  /** The command as it was given, without its secrets. */
  argv: z.array(z.string()).nullable().default(null),
  /** As of half a second ago; null when nobody has counted yet. */
  counts: runCounts.nullable().default(null),
});

/** A process for sure: pid and the start time of /proc/PID/stat, in clock ticks since boot. */
export type ProcessIdentity = z.infer<typeof processIdentity>;
export type RunEntry = z.infer<typeof runEntry>;
/** What a run's events come to so far. */
export type RunCounts = z.infer<typeof runCounts>;

/** Identity of a live process; null when there is none with that pid, or only its zombie. */
export function identify(pid: number): ProcessIdentity | null {
  const start = startOf(pid);
  return start === null ? null : { pid, start };
}

export function isAlive(process: ProcessIdentity): boolean {
  return identify(process.pid)?.start === process.start;
}

/** Writes a run's entry whole or not at all. Throws SetupFailure `state`. */
export function writeEntry(entry: RunEntry): void {
  const temporary = temporaryOf(entry.id);
  try {
    mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 });
    writeFileSync(temporary, JSON.stringify(entry), { mode: 0o600 });
    renameSync(temporary, join(DIRECTORY, `${entry.id}.json`));
  } catch (error) {
    removeIfCan(temporary);
    throw new SetupFailure(
      'state',
      `cannot write the run's entry in ${DIRECTORY}: ${(error as Error).message}`,
      'check that /run is writable and has room',
      { cause: error },
    );
  }
}

/** Takes a run off the file, with what a killed engine was just writing of it. */
export function removeEntry(id: string): void {
  rmSync(temporaryOf(id), { force: true });
  rmSync(join(DIRECTORY, `${id}.json`), { force: true });
}

/** Only a run's engine writes its entry. */
function temporaryOf(id: string): string {
  return join(DIRECTORY, `.${id}`);
}

function removeIfCan(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // What kept the entry from being written is told already.
  }
}

/** Whether this process may see which runs there are. */
export function seesEntries(): boolean {
  return mayRead(DIRECTORY);
}

/** Every readable entry. A file that is not one is passed over. */
export function readEntries(): RunEntry[] {
  let files: string[];
  try {
    files = readdirSync(DIRECTORY).filter((name) => name.endsWith('.json'));
  } catch {
    return [];
  }
  return files.flatMap((name) => {
    try {
      const parsed = runEntry.safeParse(JSON.parse(readFileSync(join(DIRECTORY, name), 'utf8')));
      return parsed.success ? [parsed.data] : [];
    } catch {
      return [];
    }
  });
}
