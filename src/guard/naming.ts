import { readlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Address } from '../model/address.ts';
import type { Name } from '../model/name.ts';
import { type Invocation, readInvocation, wrappedAt } from '../script/invocation.ts';
import type { Findings } from '../script/mention.ts';
import { type Ground, ScriptReading } from '../script/reading.ts';
import type { Place } from '../script/text.ts';
import type { Step } from './origin.ts';
import { groundOf, readScriptFile } from './script-files.ts';

/** The command of a run, as it was given. */
export interface GivenCommand {
  /** The program as it was found first, then its arguments. */
  readonly argv: readonly string[];
  readonly cwd: string;
  /** Its PATH. */
  readonly path: string;
  /** Its HOME; null where it has none. */
  readonly home: string | null;
}

/** Scripts that are read while the run goes on; a deploy that makes more of them is read in part. */
const MOST_LATER = 500;
/** A command line is no file. */
const NO_FILES: Ground = {
  cwd: '/',
  read: () => ({ kind: 'missing' }),
  isTool: () => true,
  name: (path) => path,
};
const LINE: Place = { file: 'argv', line: 1 };

/**
 * What a run names: in its scripts, which are read before the command starts and when one is run that was not
 * foreseen, and on command lines. Asked while a caller waits, so it has everything in memory.
 */
export class Naming {
  readonly #command: GivenCommand;
  readonly #ground: Ground;
  readonly #reading: ScriptReading;
  readonly #lines = new WeakMap<readonly string[], Findings>();
  #later = 0;

  constructor(command: GivenCommand) {
    this.#command = command;
    this.#ground = groundOf({ ...command, script: scriptGiven(command) });
    this.#reading = new ScriptReading(this.#ground);
    this.#reading.command(command.argv);
  }

  /** Programs that the scripts call by bare name. */
  get programs(): string[] {
    return [...this.#reading.findings.programs.keys()];
  }

  readonly isTool = (path: string): boolean => this.#ground.isTool(resolve(this.#command.cwd, path));

  /** Reads the script that a process has begun to run, if it is the deployment's and was not read yet. */
  began({ image, origin, script }: Step): void {
    if (origin !== 'own' || script === null || this.#later >= MOST_LATER) return;
    const path = resolve(script.startsWith('/') ? '/' : directoryOf(image.pid, this.#command.cwd), script);
    if (this.#reading.files.has(path)) return;
    this.#later++;
    this.#reading.script(path, readInvocation(image.argv ?? [])?.language ?? null);
  }

  /** Where in a script a destination is named. */
  inScripts(names: readonly Name[], address: Address | null): Place | null {
    return this.#reading.findings.find(names, address);
  }

  /** Whether a command line names a destination. */
  onLine(argv: readonly string[], names: readonly Name[], address: Address | null): boolean {
    let found = this.#lines.get(argv);
    if (!found) {
      const reading = new ScriptReading(NO_FILES);
      reading.command(argv, LINE);
      found = reading.findings;
      this.#lines.set(argv, found);
    }
    return found.find(names, address) !== null;
  }
}

/** The script of a command line, as it was given there. */
function scriptGiven({ argv, cwd }: GivenCommand): string | null {
  let line = argv;
  for (let at = wrappedAt(line); at !== null; at = wrappedAt(line)) line = line.slice(at);
  const invocation: Invocation | null = readInvocation(line);
  if (invocation) return invocation.source === 'file' ? (line[invocation.index] ?? null) : null;
  return line[0] && readScriptFile(resolve(cwd, line[0])).kind === 'text' ? line[0] : null;
}

/** Where a process is; where the run began, if it is gone. */
function directoryOf(pid: number, otherwise: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return otherwise;
  }
}
