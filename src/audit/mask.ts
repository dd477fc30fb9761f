import { type MaskPattern, parseMaskPattern } from '../model/mask-pattern.ts';
import { maskOptions } from './mask-options.ts';
import { ASSIGNED, MASK, SECRETS, SECRETS_IN_NAMES } from './mask-patterns.ts';

/** Takes secrets out of what is recorded of a process, before any copy of it is made. */
export interface Mask {
  /** A command line, at most 4 KiB of it; where it is cut off it ends in `…`. */
  argv(argv: readonly string[]): string[];
  /** A host name: one can carry a token out. */
  name(name: string): string;
}

const MOST_CHARACTERS = 4096;
/** Scripts within scripts: `ssh host 'bash -c "mysql -p…"'`. */
const MOST_NESTED = 3;
const MOST_NAMES = 10_000;

/** `additions` are patterns as the policy's `mask` has them; what is not one is passed over. */
export function createMask(additions: readonly string[] = []): Mask {
  const own = additions.map(parseMaskPattern).filter((pattern) => typeof pattern !== 'string');
  const options = new Set(own.flatMap(({ option }) => option ?? []));
  const inText = (text: string) => own.reduce(maskPattern, maskSecrets(text, SECRETS));

  const maskWords = (words: readonly string[], nested: number): string[] =>
    maskOptions(words, options).map((word, i, all) => {
      if (nested === MOST_NESTED || !/\s/.test(word) || isOneValue(word, all[i - 1]))
        return maskAssigned(word);
      return maskScript(word, nested + 1);
    });
  const maskScript = (script: string, nested: number): string =>
    commandsOf(script)
      .map((pieces) => putBack(pieces, maskWords(pieces.filter(isWord).map(unquoted), nested)))
      .join('');

  const names = new Map<string, string>();
  return {
    argv: (argv) => maskWords(cutOff(argv).map(inText), 0),
    name(name) {
      const known = names.get(name);
      if (known !== undefined) return known;
      if (names.size === MOST_NAMES) names.clear();
      const masked = maskSecrets(name, SECRETS_IN_NAMES);
      names.set(name, masked);
      return masked;
    },
  };
}

function maskSecrets(text: string, patterns: typeof SECRETS): string {
  return patterns.reduce((masked, { pattern, leave }) => masked.replace(pattern, leave), text);
}

/** `NAME=value` and `--option=value` are one value to their end; a script that begins so is not. */
function isOneValue(word: string, before: string | undefined): boolean {
  if (before !== undefined && /^-[a-z]*c$/.test(before)) return false;
  return /^(?:--?[\w.-]+|[A-Z][A-Z0-9_]*)=/.test(word);
}

/** Masks what is assigned to a name of something secret: up to the next parameter, or to the end of a variable. */
function maskAssigned(word: string): string {
  const wholly = /^(?:-|[A-Z][A-Z0-9_]*=)/.test(word);
  let masked = '';
  let at = 0;
  for (const match of word.matchAll(ASSIGNED)) {
    if (match.index < at) continue;
    const from = match.index + match[0].length;
    masked += word.slice(at, from) + MASK;
    at = wholly ? word.length : endOfValue(word, from);
  }
  return masked + word.slice(at);
}

function endOfValue(word: string, from: number): number {
  const quote = word[from];
  if (quote === '"' || quote === "'") {
    const end = word.indexOf(quote, from + 1);
    return end < 0 ? word.length : end + 1;
  }
  const end = word.slice(from).search(/[&;#'"\s]/);
  return end < 0 ? word.length : from + end;
}

/** What `*` holds has none of these. */
const STOPS = /[\s'"&;,]/;

function maskPattern(text: string, { before, after }: MaskPattern): string {
  let masked = '';
  let at = 0;
  for (let found = text.indexOf(before); found >= 0; found = text.indexOf(before, at)) {
    const from = found + before.length;
    const rest = text.slice(from);
    const stop = rest.search(STOPS);
    const run = stop < 0 ? rest : rest.slice(0, stop);
    const end = after === '' ? run.length : run.lastIndexOf(after);
    masked += text.slice(at, from) + (end > 0 ? MASK : '');
    at = end > 0 ? from + end : from;
  }
  return masked + text.slice(at);
}

/** Pieces of a script: words with their quotes, operators, blanks. */
const PIECES = /(?:"(?:[^"\\]|\\[\s\S])*"|'[^']*'|\\[\s\S]|[^\s'"\\;|&()<>])+|[;|&()<>]+|\s+|[\s\S]/g;

function isWord(piece: string): boolean {
  return !/^[\s;|&()<>]/.test(piece);
}

/** A script as the pieces of its commands, each with what ends it. */
function commandsOf(script: string): string[][] {
  const commands: string[][] = [[]];
  for (const piece of script.match(PIECES) ?? []) {
    commands.at(-1)?.push(piece);
    if (/^[;|&()]|^\s*\n/.test(piece)) commands.push([]);
  }
  return commands;
}

function unquoted(word: string): string {
  return isQuoted(word) ? word.slice(1, -1) : word;
}

function isQuoted(word: string): boolean {
  const [quote] = word;
  return (quote === '"' || quote === "'") && word.length > 1 && word.indexOf(quote, 1) === word.length - 1;
}

function putBack(pieces: readonly string[], words: readonly string[]): string {
  let next = 0;
  return pieces
    .map((piece) => {
      if (!isWord(piece)) return piece;
      const word = words[next++] ?? '';
      return isQuoted(piece) ? piece.charAt(0) + word + piece.charAt(0) : word;
    })
    .join('');
}

function cutOff(argv: readonly string[]): string[] {
  const kept: string[] = [];
  let room = MOST_CHARACTERS;
  for (const arg of argv) {
    if (arg.length > room) {
      kept.push(`${arg.slice(0, room)}…`);
      break;
    }
    kept.push(arg);
    // As the kernel has it: each argument ends in a zero byte.
    room = Math.max(0, room - arg.length - 1);
  }
  return kept;
}
