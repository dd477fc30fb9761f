import type { DoubleQuotedChild, ParameterExpansionPart, Word, WordPart } from 'unbash';
import { removePattern, replaceText } from './pattern.ts';
import { constant, join, known, type Place, type Text, TextBuilder, unknown, words } from './text.ts';
import { distinct, type Variable } from './variables.ts';

/** What expanding a word needs to know of where it stands. */
export interface Scene {
  /** False: there is no more work to be done on this. */
  spend(steps: number): boolean;
  placeOf(offset: number): Place;
  variable(name: string): Variable;
  /** Sets what `${NAME:=word}` sets. */
  assign(name: string, values: readonly Text[]): void;
  /** What a command substitution prints. */
  output(part: WordPart & { type: 'CommandExpansion' }): readonly Text[];
  /** The commands of a process substitution are run. */
  process(part: WordPart & { type: 'ProcessSubstitution' }): void;
}

/** Readings of one word that are told apart; past that, one that is not known stands for the rest. */
const MOST_READINGS = 64;
const MOST_WORDS = 200;
/** What cutting a pattern off a value may take. */
const PATTERN_STEPS = 50;

/** What a word may come to, as one text. */
export function expand(word: Word, scene: Scene): readonly Text[] {
  const texts = readingsOf(word, scene);
  const length = texts.reduce(
    (sum, text) => sum + text.reduce((all, piece) => all + (piece.text?.length ?? 1), 0),
    0,
  );
  return scene.spend(1 + (length >> 6)) ? texts : [unknown(scene.placeOf(word.pos))];
}

function readingsOf(word: Word, scene: Scene): readonly Text[] {
  if (!scene.spend((word.end - word.pos) >> 6)) return [unknown(scene.placeOf(word.pos))];
  if (!word.parts) return literal(word.text, word.value, scene.placeOf(word.pos), tilde(word.text));
  return combine(word.parts.map((part, i) => expandPart(part, scene, i === 0)));
}

/** What a word comes to as a list of words: those of an array, each with its readings; null where it is no list. */
export function expandArray(word: Word, scene: Scene): readonly (readonly Text[])[] | null {
  const [only, ...others] = word.parts ?? [];
  const [part, ...rest] = (only?.type === 'DoubleQuoted' ? only.parts : word.parts) ?? [];
  if (!part || rest.length > 0 || others.length > 0) return null;
  const whole = wholeArray(part);
  return whole === null ? null : (scene.variable(whole).items?.slice(0, MOST_WORDS) ?? null);
}

/** What a word came to, as words: where it is not quoted, what it expands to is split. */
export function splitWords(word: Word, texts: readonly Text[]): readonly Text[] {
  const split = word.parts?.some(({ type }) => type.endsWith('Expansion')) ?? false;
  return split ? texts.flatMap((text) => words(text, MOST_WORDS)).slice(0, MOST_WORDS) : texts;
}

/** The array of `$@`, `${NAME[@]}` or `${NAME[*]}`, with nothing else asked of it. */
function wholeArray(part: WordPart): string | null {
  if (part.type === 'SimpleExpansion') return /^\$[@*]$/.test(part.text) ? '@' : null;
  if (part.type !== 'ParameterExpansion' || part.operation || part.prefix) return null;
  return /^[@*]$/.test(part.index?.text ?? '') ? part.parameter : null;
}

/** The parts of a heredoc, or of text in double quotes. */
export function expandParts(parts: readonly WordPart[], scene: Scene): readonly Text[] {
  return combine(parts.map((part) => expandPart(part, scene, false)));
}

function expandPart(part: WordPart | DoubleQuotedChild, scene: Scene, first: boolean): readonly Text[] {
  const place = scene.placeOf(part.pos);
  switch (part.type) {
    case 'Literal':
      return literal(part.text, part.value, place, first && tilde(part.text));
    case 'SingleQuoted':
    case 'AnsiCQuoted':
      return [known(part.value, place)];
    case 'Glob':
      return [known(part.text, place)];
    case 'DoubleQuoted':
    case 'LocaleString':
      return combine(part.parts.map((child) => expandPart(child, scene, false)));
    case 'SimpleExpansion':
      return valuesOf(scene.variable(part.text.slice(1)), place);
    case 'ParameterExpansion':
      return expandParameter(part, scene, place);
    case 'CommandExpansion':
      return scene.output(part);
    case 'BraceExpansion':
      return braces(part.text, place);
    case 'ProcessSubstitution':
      scene.process(part);
      return [unknown(place)];
    default:
      return [unknown(place)];
  }
}

