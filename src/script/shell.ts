import {
  type AndOr,
  type Assignment,
  type Case,
  type Command,
  type Function as FunctionNode,
  forEachChild,
  type If,
  type ParsedScript,
  type Pipeline,
  parse,
  type Redirection,
  type Statement,
  type SyntaxNode,
  type Word,
} from 'unbash';
import { setPositional } from './builtins.ts';
import { perform } from './commands.ts';
import { expand, expandList, expandParts, type Scene } from './expand.ts';
import { languageOf } from './invocation.ts';
import { baseOf } from './path.ts';
import { scan, withoutComments } from './scan.ts';
import { constant, known, locator, type Place, placeAt, spell, type Text, unknown } from './text.ts';
import { ANYTHING, type Variable } from './variables.ts';
import type { Argument, Call, FileRequest, Output, Source, State, Walker, World } from './walker.ts';

/** Commands within commands, sources within sources, calls within calls. */
const MOST_NESTED = 60;
/** A function is followed so often: a log function is called a thousand times. */
const MOST_CALLS = 25;

type Printed = readonly Text[] | null;

interface Defined {
  readonly node: FunctionNode;
  readonly source: Source;
  calls: number;
}

/** Where the commands in sight read from and print to. */
interface Streams {
  readonly input: readonly Text[] | 'unknown' | null;
  readonly output: Output;
}

/** Where what is printed is read by people, or by nobody. */
const PEOPLE = /^\/dev\/(null|stdout|stderr|tty)$/;
const TERMINAL: Streams = { input: null, output: 'people' };

/** Walks a shell script: finds its hosts, and what it runs. */
export function walkShell(world: World, source: Source, state: State): void {
  const walk = new ShellWalk(world, source, state, new Map(), 0);
  walk.whole();
}

/** Performs a command line as if a script had it. */
export function walkCommand(world: World, argv: readonly string[], place: Place, state: State): void {
  const source = { text: '', placeOf: () => place };
  const args = argv.map((text) => ({ readings: [known(text, place)], text, place }));
  perform(new ShellWalk(world, source, state, new Map(), 0), { args, ...TERMINAL, place });
}

class ShellWalk implements Walker, Scene {
  readonly world: World;
  readonly state: State;
  readonly #source: Source;
  readonly #functions: Map<string, Defined>;
  readonly #depth: number;

  constructor(world: World, source: Source, state: State, functions: Map<string, Defined>, depth: number) {
    this.world = world;
    this.state = state;
    this.#source = source;
    this.#functions = functions;
    this.#depth = depth;
  }

