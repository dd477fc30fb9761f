import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { AuditFailure, isDamage, sqliteCode } from './failure.ts';
import { checkVersion, STEPS, versionOf } from './schema.ts';
import { checkDirectory, checkFile } from './state-directory.ts';
import { STORE_FILE } from './store.ts';

const PATIENCE_MS = 3000;
const PAGE_CACHE_KIB = 32 * 1024;
/** SQLITE_READONLY and SQLITE_CANTOPEN: what a log needs cannot be made on a read-only disk. */
const READ_ONLY_DISK = new Set([8, 14]);

/** Opens the store of a state directory for reading. Throws AuditFailure. */
export function openStore(directory: string): DatabaseSync {
  const path = join(directory, STORE_FILE);
  try {
    checkDirectory(directory);
    checkFile(path);
    const db = openReadOnly(path);
    const version = versionOf(db);
    checkVersion(version);
    if (version < STEPS.length) throw noStore(directory);
    db.exec(`PRAGMA cache_size = -${PAGE_CACHE_KIB}`);
    return db;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw noStore(directory);
    throw asFailure(error, path);
  }
}

/** On a read-only disk nobody can be writing, and the store is read as the file it is. */
function openReadOnly(path: string): DatabaseSync {
  try {
    const db = new DatabaseSync(path, { readOnly: true, timeout: PATIENCE_MS });
    versionOf(db);
    return db;
  } catch (error) {
    if (!READ_ONLY_DISK.has(sqliteCode(error) ?? -1)) throw error;
    const url = pathToFileURL(path);
    url.search = 'immutable=1';
    return new DatabaseSync(url, { readOnly: true });
  }
}

function noStore(directory: string): AuditFailure {
  return new AuditFailure(
    'no-store',
    `nothing is recorded in ${directory}`,
    'the first `acyclic run` begins the trail; name another directory with --state',
  );
}

export function noRecord(what: string, directory: string): AuditFailure {
  return new AuditFailure(
    'no-record',
    `there is no record \`${what}\` in ${directory}`,
    'see `acyclic audit list` and `acyclic runs`; it may be older than what is kept',
  );
}

/** An error of reading, in the words of whoever must act; what is none of the store's stays as it is. */
export function asFailure(error: unknown, path: string): unknown {
  if (error instanceof AuditFailure) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM')
    return new AuditFailure(
      'store-unreadable',
      `the store ${path} is not yours to read`,
      'run it with sudo',
      {
        cause: error,
      },
    );
  if (isDamage(error))
    return new AuditFailure(
      'store-damaged',
      `the store ${path} is damaged: ${message}`,
      'move it away, with its -wal and -shm: the next run makes a new one',
      { cause: error },
    );
  if (sqliteCode(error) === null) return error;
  return new AuditFailure(
    'store-unreadable',
    `the store ${path} cannot be read: ${message}`,
    'check its disk',
    {
      cause: error,
    },
  );
}
