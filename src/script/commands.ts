import { BUILTINS } from './builtins.ts';
import { nameHosts } from './host-programs.ts';
import { type Invocation, readInvocation, wrappedAt } from './invocation.ts';
import { baseOf, resolvePath } from './path.ts';
import { scan, shown } from './scan.ts';
import { constant, type Text, UNKNOWN } from './text.ts';
import { toldFiles } from './told-files.ts';
import {
  type Argument,
  type Call,
  candidatesOf,
  type FileRequest,
  type State,
  type Walker,
} from './walker.ts';

/** Programs that only look at the text they are given. */
const INSPECTORS = new Set([
  '[',
  '[[',
  'awk',
  'case',
  'egrep',
  'expr',
  'fgrep',
  'gawk',
  'grep',
  'jq',
  'mawk',
  'sed',
  'test',
  'tr',
  'yq',
]);
/** Programs that say their arguments to people, if what they print goes nowhere else. */
const SPEAKERS = new Set(['echo', 'logger', 'printf', 'wall', ':']);
/** What shells do themselves: no programs. */
const SHELLS_OWN = new Set(
  `: . [ alias bg bind break builtin caller command compgen complete continue dirs disown echo enable exec exit false
   fg hash help history jobs kill let logout printf pwd return shopt suspend test times true type ulimit umask
   unalias wait`.split(/\s+/),
);
/** Wrappers within wrappers. */
const MOST_NESTED = 12;

/** Performs a command: finds the hosts on its line, and follows it where it leads. Gives what it prints, if known. */
export function perform(walker: Walker, call: Call, nested = 0): readonly Text[] | null {
  const { findings } = walker.world;
  const [command] = call.args;
  if (!command || nested > MOST_NESTED) return null;
  const name = command.text;
  const called = name === null ? null : walker.call(name, call);
  // What a function is given shows where it uses it.
  if (called) return called.printed;
  const argv = call.args.map(({ text }) => text);
  const invocation = name === null ? null : readInvocation(argv);
  const code = invocation?.source === 'inline' ? call.args[invocation.index] : undefined;
  if (name === null || !SPEAKERS.has(name) || call.output === 'elsewhere')
    for (const arg of call.args)
      if (arg !== code)
        for (const text of arg.readings)
          scan(text, findings, INSPECTORS.has(name ?? '') ? 'said' : 'certain');
  if (name === null) return performUnnamed(walker, call);
  const inner = wrappedAt(argv);
  if (inner !== null) {
    if (!SHELLS_OWN.has(name)) findings.program(name, call.place);
    return perform(walker, { ...call, args: call.args.slice(inner) }, nested + 1);
  }
  if (Object.hasOwn(BUILTINS, name)) return BUILTINS[name]?.(walker, call) ?? null;
  if (invocation) interpret(walker, call, invocation);
  else if (name.includes('/')) runFile(walker, command, null);
  else if (!SHELLS_OWN.has(name)) findings.program(name, call.place);
  nameHosts(baseOf(name), call.args.slice(1), findings);
  for (const { path, kind } of toldFiles(baseOf(name), argv.slice(1)))
    if (walker.state.cwd !== null) walker.world.tell(resolvePath(walker.state.cwd, path), kind);
  return null;
}

/** A command whose name has several readings, or none that is known. */
function performUnnamed(walker: Walker, { args: [command], place }: Call): null {
  const names = command?.readings ?? [];
  const paths = names.map(constant).filter((name) => name?.includes('/') && !name.includes(UNKNOWN));
  if (command && paths.length > 0 && paths.length === names.length) runFile(walker, command, null);
  else walker.world.findings.cannotTell('later', `the command ${shown(command?.raw ?? '')}`, place);
  return null;
}

function interpret(walker: Walker, call: Call, { language, source, index }: Invocation): void {
  const { world } = walker;
  const [interpreter] = call.args;
  const word = call.args[index];
  const name = interpreter?.text ?? language;
  const code = (texts: readonly Text[]) => {
    for (const text of texts)
      if (language === 'shell') walker.inline(text, ofChild(walker.state));
      else world.code(text, language);
  };
  world.findings.program(baseOf(name), call.place);
  if (source === 'file' && word) runFile(walker, word, language);
  else if (source === 'inline' && word) code(word.readings);
  else if (source === 'input' && call.input === 'unknown')
    world.findings.cannotTell('downloaded', `what ${shown(baseOf(name))} is given to run`, call.place);
  else if (source === 'input' && call.input !== null && call.input !== 'unknown') code(call.input);
}

/** A shell of its own knows what is exported. */
function ofChild(state: State): State {
  return { ...state, variables: state.variables.exported() };
}

function runFile(walker: Walker, word: Argument, language: FileRequest['language']): void {
  const { world, state } = walker;
  for (const reading of word.readings) {
    const path = constant(reading);
    if (path === null || /[*?[]/.test(path))
      world.findings.cannotTell('later', `the file ${shown(word.raw)}`, word.place);
    else {
      const request = { candidates: candidatesOf(state, path), place: word.place, language, cwd: state.cwd };
      world.run(request, state.variables.exported());
    }
  }
}
