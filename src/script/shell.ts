import {
  type AndOr,
  type Case,
  type Command,
  forEachChild,
  type If,
  type ParsedScript,
  type Pipeline,
  parse,
  type Statement,
  type SyntaxNode,
} from 'unbash';
import { setPositional } from './builtins.ts';
import { perform } from './commands.ts';
import { expand, type Scene } from './expand.ts';
import { type Defined, Functions, isFresh } from './functions.ts';
import { languageOf } from './invocation.ts';
import { baseOf } from './path.ts';
import { scan } from './scan.ts';
import { ShellScene } from './shell-scene.ts';
import { assignLoop, assignTo, commandLine, redirect, type Streams } from './shell-words.ts';
import { known, locator, type Place, placeAt, spell, type Text, unknown } from './text.ts';
import type { Argument, Call, FileRequest, Source, State, Walker, World } from './walker.ts';

/** The parser takes the square of their number. */
const MOST_HEREDOCS = 10_000;
/** Expressions within expressions. */
const MOST_LOOKED = 100;

type Printed = readonly Text[] | null;

const TERMINAL: Streams = { input: null, output: 'people' };
const CAPTURED: Streams = { input: null, output: 'elsewhere' };

/** Walks a shell script: finds its hosts, and what it runs. */
export function walkShell(world: World, source: Source, state: State): void {
  new ShellWalk(world, source, state, 0).whole();
}

/** Performs a command line as if a script had it. */
export function walkCommand(world: World, argv: readonly string[], place: Place, state: State): void {
  const source = { text: '', placeOf: () => place };
  const args = argv.map((text) => ({ readings: [known(text, place)], text, raw: text, place }));
  perform(new ShellWalk(world, source, state, 0), { args, ...TERMINAL, place });
}

class ShellWalk extends ShellScene implements Walker {
  readonly #functions: Functions;

  constructor(world: World, code: Source, state: State, depth: number, functions = new Functions()) {
    super(world, code, state, depth);
    this.#functions = functions;
  }

  /** The whole source; and at the end of all, those of its functions that nothing called. */
  whole(): Printed {
    const script = this.#parse();
    if (!script) return null;
    const printed = this.#list(script.commands, TERMINAL);
    if (this.depth === 0)
      for (const defined of this.#functions.uncalled) this.#enter(defined, null, TERMINAL);
    return printed;
  }

  #parse(): ParsedScript | null {
    const { text } = this.code;
    const complain = (why: string, offset = 0) =>
      this.world.findings.cannotTell('unread', why, this.placeOf(offset));
    if (text.split('<<', MOST_HEREDOCS + 1).length > MOST_HEREDOCS) {
      complain('the script: it has too many heredocs');
      return null;
    }
    try {
      const script = parse(text);
      const [error] = script.errors ?? [];
      if (error) complain(`not all of the script: ${error.message}`, error.pos);
      return script;
    } catch (error) {
      // Nested beyond what the parser, or this machine's stack, can bear.
      complain(`the script: ${(error as Error).message}`);
      return null;
    }
  }

  output(part: Parameters<Scene['output']>[0]): readonly Text[] {
    const place = this.placeOf(part.pos);
    const script = this.mayParse(part) ? part.script : undefined;
    if (!script) return [unknown(place)];
    // Escaped backticks have a text of their own, without lines that could be told apart.
    const code = script.source === undefined ? this.code : { text: script.source, placeOf: () => place };
    const printed = this.#with(code, this.fork()).#list(script.commands, CAPTURED);
    return printed?.map(withoutLastLines) ?? [unknown(place)];
  }

  process(part: Parameters<Scene['process']>[0]): void {
    const script = this.mayParse(part) ? part.script : undefined;
    if (script) this.#with(this.code, this.fork()).#list(script.commands, CAPTURED);
  }

  inline(text: Text, state: State): Printed {
    if (!this.mayGoOn(placeAt(text, 0))) return null;
    return this.#with({ text: spell(text), placeOf: locator(text) }, state).whole();
  }

  source(request: FileRequest, args: readonly Argument[]): void {
    const found = this.mayGoOn(request.place) ? this.world.source(request) : null;
    if (!found) return;
    const state = { ...this.state, script: found.path };
    if (args.length > 0) {
      state.variables = this.state.variables.copy();
      setPositional(state, args);
    }
    this.#with(found.source, state).whole();
    this.state.cwd = state.cwd;
  }

  call(name: string, { args, input, output }: Call): { printed: Printed } | null {
    const defined = this.#functions.get(name);
    if (!defined) return null;
    // Past that, what it is given is looked at here, if it led to anything before.
    if (!isFresh(defined)) return defined.names ? null : { printed: null };
    return { printed: this.#enter(defined, args.slice(1), { input, output }) };
  }

  #enter(defined: Defined, args: readonly Argument[] | null, streams: Streams): Printed {
    const { node, source } = defined;
    defined.calls++;
    // One that calls itself was followed before.
    if (this.tooDeep || !this.mayGoOn(source.placeOf(node.pos))) return null;
    const { variables } = this.state;
    const { findings } = this.world;
    const before = { positional: variables.get('@'), found: findings.size };
    if (args) setPositional(this.state, args);
    else variables.forget('@');
    const printed = this.#with(source, this.state).#node(node.body, streams);
    variables.set('@', before.positional);
    defined.names ||= findings.size > before.found;
    return printed;
  }

