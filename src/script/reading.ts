import { Budget } from './budget.ts';
import { type Language, languageOf } from './invocation.ts';
import { readJavascript } from './javascript.ts';
import type { CodeReader } from './literals.ts';
import { Findings } from './mention.ts';
import { baseOf, directoryOf, resolvePath } from './path.ts';
import { readPython } from './python.ts';
import { scan } from './scan.ts';
import { walkCommand, walkShell } from './shell.ts';
import { isNowhere, Lines, locator, NOWHERE, type Place, type Text } from './text.ts';
import { readTold, type ToldText } from './told.ts';
import { Variables } from './variables.ts';
import type { FileRequest, Source, State, World } from './walker.ts';

/** A file as the ground gives it; `refused` is one that is not looked at. */
export type FileText = There | { readonly kind: 'missing' };

type There =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'large' | 'binary' | 'refused' };

/** Where scripts lie, as far as a reading may look: the only way it has to any file. */
export interface Ground {
  /** Absolute. */
  readonly cwd: string;
  read(path: string): FileText;
  /** Whether a file is a program of this host, installed for all, and not the deployment's own. */
  isTool(path: string): boolean;
  /** A file as people name it. */
  name(path: string): string;
}

const STEPS = 400_000;
const MOST_FILES = 200;
const MOST_CHARACTERS = 16 * 1024 * 1024;
/** A library sourced by many scripts is walked so often, each time with what is known there. */
const MOST_SOURCED = 5;
const MOST_ASSIGNED = 5000;

const ENDINGS: Readonly<Record<string, Language>> = {
  ...{ sh: 'shell', bash: 'shell', ksh: 'shell', py: 'python', js: 'node', mjs: 'node', cjs: 'node' },
};

interface Waiting {
  readonly path: string;
  readonly text: string;
  readonly language: Language;
  readonly state: State;
}

/**
 * Reads scripts and what they run, by constant path, and finds the hosts they name. Nothing is executed, and what
 * work a script can cause is bounded.
 */
