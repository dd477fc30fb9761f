import type { Budget } from './budget.ts';
import type { Language } from './invocation.ts';
import type { Findings } from './mention.ts';
import { directoryOf, resolvePath } from './path.ts';
import { join, NOWHERE, type Place, type Text } from './text.ts';
import type { Variables } from './variables.ts';

/** A script's text and where its characters stand. */
export interface Source {
  readonly text: string;
  placeOf(offset: number): Place;
}

/** What shell code changes as it runs: one for each process, and for each way that may be gone. */
export interface State {
  variables: Variables;
  /** Null: not known. */
  cwd: string | null;
  /** The file whose code this is, and the one that was started, which `$0` is; null for code without one. */
  readonly script: string | null;
  readonly main: string | null;
}

/** Where what a command prints goes; what it says to people names nothing. */
export type Output = 'people' | 'elsewhere';

/** A file that a script runs or sources, with the places it may be at, the likeliest first. */
export interface FileRequest {
  readonly candidates: readonly string[];
  readonly place: Place;
  /** As the interpreter that is to run it says; null: as the file does. */
  readonly language: Language | null;
  /** Where it runs; null: not known. */
  readonly cwd: string | null;
}

/** What all scripts of a reading share. */
export interface World {
  readonly findings: Findings;
  readonly budget: Budget;
  /** A variable of this name is given these values. */
  assigned(name: string, values: readonly Text[]): void;
  /** A variable of this name is looked at. */
  read(name: string): void;
  /** Has a file read that runs as a process of its own. */
  run(request: FileRequest, variables: Variables): void;
  /** The text of a file to source; null where there is none, which is then on record. */
  source(request: FileRequest): { readonly path: string; readonly source: Source } | null;
  /** Code in another language on a command line, or in a heredoc. */
  code(text: Text, language: Exclude<Language, 'shell'>): void;
  /** A file that tells a tool what to fetch: `Makefile`, `package.json`, … */
  tell(path: string, kind: 'makefile' | 'package' | 'list'): void;
}

/** One word of a command line: each reading of it, and what it is when there is only one. */
export interface Argument {
  readonly readings: readonly Text[];
  readonly text: string | null;
  /** As the script writes it. */
  readonly raw: string;
  readonly place: Place;
}

/** One command line as it stands. */
export interface Call {
  /** The command first; at least one. */
  readonly args: readonly Argument[];
  /** What it reads: readings of it where they are known, `unknown` from elsewhere; null is what the script reads. */
  readonly input: readonly Text[] | 'unknown' | null;
  readonly output: Output;
  readonly place: Place;
}

/** Walks shell code. What it returns is what the code prints, where that is known. */
export interface Walker {
  readonly world: World;
  readonly state: State;
  /** Shell code in a string: `eval`, `bash -c`, a heredoc that a shell reads. */
  inline(text: Text, state: State): readonly Text[] | null;
  /** A file that is sourced. */
  source(request: FileRequest, args: readonly Argument[]): void;
  /** A function of the script; null: there is none of this name, or it was followed often enough. */
  call(name: string, call: Call): { readonly printed: readonly Text[] | null } | null;
  fork(): State;
}

/** Where a path may lead: from the working directory, and where that is not known or it is not there, beside the script. */
export function candidatesOf({ cwd, script }: State, path: string): string[] {
  if (path.startsWith('/')) return [resolvePath('/', path)];
  const from = [cwd, script === null ? null : directoryOf(script)].filter((place) => place !== null);
  return [...new Set(from.map((directory) => resolvePath(directory, path)))];
}

/** Arguments as one text, with spaces between. */
export function spoken(args: readonly Argument[]): readonly Text[] {
  const place = args[0]?.place ?? NOWHERE;
  const space = { text: ' ', place };
  return [
    join(args.map(({ readings }, i) => (i === 0 ? (readings[0] ?? []) : [space, ...(readings[0] ?? [])]))),
  ];
}
