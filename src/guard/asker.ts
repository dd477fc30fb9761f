import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { hostname } from 'node:os';
import { type Habits, habitsOf } from '../dns/search-list.ts';

const RESOLV_CONF = '/etc/resolv.conf';
/** Bytes; what is longer is read this far. */
const MOST_READ = 1 << 17;
/** Symbolic links followed, as the kernel does. */
const MOST_LINKS = 40;

/**
 * How the resolver of a living process makes names: by the resolv.conf of its own root and mount namespace, and the
 * environment it was started with. Where it is gone, or shows nothing, by those of this process.
 */
export function readHabits(pid: number): Habits {
  const conf = readBelow(`/proc/${pid}/root`, RESOLV_CONF) ?? readBelow('', RESOLV_CONF) ?? '';
  return habitsOf(conf, readEnvironment(pid), hostname());
}

/** Whether a command line has a name as a whole word; a final dot does not count. */
export function mentions(argv: readonly string[], name: string): boolean {
  const literal = name.replace(/[^a-z0-9]/g, '\\$&');
  const word = new RegExp(`(?<![a-z0-9_.-])${literal}\\.?(?![a-z0-9_.-])`, 'i');
  return argv.some((argument) => word.test(argument));
}

function readEnvironment(pid: number): { LOCALDOMAIN?: string; RES_OPTIONS?: string } {
  const found: { LOCALDOMAIN?: string; RES_OPTIONS?: string } = {};
  for (const entry of readRegular(`/proc/${pid}/environ`)?.split('\0') ?? []) {
    const [, name, value] = /^(LOCALDOMAIN|RES_OPTIONS)=(.*)$/s.exec(entry) ?? [];
    if (name === 'LOCALDOMAIN' || name === 'RES_OPTIONS') found[name] = value ?? '';
  }
  return found;
}

/** A file as a process with this root sees it: symbolic links lead within the root. Null: there is none. */
function readBelow(root: string, path: string): string | null {
  const ahead = path.split('/');
  const at: string[] = [];
  for (let links = 0; ahead.length > 0; ) {
    const part = ahead.shift() ?? '';
    if (part === '' || part === '.') continue;
    if (part === '..') {
      at.pop();
      continue;
    }
    const target = linkAt([root, ...at, part].join('/'));
    if (target === null) {
      at.push(part);
      continue;
    }
    links += 1;
    if (links > MOST_LINKS) return null;
    if (target.startsWith('/')) at.length = 0;
    ahead.unshift(...target.split('/'));
  }
  return readRegular([root, ...at].join('/'));
}

function linkAt(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

/** The text of a regular file; a pipe or a device that stands in its place is not read. */
function readRegular(path: string): string | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch {
    return null;
  }
  try {
    if (!fstatSync(fd).isFile()) return null;
    const bytes = Buffer.alloc(MOST_READ);
    let length = 0;
    for (let read = 1; read > 0 && length < MOST_READ; length += read) {
      read = readSync(fd, bytes, length, MOST_READ - length, null);
    }
    return bytes.toString('latin1', 0, length);
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}