  /** The whole source, and at the end those of its functions that nothing called. */
  whole(streams = TERMINAL): Printed {
    const script = this.#parse();
    if (!script) return null;
    const printed = this.#list(script.commands, streams);
    if (this.#depth > 0) return printed;
    for (const [name, defined] of this.#functions)
      if (defined.calls === 0) this.#enter(name, defined, null, TERMINAL);
    return printed;
  }

  #parse(): ParsedScript | null {
    const { findings } = this.world;
    try {
      const script = parse(this.#source.text);
      const [error] = script.errors ?? [];
      if (error)
        findings.cannotTell('unread', `not all of the script: ${error.message}`, this.placeOf(error.pos));
      return script;
    } catch (error) {
      // Nested beyond what the parser, or this machine's stack, can bear.
      findings.cannotTell('unread', `the script: ${(error as Error).message}`, this.placeOf(0));
      return null;
    }
  }

  // What words are expanded by.

  placeOf(offset: number) {
    return this.#source.placeOf(offset);
  }

  variable(name: string): Variable {
    this.world.read(name);
    const { variables, script, main, cwd } = this.state;
    const paths: Record<string, string | null> = { 0: main, BASH_SOURCE: script, PWD: cwd };
    const path = Object.hasOwn(paths, name) ? paths[name] : undefined;
    if (path !== undefined) return path === null ? ANYTHING : only(known(path, this.placeOf(0)));
    if (name === '*') return variables.get('@');
    if (!/^[1-9]\d?$/.test(name)) return variables.get(name);
    const { items, open } = variables.get('@');
    const item = open ? undefined : items?.[Number(name) - 1];
    return item ? { ...ANYTHING, values: item, open: false } : ANYTHING;
  }

  assign(name: string, values: readonly Text[]): void {
    this.state.variables.set(name, { values, open: true, items: null });
  }

  output(part: Parameters<Scene['output']>[0]): readonly Text[] {
    const place = this.placeOf(part.pos);
    const nothing = [unknown(place)];
    const { script } = part;
    if (!script || !this.#mayGoOn(place)) return nothing;
    // Escaped backticks have a text of their own, without lines that could be told apart.
    const source = script.source === undefined ? this.#source : { text: script.source, placeOf: () => place };
    const walk = this.#with(source, this.fork());
    const printed = walk.#list(script.commands, { input: null, output: 'elsewhere' });
    return printed?.map(withoutLastLines) ?? nothing;
  }

  process(part: Parameters<Scene['process']>[0]): void {
    if (!part.script || !this.#mayGoOn(this.placeOf(part.pos))) return;
    this.#with(this.#source, this.fork()).#list(part.script.commands, { input: null, output: 'elsewhere' });
  }

  // What commands are performed by.

  fork(): State {
    this.world.budget.spend(this.state.variables.size >> 3);
    return { ...this.state, variables: this.state.variables.copy() };
  }

  inline(text: Text, state: State): Printed {
    const place = placeAt(text, 0);
    if (!this.#mayGoOn(place)) return null;
    const source = { text: spell(text), placeOf: locator(text) };
    return this.#with(source, state).whole();
  }

  source(request: FileRequest, args: readonly Argument[]): void {
    const found = this.#mayGoOn(request.place) ? this.world.source(request) : null;
    if (!found) return;
    const state = { ...this.state, script: found.path };
    if (args.length > 0) state.variables = this.state.variables.copy();
    if (args.length > 0) setPositional(state, args);
    this.#with(found.source, state).whole();
    this.state.cwd = state.cwd;
  }

  call(name: string, { args, input, output }: Call): { printed: Printed } | null {
    const defined = this.#functions.get(name);
    if (!defined || defined.calls >= MOST_CALLS) return null;
    return { printed: this.#enter(name, defined, args.slice(1), { input, output }) };
  }

  #enter(name: string, defined: Defined, args: readonly Argument[] | null, streams: Streams): Printed {
    const { node, source } = defined;
    defined.calls++;
    if (!this.#mayGoOn(source.placeOf(node.pos))) return null;
    const before = this.state.variables.get('@');
    if (args) setPositional(this.state, args);
    else this.state.variables.forget('@');
    const walk = this.#with(source, this.state);
    const printed = walk.#node(node.body, streams);
    this.state.variables.set('@', before);
    // Itself while it ran, it may have become another.
    if (this.#functions.get(name) === undefined) this.#functions.set(name, defined);
    return printed;
  }

  #with(source: Source, state: State): ShellWalk {
    return new ShellWalk(this.world, source, state, this.#functions, this.#depth + 1);
  }

  #mayGoOn(place: Place): boolean {
    if (this.#depth < MOST_NESTED && !this.world.budget.spent) return true;
    this.world.findings.cannotTell('unread', 'what follows: it is too long or too nested to follow', place);
    return false;
  }

  // The code.

  #list(statements: readonly Statement[], streams: Streams): Printed {
    const printed = statements.map(({ command }) => this.#node(command, streams));
    const told = printed.filter((one) => one !== null);
    return told.length === 1 ? (told[0] ?? null) : null;
  }

  #node(node: SyntaxNode, streams: Streams): Printed {
    if (!this.world.budget.spend()) {
      this.#mayGoOn(this.placeOf(node.pos));
      return null;
    }
    switch (node.type) {
      case 'Command':
        return this.#command(node, streams);
      case 'Pipeline':
        return this.#pipeline(node, streams);
      case 'AndOr':
        return this.#andOr(node, streams);
      case 'CompoundList':
        return this.#list(node.commands, streams);
      case 'BraceGroup':
        return this.#node(node.body, streams);
      case 'Subshell':
        return this.#with(this.#source, this.fork()).#node(node.body, streams);
      case 'Redirected':
        return this.#node(node.command, this.#redirect(node.redirects, streams, false));
      case 'If':
        return this.#if(node, streams);
      case 'Case':
        return this.#case(node, streams);
      case 'For':
      case 'Select':
        this.#loopOver(node.name.value, node.wordlist);
        return this.#maybe([node.body], streams);
      case 'While':
        this.#node(node.clause, streams);
        return this.#maybe([node.body], streams);
      case 'ArithmeticFor':
        return this.#maybe([node.body], streams);
      case 'Function':
        this.#functions.set(node.name.value, { node, source: this.#source, calls: 0 });
        return null;
      case 'Coproc':
        return this.#with(this.#source, this.fork()).#node(node.body, {
          input: 'unknown',
          output: 'elsewhere',
        });
      default:
        this.#look(node);
        return null;
    }
  }

  /** Expressions: what commands are in them is run, and what words are in them names nothing for certain. */
  #look(node: SyntaxNode, depth = 0): void {
    if (!this.world.budget.spend() || depth > MOST_NESTED) return;
    if (node.type === 'Word') for (const text of expand(node, this)) scan(text, this.world.findings, 'said');
    else if (node.type === 'ArithmeticCommandExpansion') this.output({ ...node, type: 'CommandExpansion' });
    else forEachChild(node, (child) => this.#look(child, depth + 1));
  }

  #pipeline({ commands }: Pipeline, streams: Streams): Printed {
    let printed: Printed = null;
    for (const [i, command] of commands.entries()) {
      const input = i === 0 ? streams.input : (printed ?? 'unknown');
      const output = i === commands.length - 1 ? streams.output : 'elsewhere';
      const walk = commands.length === 1 ? this : this.#with(this.#source, this.fork());
      printed = walk.#node(command, { input, output });
    }
    return printed;
  }

  #andOr({ commands }: AndOr, streams: Streams): Printed {
    let printed: Printed = null;
    for (const [i, command] of commands.entries()) {
      if (i === 0) {
        printed = this.#node(command, streams);
        continue;
      }
      const before = this.state.variables.copy();
      printed = this.#node(command, streams) ?? printed;
      // It was done or not; a directory it goes to, the script counts on.
      this.state.variables.join([before, this.state.variables.copy()]);
    }
    return printed;
  }

  #if({ clause, then, elif, else: otherwise }: If, streams: Streams): Printed {
    this.#node(clause, streams);
    for (const { clause: condition } of elif) this.#node(condition, streams);
    const bodies = [then, ...elif.map((one) => one.then), ...(otherwise ? [otherwise] : [])];
    return this.#maybe(bodies, streams, otherwise !== undefined);
  }

  #case({ word, items }: Case, streams: Streams): Printed {
    for (const one of [word, ...items.flatMap(({ pattern }) => pattern)]) this.#look(one);
    return this.#maybe(
      items.map(({ body }) => body),
      streams,
    );
  }

  /** One of these is run; unless `surely`, or none. Afterwards either may have been. */
  #maybe(bodies: readonly SyntaxNode[], streams: Streams, surely = false): Printed {
    const ways = bodies.map((body) => {
      const way = this.fork();
      this.#with(this.#source, way).#node(body, streams);
      return way;
    });
    const before = this.fork();
    this.state.variables.join([...ways, ...(surely ? [] : [before])].map(({ variables }) => variables));
    if (ways.some(({ cwd }) => cwd !== this.state.cwd)) this.state.cwd = null;
    return null;
  }

  #loopOver(name: string, wordlist: readonly Word[] | undefined): void {
    if (!wordlist) {
      const { items } = this.state.variables.get('@');
      this.state.variables.set(name, items ? { values: items.flat(), open: false, items: null } : ANYTHING);
      return;
    }
    const values = wordlist.flatMap((word) => [...expandList(word, this)]);
    this.world.assigned(name, values);
    const whole = values.filter((text) => constant(text) !== null && !/[*?[]/.test(constant(text) ?? ''));
    this.state.variables.set(name, { values: whole, open: whole.length < values.length, items: null });
  }

  #command(node: Command, streams: Streams): Printed {
    const name = node.name?.value ?? '';
    const speaks = name === 'cat' || name === 'more' || name === 'less';
    const redirected = this.#redirect(node.redirects, streams, speaks, languageOf(baseOf(name)) !== null);
    const assignments = node.prefix.filter((one) => one.type === 'Assignment');
    if (!node.name) {
      for (const assignment of assignments) this.#assign(assignment);
      return null;
    }
    const args: Argument[] = this.#argument(node.name);
    const exports = /^(export|declare|typeset)$/.test(node.name.value);
    for (const arg of node.args) {
      if (arg.type === 'Word') args.push(...this.#argument(arg));
      else {
        this.#assign(arg);
        if (exports) args.push(this.#word([known(arg.name, this.placeOf(arg.pos))], arg.pos));
      }
    }
    const call = { args, place: this.placeOf(node.pos), ...redirected };
    if (assignments.length === 0) return perform(this, call);
    // For this command alone, and in its environment.
    const before = this.state.variables.copy();
    for (const assignment of assignments) {
      this.#assign(assignment);
      this.state.variables.export(assignment.name);
      for (const text of this.state.variables.get(assignment.name).values) scan(text, this.world.findings);
    }
    const printed = perform(this, call);
    this.state.variables = before;
    return printed;
  }

  #argument(word: Word): Argument[] {
    this.world.budget.spend();
    const plain = !word.parts || word.parts.every(({ type }) => /^(Literal|SingleQuoted)$/.test(type));
    const readings = plain ? expand(word, this) : expandList(word, this);
    return readings.length === 0 ? [] : [this.#word(readings, word.pos)];
  }

  #word(readings: readonly Text[], pos: number): Argument {
    this.world.budget.spend(readings.length);
    const [only, other] = readings;
    return { readings, text: only && !other ? constant(only) : null, place: this.placeOf(pos) };
  }

  #assign({ name, value, append, index }: Assignment): void {
    const before = this.state.variables.get(name);
    if (value.type === 'ArrayValue') {
      const own = value.elements.flatMap((word) => expandList(word, this).map((text) => [withoutKey(text)]));
      const items = append ? [...(before.items ?? []), ...own] : own;
      this.world.assigned(name, own.flat());
      this.state.variables.set(name, { values: [], open: append === true && before.open, items });
      return;
    }
    const values = expand(value, this);
    this.world.budget.spend(values.length);
    this.world.assigned(name, values);
    if (index) {
      const items = [...(before.items ?? []), values];
      this.state.variables.set(name, { values: [], open: true, items });
    } else if (append) {
      const whole = before.values.flatMap((text) => values.map((more) => [...text, ...more]));
      this.state.variables.set(name, { values: whole, open: before.open, items: before.items });
    } else this.state.variables.set(name, { values, open: false, items: null });
    if (this.state.variables.get(name).exported) for (const text of values) scan(text, this.world.findings);
  }

  /** `speaks`: what it reads it says; `runs`: what it reads is code, which is read as such. */
  #redirect(redirects: readonly Redirection[], streams: Streams, speaks: boolean, runs = false): Streams {
    let { input, output } = streams;
    for (const redirect of redirects) {
      if (redirect.type === 'HereDoc' || !redirect.target) continue;
      const target = expand(redirect.target, this);
      for (const text of target) scan(text, this.world.findings);
      const number = redirect.descriptor?.type === 'FileDescriptor' ? redirect.descriptor.value : null;
      if (redirect.type === 'HereString') input = target;
      else if (redirect.operator.startsWith('<')) input = (number ?? 0) === 0 ? 'unknown' : input;
      else if (
        redirect.operator !== '>&' &&
        (number ?? 1) === 1 &&
        !PEOPLE.test(constant(target[0] ?? []) ?? '')
      )
        output = 'elsewhere';
    }
    for (const redirect of redirects) {
      if (redirect.type !== 'HereDoc') continue;
      const { parts, text, pos } = redirect.body;
      const body = parts ? expandParts(parts, this) : [known(text, this.placeOf(pos))];
      if (!runs && !(speaks && output === 'people'))
        for (const one of body) scan(withoutComments(one), this.world.findings);
      if (redirect.descriptor === undefined) input = body;
    }
    return { input, output };
  }
}

function only(value: Text): Variable {
  return { ...ANYTHING, values: [value], open: false };
}

/** `[key]=value` of an array, without the key. */
function withoutKey(text: Text): Text {
  const [first, ...rest] = text;
  if (!first?.text?.startsWith('[')) return text;
  return [{ ...first, text: first.text.replace(/^\[[^\]]*\]=/, '') }, ...rest];
}

/** As a command substitution takes what is printed. */
function withoutLastLines(text: Text): Text {
  const last = text.at(-1);
  if (!last?.text?.endsWith('\n')) return text;
  return [...text.slice(0, -1), { ...last, text: last.text.replace(/\n+$/, '') }];
}
