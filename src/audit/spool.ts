import { hash, randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { checkDirectory, makeDirectory } from './state-directory.ts';

/** Bytes all spools of one place may have together. */
const SPOOL_BYTES = 32 << 20;
const FALLBACK = '/run/acyclic/spool';
const READ_BYTES = 1 << 20;
const MOST_TRIES = 10;

/** Where lines wait for their store: beside it, or in memory when its disk is full or read-only. */
export function spoolDirectories(directory: string): string[] {
  const state = resolve(directory);
  return [join(state, 'spool'), join(FALLBACK, hash('sha256', state).slice(0, 16))];
}

interface Open {
  readonly fd: number;
  readonly path: string;
  /** Bytes of this file, and of what was beside it when it was made. */
  size: number;
  readonly others: number;
}

/**
 * Lines that wait for the store, in a file of this process alone. Whoever can write the store takes it, while its
 * owner may still append: the taker renames it first, and the owner looks after each append whether its file is
 * still in place. If not, it cannot know whether the taker has read what it appended, and appends it to a new file.
 * So a line may come twice, which its id tells; none is lost.
 */
export class Spool {
  readonly #directories: readonly string[];
  readonly #limit: number;
  #open: Open | null = null;

  constructor(directories: readonly string[], limit: number = SPOOL_BYTES) {
    this.#directories = directories;
    this.#limit = limit;
  }

  /** The file lines were last put into; null when there is none. */
  get path(): string | null {
    return this.#open?.path ?? null;
  }

  /** Puts lines on disk, or in memory where there is no disk. Throws when no place takes them. */
  append(lines: readonly string[]): void {
    const bytes = Buffer.from(`${lines.join('\n')}\n`);
    let failure: unknown = null;
    const current = this.#open ? [dirname(this.#open.path)] : [];
    for (const place of [...current, ...this.#directories]) {
      try {
        while (!this.#appendOnce(place, bytes)) this.close();
        return;
      } catch (error) {
        failure ??= error;
        this.close();
      }
    }
    throw failure;
  }

  close(): void {
    if (this.#open) closeSync(this.#open.fd);
    this.#open = null;
  }

  /** False: somebody took the file meanwhile. */
  #appendOnce(place: string, bytes: Uint8Array): boolean {
    if (!this.#open) this.#open = this.#create(place);
    const open = this.#open;
    if (open.size + open.others + bytes.length > this.#limit)
      throw new Error(`the spool is full: it has its ${this.#limit >> 20} MiB`);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(open.fd, bytes, at);
      fsyncSync(open.fd);
    } catch (error) {
      // Half a line must not be the beginning of the next.
      ftruncateSync(open.fd, open.size);
      throw error;
    }
    open.size += bytes.length;
    const there = statSync(open.path, { throwIfNoEntry: false });
    return there?.ino === fstatSync(open.fd).ino;
  }

  #create(directory: string): Open {
    // Not through a state directory that the store itself refuses.
    makeDirectory(dirname(directory));
    const path = join(directory, `${randomUUID()}.spool`);
    const { O_WRONLY, O_CREAT, O_EXCL, O_APPEND } = constants;
    for (let tries = 1; ; tries++) {
      try {
        makeDirectory(directory);
        const others = waitingIn([directory]).bytes;
        return { fd: openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0o600), path, size: 0, others };
      } catch (error) {
        // Whoever emptied the directory took it away just now.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === MOST_TRIES) throw error;
      }
    }
  }
}

/** What waits in spools. */
export function waitingIn(directories: readonly string[]): { files: string[]; bytes: number } {
  const files = directories.flatMap((directory) =>
    namesIn(directory)
      .filter((name) => /\.(?:spool|taken)$/.test(name))
      .map((name) => join(directory, name)),
  );
  const sizes = files.map((file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0);
  return { files, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

/**
 * Takes every spool there is and hands its lines on, some at a time; a spool is deleted when all of it was handed
 * on. What `sink` throws ends it: the spool stays, for another time. A directory in which others could have put
 * something is left alone. Gives the number of lines.
 */
export function drain(directories: readonly string[], sink: (lines: string[]) => void): number {
  let lines = 0;
  for (const file of waitingIn(directories.filter(isOurs)).files) {
    const taken = take(file);
    if (taken === null) continue;
    lines += readLines(taken, sink);
    unlinkIfThere(taken);
  }
  for (const directory of directories) removeIfEmpty(directory);
  return lines;
}

function isOurs(directory: string): boolean {
  try {
    checkDirectory(directory);
    return true;
  } catch {
    return false;
  }
}

/** Null: another took it, and has done with it. */
function take(file: string): string | null {
  if (file.endsWith('.taken')) return file;
  const taken = file.replace(/\.spool$/, '.taken');
  try {
    renameSync(file, taken);
    return taken;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function readLines(file: string, sink: (lines: string[]) => void): number {
  let count = 0;
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const chunk = Buffer.alloc(READ_BYTES);
    let rest = Buffer.alloc(0);
    for (let got = readSync(fd, chunk); got > 0; got = readSync(fd, chunk)) {
      const all = Buffer.concat([rest, chunk.subarray(0, got)]);
      const end = all.lastIndexOf(10) + 1;
      // No line is that long: what has no end by now is none.
      rest = all.length - end > READ_BYTES ? Buffer.alloc(0) : Buffer.from(all.subarray(end));
      if (end === 0) continue;
      const lines = all
        .subarray(0, end - 1)
        .toString('utf8')
        .split('\n');
      sink(lines);
      count += lines.length;
    }
  } finally {
    closeSync(fd);
  }
  return count;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** One in which a spool is made at this moment is not empty, or is made again by whoever makes it. */
function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // It is not there, or not empty.
  }
}

function unlinkIfThere(file: string): void {
  try {
    unlinkSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