function valuesOf({ values, open, items }: Variable, place: Place): readonly Text[] {
  const all = items ? items.flat() : values;
  return open || all.length === 0 ? [...all, unknown(place)] : all;
}

function expandParameter(part: ParameterExpansionPart, scene: Scene, place: Place): readonly Text[] {
  const { operation, index, prefix } = part;
  if (prefix === '#') return [unknown(place)];
  let variable = scene.variable(part.parameter);
  if (prefix === '!') {
    const names = variable.values.map(constant).filter((name) => name !== null);
    if (operation || names.length === 0 || variable.open) return [unknown(place)];
    variable = scene.variable(names[0] ?? '');
  }
  const item =
    index && !variable.open && /^\d{1,3}$/.test(index.text)
      ? variable.items?.[Number(index.text)]
      : undefined;
  const own = item ?? valuesOf(variable, place);
  if (!operation) return own;
  switch (operation.type) {
    case 'Default': {
      const operand = expand(operation.operand, scene);
      if (operation.operator.endsWith('+')) return operand;
      if (operation.operator.endsWith('?')) return own;
      const surely = variable.values.length > 0 && !variable.open;
      if (operation.operator.endsWith('=') && !surely) scene.assign(part.parameter, operand);
      return surely ? own : distinct([...own, ...operand]);
    }
    case 'Remove': {
      const pattern = expand(operation.operand, scene).map(constant);
      if (!scene.spend(own.length * PATTERN_STEPS)) return [unknown(place)];
      return own.map((text) => removePattern(text, operation.operator, pattern[0] ?? null) ?? unknown(place));
    }
    case 'Replace': {
      const [from, to] = [operation.pattern, operation.replacement].map((word) =>
        constant(expand(word, scene)[0] ?? []),
      );
      return own.map(
        (text) => replaceText(text, operation.operator, from ?? null, to ?? null) ?? unknown(place),
      );
    }
    case 'CaseModification':
      return own.map((text) =>
        text.map((piece) => ({
          ...piece,
          text: operation.operator.startsWith(',')
            ? (piece.text?.toLowerCase() ?? null)
            : (piece.text?.toUpperCase() ?? null),
        })),
      );
    default:
      return [unknown(place)];
  }
}

/** Literal text, its quoting removed; where lines are continued in it, each is a piece of its own. */
function literal(text: string, value: string, place: Place, home: boolean): readonly Text[] {
  if (home) return [join([unknown(place), known(value.replace(/^~[\w-]*/, ''), place)])];
  if (text === value || !text.includes('\\\n')) return [known(value, place)];
  let line = place.line;
  const pieces = text.split('\\\n').map((raw) => {
    const piece = { text: raw.replace(/\\([\s\S])/g, '$1'), place: { file: place.file, line } };
    line += raw.split('\n').length;
    return piece;
  });
  return pieces.map((piece) => piece.text).join('') === value ? [pieces] : [known(value, place)];
}

function tilde(text: string): boolean {
  return text.startsWith('~');
}

/** `{a,b}` and `{1..3}`; nested ones are not told apart. */
function braces(text: string, place: Place): readonly Text[] {
  const inner = text.slice(1, -1);
  if (/[{}]/.test(inner)) return [unknown(place)];
  const [, from, to] = /^(\d{1,4})\.\.(\d{1,4})$/.exec(inner) ?? [];
  if (from !== undefined && to !== undefined) {
    const [low, high] = [Math.min(Number(from), Number(to)), Math.max(Number(from), Number(to))];
    if (high - low >= MOST_READINGS) return [unknown(place)];
    const width = from.startsWith('0') ? from.length : 0;
    return Array.from({ length: high - low + 1 }, (_, i) =>
      known(String(low + i).padStart(width, '0'), place),
    );
  }
  return inner.includes(',') && !/["'$\\`]/.test(inner)
    ? inner.split(',', MOST_READINGS).map((one) => known(one, place))
    : [unknown(place)];
}

/** Every way to put one reading of each together, as far as they are told apart. */
function combine(parts: readonly (readonly Text[])[]): readonly Text[] {
  let all = [new TextBuilder()];
  for (const readings of parts) {
    const [only, other] = readings;
    if (only && other)
      all = all
        .flatMap((before) => readings.map((text) => ({ before, text })))
        .slice(0, MOST_READINGS)
        .map(({ before, text }) => {
          const copy = before.copy();
          copy.add(text);
          return copy;
        });
    else for (const builder of all) builder.add(only ?? []);
    if (all.every(({ full }) => full)) break;
  }
  return all.map(({ text }) => text);
}
