import type { Assignment, Command, Redirection, Word } from 'unbash';
import { expand, expandArray, expandParts, splitWords } from './expand.ts';
import { scan, withoutComments } from './scan.ts';
import type { ShellScene } from './shell-scene.ts';
import { constant, join, known, type Text, UNKNOWN } from './text.ts';
import { ANYTHING } from './variables.ts';
import type { Argument, Output } from './walker.ts';

/** Where the commands in sight read from and print to. */
export interface Streams {
  readonly input: readonly Text[] | 'unknown' | null;
  readonly output: Output;
}

/** Where what is printed is read by people, or by nobody. */
const PEOPLE = /^\/dev\/(null|stdout|stderr|tty)$/;
/** Their assignments are for the programs that are started. */
const EXPORTING = /^(export|declare|typeset)$/;

/** A command line, its name first; assignments among its words are done. */
export function commandLine(node: Command, name: Word, scene: ShellScene): Argument[] {
  const args = argumentsOf(name, scene);
  const exporting = EXPORTING.test(name.value);
  for (const arg of node.args) {
    if (arg.type === 'Word') args.push(...argumentsOf(arg, scene));
    else {
      assignTo(arg, scene);
      if (exporting) args.push(argument([known(arg.name, scene.placeOf(arg.pos))], arg, scene));
    }
  }
  return args;
}

function argumentsOf(word: Word, scene: ShellScene): Argument[] {
  const array = expandArray(word, scene);
  if (array) return array.map((readings) => argument(readings, word, scene));
  const texts = expand(word, scene);
  const found = splitWords(word, texts);
  // One value is as many words as it has; of several values each is a reading of one.
  if (texts.length <= 1) return found.map((text) => argument([text], word, scene));
  return [argument(found, word, scene)];
}

function argument(
  readings: readonly Text[],
  { text: raw, pos }: { readonly text: string; readonly pos: number },
  scene: ShellScene,
): Argument {
  scene.spend(readings.length);
  const [only, other] = readings;
  const text = only && !other ? constant(only) : null;
  // Code in a string may have gaps itself.
  return { readings, text: text?.includes(UNKNOWN) ? null : text, raw, place: scene.placeOf(pos) };
}

export function assignTo({ name, value, append, index }: Assignment, scene: ShellScene): void {
  const { state, world } = scene;
  const before = state.variables.get(name);
  if (value.type === 'ArrayValue') {
    const own = value.elements.flatMap(
      (word) =>
        expandArray(word, scene) ?? splitWords(word, expand(word, scene)).map((text) => [withoutKey(text)]),
    );
    world.assigned(name, own.flat());
    const items = append ? [...(before.items ?? []), ...own] : own;
    state.variables.set(name, { values: [], open: append === true && before.open, items });
    return;
  }
  const values = expand(value, scene);
  world.assigned(name, values);
  if (index) state.variables.set(name, { values: [], open: true, items: [...(before.items ?? []), values] });
  else if (append) {
    const whole = before.values.flatMap((text) => values.map((more) => join([text, more])));
    scene.spend(whole.length);
    state.variables.set(name, { values: whole, open: before.open, items: before.items });
  } else state.variables.set(name, { values, open: false, items: null });
  if (state.variables.get(name).exported) for (const text of values) scan(text, world.findings);
}

/** What a loop goes over. */
export function assignLoop(name: string, wordlist: readonly Word[] | undefined, scene: ShellScene): void {
  const { variables } = scene.state;
  if (!wordlist) {
    const { items } = variables.get('@');
    variables.set(name, items ? { values: items.flat(), open: false, items: null } : ANYTHING);
    return;
  }
  const values = wordlist.flatMap((word) => [
    ...(expandArray(word, scene)?.flat() ?? splitWords(word, expand(word, scene))),
  ]);
  scene.world.assigned(name, values);
  const whole = values.filter((text) => !/[*?[]/.test(constant(text) ?? '*'));
  variables.set(name, { values: whole, open: whole.length < values.length, items: null });
}

/**
 * The streams of a command with its redirections. `speaks`: what it reads it says; `runs`: what it reads is code,
 * which is read as such.
 */
export function redirect(
  redirects: readonly Redirection[],
  streams: Streams,
  scene: ShellScene,
  how: { readonly speaks?: boolean; readonly runs?: boolean } = {},
): Streams {
  let { input, output } = streams;
  const { findings } = scene.world;
  for (const one of redirects) {
    if (one.type === 'HereDoc' || !one.target) continue;
    const target = expand(one.target, scene);
    for (const text of target) scan(text, findings);
    const number = one.descriptor?.type === 'FileDescriptor' ? one.descriptor.value : null;
    const aside = one.type === 'Redirect' && (one.operator === '>&' || (number ?? 1) !== 1);
    if (one.type === 'HereString') input = target;
    else if (one.operator.startsWith('<')) input = (number ?? 0) === 0 ? 'unknown' : input;
    else if (!aside && !PEOPLE.test(constant(target[0] ?? []) ?? '')) output = 'elsewhere';
  }
  for (const one of redirects) {
    if (one.type !== 'HereDoc') continue;
    const { parts, text, pos, end } = one.body;
    if (!scene.spend((end - pos) >> 6)) break;
    const body = parts ? expandParts(parts, scene) : [known(text, scene.placeOf(pos))];
    const said = how.runs || (how.speaks && output === 'people');
    if (!said) for (const each of body) scan(withoutComments(each), findings);
    if (one.descriptor === undefined) input = body;
  }
  return { input, output };
}

/** `[key]=value` of an array, without the key. */
function withoutKey(text: Text): Text {
  const [first, ...rest] = text;
  if (!first?.text?.startsWith('[')) return text;
  return [{ ...first, text: first.text.replace(/^\[[^\]]*\]=/, '') }, ...rest];
}