export class ScriptReading implements World {
  readonly findings = new Findings();
  readonly budget = new Budget(STEPS);
  /** Every file that was read, by path. */
  readonly files = new Set<string>();
  readonly #ground: Ground;
  readonly #waiting: Waiting[] = [];
  readonly #sourced = new Map<string, number>();
  readonly #assigned = new Map<string, Text[]>();
  readonly #looked = new Set<string>();
  #characters = 0;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  /** Reads a script and all it leads to. Anything but `text`: it could not be read. */
  script(path: string, language: Language | null = null): FileText['kind'] {
    const file = this.#ground.read(path);
    if (file.kind !== 'text') return file.kind;
    const state = { variables: new Variables(), cwd: this.#ground.cwd };
    this.#wait(
      path,
      file.text,
      { candidates: [], place: this.#top(path), language, cwd: state.cwd },
      state.variables,
    );
    this.#follow();
    return 'text';
  }

  /**
   * Reads the scripts that a command line runs, as a script would have it. What the line itself says stands at
   * `place`; without one it is in no findings, and the script is read wherever it is installed.
   */
  command(argv: readonly string[], place = NOWHERE): void {
    const { cwd } = this.#ground;
    const state = { variables: new Variables(), cwd, script: null, main: null };
    this.#bounded(place, () => walkCommand(this, argv, place, state));
    this.#follow();
  }

  run(request: FileRequest, variables: Variables): void {
    const found = this.#find(request);
    if (!found) return;
    const { path, file } = found;
    const own = isNowhere(request.place) || !this.#ground.isTool(path);
    if (!own || file.kind === 'binary') this.findings.program(path, request.place);
    else if (file.kind === 'text') this.#wait(path, file.text, request, variables);
    else this.#unread(path, file.kind, request.place);
  }

  source(request: FileRequest): { path: string; source: Source } | null {
    const found = this.#find(request);
    if (!found) return null;
    const { path, file } = found;
    const times = this.#sourced.get(path) ?? 0;
    if (file.kind === 'text' && times < MOST_SOURCED && this.#takes(path, file.text)) {
      this.#sourced.set(path, times + 1);
      return { path, source: this.#sourceOf(path, file.text) };
    }
    if (file.kind !== 'text') this.#unread(path, file.kind, request.place);
    return null;
  }

  code(text: Text, language: Exclude<Language, 'shell'>): void {
    const whole = text.map((piece) => piece.text ?? '').join('');
    this.#read(whole, language, { placeOf: locator(text), module: () => {} });
  }

  tell(path: string, kind: ToldText['kind']): void {
    const file = this.files.has(path) ? null : this.#ground.read(path);
    if (file?.kind !== 'text' || !this.#takes(path, file.text)) return;
    const told = { kind, file: this.#ground.name(path), text: file.text };
    const state = { variables: new Variables(), cwd: directoryOf(path), script: null, main: null };
    readTold(told, this, (code) =>
      walkShell(
        this,
        { text: code.map((piece) => piece.text ?? '').join(''), placeOf: locator(code) },
        state,
      ),
    );
  }

  assigned(name: string, values: readonly Text[]): void {
    for (const text of values) scan(text, this.findings, 'said');
    const before = this.#assigned.get(name);
    if (before && before.length < 100) before.push(...values);
    else if (!before && this.#assigned.size < MOST_ASSIGNED) this.#assigned.set(name, [...values]);
  }

  read(name: string): void {
    this.#looked.add(name);
  }

  #follow(): void {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      const waiting = next;
      this.#bounded(this.#top(waiting.path), () => this.#walk(waiting));
    }
    // A variable that nothing here looks at is there for somebody else.
    for (const [name, values] of this.#assigned)
      if (!this.#looked.has(name)) for (const text of values) scan(text, this.findings);
    if (this.budget.spent) this.findings.complete = false;
  }

  #walk({ path, text, language, state }: Waiting): void {
    const source = this.#sourceOf(path, text);
    if (language === 'shell') {
      walkShell(this, source, state);
      return;
    }
    const module = (name: string) => this.#module(directoryOf(path), name, language);
    this.#read(text, language, { placeOf: source.placeOf, module });
  }

  /** Nesting is bounded, and the stack may be smaller still: what is beyond it is left out, and that is said. */
  #bounded(place: Place, walk: () => void): void {
    try {
      walk();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.findings.cannotTell('unread', 'what follows: it is too nested to follow', place);
      this.findings.complete = false;
    }
  }

  #read(
    text: string,
    language: Exclude<Language, 'shell'>,
    where: Pick<CodeReader, 'placeOf' | 'module'>,
  ): void {
    const reader: CodeReader = {
      ...where,
      literal: (pieces, said) => {
        if (!said && this.budget.spend()) scan(pieces, this.findings);
      },
    };
    if (language === 'python') readPython(text, reader);
    else readJavascript(text, reader);
  }

  /** A module beside the script; one that is not there is a package. */
  #module(directory: string, name: string, language: Language): void {
    const candidates = language === 'python' ? pythonModules(name) : nodeModules(name);
    for (const candidate of candidates) {
      const path = resolvePath(directory, candidate);
      const file = this.files.has(path) ? null : this.#ground.read(path);
      if (file?.kind !== 'text') continue;
      const request = { candidates: [], place: this.#top(path), language, cwd: null };
      this.#wait(path, file.text, request, new Variables());
      return;
    }
  }

  #find({ candidates, place }: FileRequest): { path: string; file: There } | null {
    for (const path of candidates) {
      const file = this.#ground.read(path);
      if (file.kind !== 'missing') return { path, file };
    }
    const [path] = candidates;
    if (path !== undefined)
      this.findings.cannotTell('unread', `\`${this.#ground.name(path)}\`: there is no such file now`, place);
    return null;
  }

  #wait(path: string, text: string, request: FileRequest, variables: Variables): void {
    const language = request.language ?? languageIn(path, text);
    if (this.files.has(path)) return;
    if (language === null) {
      const [, program = ''] = /^#!\s*(\S+(?:\s+\S+)?)/.exec(text) ?? [];
      this.findings.cannotTell(
        'unread',
        `\`${this.#ground.name(path)}\`: a script for \`${program}\``,
        request.place,
      );
    } else if (this.#takes(path, text))
      this.#waiting.push({
        path,
        text,
        language,
        state: { variables, cwd: request.cwd, script: path, main: path },
      });
  }

  /** False: there would be too much to read. */
  #takes(path: string, text: string): boolean {
    if (
      !this.files.has(path) &&
      (this.files.size >= MOST_FILES || this.#characters + text.length > MOST_CHARACTERS)
    ) {
      this.findings.cannotTell(
        'unread',
        `\`${this.#ground.name(path)}\`: there are too many files`,
        this.#top(path),
      );
      this.findings.complete = false;
      return false;
    }
    if (!this.files.has(path)) this.#characters += text.length;
    this.files.add(path);
    return true;
  }

  #unread(path: string, kind: Exclude<There['kind'], 'text'>, place: Place): void {
    const why = { large: 'too large', binary: 'not text', refused: 'not a file that can be read' }[kind];
    this.findings.cannotTell('unread', `\`${this.#ground.name(path)}\`: ${why}`, place);
  }

  #sourceOf(path: string, text: string): Source {
    const lines = new Lines(text);
    const file = this.#ground.name(path);
    return { text, placeOf: (offset) => ({ file, line: lines.at(offset) }) };
  }

  #top(path: string): Place {
    return { file: this.#ground.name(path), line: 1 };
  }
}

/** By the first line; without one that says it, by the ending; otherwise for a shell. Null: for what is not read here. */
function languageIn(path: string, text: string): Language | null {
  const [, program, argument] = /^#!\s*(\S+)(?:\s+(?:-S\s+)?(\S+))?/.exec(text) ?? [];
  if (program === undefined) return ENDINGS[/\.(\w+)$/.exec(path)?.[1] ?? ''] ?? 'shell';
  return languageOf(baseOf(baseOf(program) === 'env' ? (argument ?? '') : program));
}

function pythonModules(name: string): string[] {
  const [, dots = '', rest = ''] = /^(\.*)(.*)$/.exec(name) ?? [];
  const path = '../'.repeat(Math.max(0, dots.length - 1)) + rest.replaceAll('.', '/');
  return rest === '' ? [] : [`${path}.py`, `${path}/__init__.py`];
}

function nodeModules(name: string): string[] {
  if (!/^\.{1,2}\//.test(name)) return [];
  return [name, `${name}.js`, `${name}.mjs`, `${name}.cjs`, `${name}/index.js`];
}
