import { baseOf, directoryOf, resolvePath } from './path.ts';
import { scan, shown } from './scan.ts';
import { constant, known, type Text } from './text.ts';
import { ANYTHING } from './variables.ts';
import { type Argument, type Call, candidatesOf, spoken, type Walker } from './walker.ts';

/** What a builtin, or a small program that scripts put paths together with, does and prints. */
type Builtin = (walker: Walker, call: Call) => readonly Text[] | null;

/** Those that matter for which hosts and files a script names. */
export const BUILTINS: Readonly<Record<string, Builtin>> = {
  '.': source,
  source,
  basename: (_, { args }) => pathFunction(args, baseOf),
  cat: (_, { args, input }) => (args.length === 1 && input !== 'unknown' ? input : null),
  cd: changeDirectory,
  declare: exportNames,
  dirname: (_, { args }) => pathFunction(args, directoryOf),
  echo: (_, { args }) => spoken(args.slice(1).filter(({ text }) => !/^-[neE]+$/.test(text ?? ''))),
  eval: (walker, { args }) => last(spoken(args.slice(1)).map((text) => walker.inline(text, walker.state))),
  export: exportNames,
  getopts: (walker, { args }) => forget(walker, args.slice(2, 3)),
  local: () => null,
  mapfile: (walker, { args }) => forget(walker, args.slice(-1)),
  popd: goAnywhere,
  printf: print,
  pushd: changeDirectory,
  pwd: ({ state }, { place }) => (state.cwd === null ? null : [known(state.cwd, place)]),
  read: (walker, { args }) => forget(walker, args.slice(1)),
  readarray: (walker, { args }) => forget(walker, args.slice(-1)),
  readlink: ({ state }, { args }) => whole(state.cwd, args),
  readonly: () => null,
  realpath: ({ state }, { args }) => whole(state.cwd, args),
  set: setWords,
  shift,
  su: otherUser,
  trap: (walker, { args }) => walker.inline(args[1]?.readings[0] ?? [], walker.fork()),
  typeset: () => null,
  unset: (walker, { args }) => forget(walker, args.slice(1)),
};

function source(walker: Walker, { args: [, file, ...rest], place }: Call): null {
  for (const reading of file?.readings ?? []) {
    const path = constant(reading);
    if (path === null || /[*?[]/.test(path))
      walker.world.findings.cannotTell('later', `the sourced file ${shown(file?.raw ?? '')}`, place);
    else {
      const { state } = walker;
      walker.source(
        { candidates: candidatesOf(state, path), place, language: 'shell', cwd: state.cwd },
        rest,
      );
    }
  }
  return null;
}

function changeDirectory({ state }: Walker, { args }: Call): null {
  const path =
    args.slice(1).find(({ text }) => text === null || !/^-[LPe@n]+$|^--$/.test(text))?.text ?? null;
  if (path === null || path === '-') state.cwd = null;
  else if (path.startsWith('/') || state.cwd !== null) state.cwd = resolvePath(state.cwd ?? '/', path);
  return null;
}

function goAnywhere({ state }: Walker): null {
  state.cwd = null;
  return null;
}

function exportNames({ state, world }: Walker, { args }: Call): null {
  const options = args.slice(1).filter(({ text }) => text?.startsWith('-'));
  const exports = args[0]?.text === 'export' || options.some(({ text }) => text?.includes('x'));
  if (!exports) return null;
  for (const { text } of args.slice(1)) {
    if (text === null || text.startsWith('-')) continue;
    state.variables.export(text);
    for (const value of state.variables.get(text).values) scan(value, world.findings);
  }
  return null;
}

function setWords({ state }: Walker, { args }: Call): null {
  const flags = args.slice(1).map(({ text }) => text);
  if (flags.some((text) => text !== null && /^-\w*a/.test(text))) state.variables.exportsAll = true;
  if (flags.some((text) => text !== null && /^\+\w*a/.test(text))) state.variables.exportsAll = false;
  const dashes = flags.indexOf('--');
  if (dashes >= 0) setPositional(state, args.slice(dashes + 2));
  return null;
}

/** `$1` and the others, as `$@`. */
export function setPositional({ variables }: Walker['state'], args: readonly Argument[]): void {
  variables.set('@', { values: [], open: false, items: args.map(({ readings }) => readings) });
}

function shift({ state }: Walker, { args }: Call): null {
  const { items, open } = state.variables.get('@');
  const count = Number(args[1]?.text ?? 1);
  if (items && !open && Number.isInteger(count))
    state.variables.set('@', { values: [], open, items: items.slice(count) });
  return null;
}

function forget({ state }: Walker, args: readonly Argument[]): null {
  for (const { text } of args)
    if (text !== null && !text.startsWith('-')) state.variables.set(text, ANYTHING);
  return null;
}

function otherUser(walker: Walker, { args }: Call): null {
  const at = args.findIndex(({ text }) => text !== null && /^(-c|--command|-\w*c)$/.test(text));
  for (const text of at > 0 ? (args[at + 1]?.readings ?? []) : []) walker.inline(text, walker.fork());
  return null;
}

function print({ state }: Walker, { args }: Call): readonly Text[] | null {
  const [, format, ...values] = args;
  if (format?.text === '-v') {
    const name = values[0]?.text;
    if (name != null) state.variables.set(name, ANYTHING);
    return null;
  }
  if (format?.text == null) return null;
  if (/^%s(\\n)?$/.test(format.text) && values.length === 1) return values[0]?.readings ?? null;
  return values.length === 0 && !/[%\\]/.test(format.text) ? format.readings : null;
}

function pathFunction(args: readonly Argument[], change: (path: string) => string): readonly Text[] | null {
  const path = args.slice(1).find(({ text }) => text !== '--');
  const extra = args.length > 3 || (args.length === 3 && args[1]?.text !== '--');
  if (!path || path.text === null || extra) return null;
  return [known(change(path.text), path.place)];
}

/** As `readlink -f` and `realpath`, where no link is on the way. */
function whole(cwd: string | null, args: readonly Argument[]): readonly Text[] | null {
  const path = args.slice(1).find(({ text }) => text !== null && !text.startsWith('-'));
  if (!path?.text || args.slice(1).some(({ text }) => text === null)) return null;
  if (!path.text.startsWith('/') && cwd === null) return null;
  return [known(resolvePath(cwd ?? '/', path.text), path.place)];
}

function last(all: readonly (readonly Text[] | null)[]): readonly Text[] | null {
  return all.at(-1) ?? null;
}
