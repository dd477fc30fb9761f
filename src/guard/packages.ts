import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { DPKG, type Manager, RPM } from './package-managers.ts';

const LONGEST_MS = 3000;
const MOST_OUTPUT = 1 << 20;
const MOST_PATHS = 64;
const MOST_KNOWN = 2000;
/** Everything else in a path could mean something to who is asked. */
const PLAIN = /^\/[\w.+\-/@]+$/;

/**
 * Which package a program came with, asked of the host's package manager for all runs: each once for as long as nothing
 * is installed or removed, and never while somebody waits.
 */
export class Packages {
  readonly #manager: Manager | null;
  /** By path; null: in no package. */
  readonly #known = new Map<string, string | null>();
  readonly #wanted = new Set<string>();
  #asking: { programs: readonly string[]; child: ChildProcess; done: Promise<void> } | null = null;
  /** When what is installed changed last, as the manager has it. */
  #changed: number | null = null;
  #closed = false;

  constructor(manager = [DPKG, RPM].find(({ program }) => existsSync(program))) {
    this.#manager = manager ?? null;
  }

  /** The package; null: it is in none; undefined: not known, yet or ever. */
  of(path: string): string | null | undefined {
    return this.#known.get(path);
  }

  /** Has the package of a program looked up. */
  want(path: string): void {
    if (!this.#manager || !PLAIN.test(path)) return;
    const changed = changedAt(this.#manager);
    if (changed !== this.#changed) this.#known.clear();
    this.#changed = changed;
    if (this.#known.has(path)) return;
    this.#wanted.add(path);
    if (!this.#asking) this.#ask(this.#manager);
  }

  /** Until these are known, of those that were wanted. */
  async settled(paths: readonly string[]): Promise<void> {
    const isOpen = (path: string) => this.#wanted.has(path) || this.#asking?.programs.includes(path);
    while (this.#asking && paths.some(isOpen)) await this.#asking.done;
  }

  close(): void {
    this.#closed = true;
    this.#wanted.clear();
    this.#asking?.child.kill('SIGKILL');
  }

  #ask(manager: Manager): void {
    const programs = [...this.#wanted].slice(0, MOST_PATHS);
    for (const program of programs) this.#wanted.delete(program);
    const spellings = new Map(programs.map((program) => [program, spellingsOf(program)]));
    const paths = [...new Set([...spellings.values()].flat())];
    if (paths.length === 0 || this.#closed) return;
    const child = start(manager, paths);
    if (!child) return;
    let output = '';
    child.stdout?.setEncoding('latin1').on('data', (text: string) => {
      if (output.length < MOST_OUTPUT) output += text;
    });
    const done = new Promise<void>((resolve) => {
      const end = (answered: boolean) => {
        if (this.#asking?.child !== child) return;
        const found = answered ? manager.read(output, paths) : null;
        for (const [program, ways] of spellings)
          if (found) this.#know(program, ways.map((way) => found.get(way)).find((name) => name) ?? null);
        this.#asking = null;
        this.#ask(manager);
        resolve();
      };
      child.once('error', () => end(false));
      // Both exit with an error when they do not know one of the files.
      child.once('close', (status) => end(status !== null));
    });
    this.#asking = { programs, child, done };
  }

  #know(program: string, name: string | null): void {
    const [oldest] = this.#known.size >= MOST_KNOWN ? this.#known.keys() : [];
    if (oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(program, name);
  }
}

/** Null: it has no such file. */
function changedAt({ database }: Manager): number | null {
  return statSync(database, { throwIfNoEntry: false })?.mtimeMs ?? null;
}

/** Null: this host cannot start it now. */
function start({ program, args }: Manager, paths: readonly string[]): ChildProcess | null {
  try {
    return spawn(program, [...args, ...paths], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
      timeout: LONGEST_MS,
      killSignal: 'SIGKILL',
    });
  } catch {
    // Out of memory or processes: some of that is thrown, the rest is its `error`.
    return null;
  }
}

/** A path as packages may have it: as it is, where its links lead, and with `/usr` or without, where both are there. */
function spellingsOf(path: string): string[] {
  const ways = [path];
  try {
    ways.push(realpathSync(path));
  } catch {
    // It is gone; its name may still be in a package.
  }
  const both = ways.flatMap((way) =>
    /^\/usr\/(s?bin|lib)/.test(way)
      ? [way, way.slice('/usr'.length)]
      : /^\/(s?bin|lib)/.test(way)
        ? [way, `/usr${way}`]
        : [way],
  );
  return [...new Set(both)].filter((way) => PLAIN.test(way) && existsSync(way));
}
