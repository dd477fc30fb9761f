import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { dirname, normalize, relative, resolve } from 'node:path';
import type { FileText, Ground } from '../script/reading.ts';

/** Larger files are not scripts. */
const MOST_BYTES = 1024 * 1024;
/** Reading there can wait for ever, or do something. */
const NOT_FILES = /^\/(proc|sys|dev)\//;
/** Where packages put programs, and where administrators do. */
const INSTALLED = /^\/(usr\/)?(s?bin|lib(exec|32|64)?|share|local\/s?bin|games)\//;
/** Folders of what package managers of languages bring along. */
const BROUGHT = /\/(node_modules|site-packages|dist-packages|\.?venv)\//;

const MOST_JUDGED = 10_000;

/** Where a deployment's scripts lie. */
export interface Site {
  readonly cwd: string;
  /** The script as it was given, or null where the command is none. */
  readonly script: string | null;
  /** The PATH that programs are looked for in. */
  readonly path: string;
}

/** The files of this host, as far as scripts may be read: regular ones, of bounded size. */
export function groundOf({ cwd, script, path }: Site): Ground {
  const programs = new Set(
    path
      .split(':')
      .filter((directory) => directory.startsWith('/'))
      .flatMap(bothWays),
  );
  const root = script === null ? null : resolve(cwd, script);
  const home = root === null ? null : dirname(root);
  const judged = new Map<string, boolean>();
  const judge = (directory: string): boolean => {
    if (bothWays(directory).some((one) => programs.has(one)) || BROUGHT.test(`${directory}/`)) return true;
    // Beside the script, wherever that is installed, lies what is the script's.
    const beside = home !== null && home !== '/' && `${directory}/`.startsWith(`${home}/`);
    return INSTALLED.test(`${directory}/`) && !beside;
  };
  return {
    cwd,
    read: readScriptFile,
    isTool(file) {
      const directory = dirname(file);
      const tool = judged.get(directory) ?? judge(directory);
      if (judged.size < MOST_JUDGED) judged.set(directory, tool);
      return tool;
    },
    name(file) {
      if (script !== null && file === root) return normalize(script);
      if (script?.startsWith('/')) return file;
      const near = relative(cwd, file);
      return near === '..' || near.startsWith('../') ? file : near;
    },
  };
}

function bothWays(directory: string): string[] {
  try {
    return [directory, realpathSync(directory)];
  } catch {
    return [directory];
  }
}

/** A file's text, without ever waiting for one. */
export function readScriptFile(path: string): FileText {
  try {
    if (NOT_FILES.test(`${realpathSync(path)}/`)) return { kind: 'refused' };
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    try {
      return readRegular(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    return { kind: ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(code) ? 'missing' : 'refused' };
  }
}

function readRegular(fd: number): FileText {
  const stat = fstatSync(fd);
  if (!stat.isFile()) return { kind: 'refused' };
  const head = Buffer.alloc(Math.min(stat.size, 4096));
  const got = readSync(fd, head, 0, head.length, 0);
  if (head.subarray(0, got).includes(0)) return { kind: 'binary' };
  if (stat.size > MOST_BYTES) return { kind: 'large' };
  const whole = Buffer.alloc(stat.size);
  let size = 0;
  for (let more = 1; more > 0 && size < whole.length; size += more)
    more = readSync(fd, whole, size, whole.length - size, size);
  return { kind: 'text', text: whole.toString('utf8', 0, size) };
}