  #with(code: Source, state: State): ShellWalk {
    return new ShellWalk(this.world, code, state, this.depth + 1, this.#functions);
  }

  #list(statements: readonly Statement[], streams: Streams): Printed {
    const printed = statements.map(({ command }) => this.#node(command, streams));
    const told = printed.filter((one) => one !== null);
    return told.length === 1 ? (told[0] ?? null) : null;
  }

  #node(node: SyntaxNode, streams: Streams): Printed {
    if (!this.spend()) {
      this.mayGoOn(this.placeOf(node.pos));
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
        return this.#with(this.code, this.fork()).#node(node.body, streams);
      case 'Redirected':
        return this.#node(node.command, redirect(node.redirects, streams, this));
      case 'If':
        return this.#if(node, streams);
      case 'Case':
        return this.#case(node, streams);
      case 'For':
      case 'Select':
        assignLoop(node.name.value, node.wordlist, this);
        return this.#maybe([node.body], streams);
      case 'While':
        this.#node(node.clause, streams);
        return this.#maybe([node.body], streams);
      case 'ArithmeticFor':
        return this.#maybe([node.body], streams);
      case 'Function':
        this.#functions.define(node, this.code);
        return null;
      case 'Coproc':
        return this.#with(this.code, this.fork()).#node(node.body, { ...CAPTURED, input: 'unknown' });
      default:
        this.#look(node);
        return null;
    }
  }

  /** Expressions: what commands are in them is run, and what words are in them names nothing for certain. */
  #look(node: SyntaxNode, depth = 0): void {
    if (!this.spend() || depth > MOST_LOOKED) return;
    if (node.type === 'Word') for (const text of expand(node, this)) scan(text, this.world.findings, 'said');
    else if (node.type === 'ArithmeticCommandExpansion') this.output({ ...node, type: 'CommandExpansion' });
    else forEachChild(node, (child) => this.#look(child, depth + 1));
  }

  #pipeline({ commands }: Pipeline, streams: Streams): Printed {
    let printed: Printed = null;
    for (const [i, command] of commands.entries()) {
      const input = i === 0 ? streams.input : (printed ?? 'unknown');
      const output = i === commands.length - 1 ? streams.output : 'elsewhere';
      const walk = commands.length === 1 ? this : this.#with(this.code, this.fork());
      printed = walk.#node(command, { input, output });
    }
    return printed;
  }

  #andOr({ commands: [first, ...others] }: AndOr, streams: Streams): Printed {
    let printed = first ? this.#node(first, streams) : null;
    for (const command of others) {
      const before = this.fork().variables;
      printed = this.#node(command, streams) ?? printed;
      // It was done or not; a directory it goes to, the script counts on.
      this.state.variables.join([before, this.fork().variables]);
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
    const bodies = items.map(({ body }) => body);
    const surely = items.some(({ pattern }) => pattern.some(({ text }) => text === '*'));
    return this.#maybe(bodies, streams, surely);
  }

  /** One of these is run; unless `surely`, or none. Afterwards any of them may have been. */
  #maybe(bodies: readonly SyntaxNode[], streams: Streams, surely = false): Printed {
    const ways = bodies.map((body) => {
      const way = this.fork();
      this.#with(this.code, way).#node(body, streams);
      return way;
    });
    const all = surely ? ways : [...ways, this.fork()];
    this.state.variables.join(all.map(({ variables }) => variables));
    if (ways.some(({ cwd }) => cwd !== this.state.cwd)) this.state.cwd = null;
    return null;
  }

  #command(node: Command, streams: Streams): Printed {
    const name = node.name?.value ?? '';
    const how = { speaks: /^(cat|more|less)$/.test(name), runs: languageOf(baseOf(name)) !== null };
    const redirected = redirect(node.redirects, streams, this, how);
    const assignments = node.prefix.filter((one) => one.type === 'Assignment');
    if (!node.name) {
      for (const assignment of assignments) assignTo(assignment, this);
      return null;
    }
    const args = commandLine(node, node.name, this);
    const call = { args, place: this.placeOf(node.pos), ...redirected };
    if (assignments.length === 0) return perform(this, call);
    // For this command alone, and in its environment.
    const { state, world } = this;
    const before = this.fork().variables;
    for (const assignment of assignments) {
      assignTo(assignment, this);
      state.variables.export(assignment.name);
      for (const text of state.variables.get(assignment.name).values) scan(text, world.findings);
    }
    const printed = perform(this, call);
    state.variables = before;
    return printed;
  }
}

/** As a command substitution takes what is printed. */
function withoutLastLines(text: Text): Text {
  const last = text.at(-1);
  if (!last?.text?.endsWith('\n')) return text;
  return [...text.slice(0, -1), { ...last, text: last.text.replace(/\n+$/, '') }];
}
