import { MASK, SECRET_OPTION, SECRET_WORD, USER_OPTION } from './mask-patterns.ts';
import { optionsOf, type ProgramOptions } from './mask-programs.ts';

const NOTHING_KNOWN: ProgramOptions = {};

/** Masks the words of one command that are a secret by the option they belong to. `own`: options added by hand. */
export function maskOptions(words: readonly string[], own: ReadonlySet<string>): string[] {
  const masked = [...words];
  let program = NOTHING_KNOWN;
  let looking = true;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (looking && !/^-|^\w+=/.test(word)) {
      const found = optionsOf(word);
      // A program that runs another is followed by words of its own: only a known one ends the search.
      looking = found ? found.runs === true : i > 0;
      if (found) program = found;
      continue;
    }
    if (word === '--' || word === program.runs) {
      looking = true;
      continue;
    }
    const next = words[i + 1];
    if (isFollowed(word, program, words, own)) {
      if (next !== undefined && isValue(next)) masked[++i] = MASK;
    } else if (USER_OPTION.test(word) && !program.plain?.includes(word)) {
      if (next !== undefined) masked[++i] = maskUser(next);
    } else masked[i] = maskGlued(word, program, words);
  }
  return masked;
}

function isFollowed(
  word: string,
  program: ProgramOptions,
  words: readonly string[],
  own: ReadonlySet<string>,
): boolean {
  if (own.has(word) || SECRET_WORD.test(word)) return true;
  if (program.plain?.includes(word)) return false;
  return SECRET_OPTION.test(word) || (program.next?.includes(word) === true && applies(program, words));
}

function applies({ when }: ProgramOptions, words: readonly string[]): boolean {
  return when === undefined || words.includes(when);
}

/** Not the next option, the standard input, or a variable a shell will put in. */
function isValue(word: string): boolean {
  return word !== '' && word !== '-' && !/^--[a-z]|^["']?\$(?:[a-z_{(]|$)/i.test(word);
}

function maskGlued(word: string, program: ProgramOptions, words: readonly string[]): string {
  const [, user, value] = /^(--(?:proxy-)?user=)(.*)$/s.exec(word) ?? [];
  if (user !== undefined && value !== undefined) return user + maskUser(value);
  const option = program.glued?.find((glued) => word.startsWith(glued) && word.length > glued.length);
  if (option === undefined || !applies(program, words)) return word;
  const rest = word.slice(option.length);
  if (!isValue(rest)) return word;
  return option + (option === '-u' ? maskUser(rest) : MASK);
}

/** `USER:PASSWORD`; a pair of numbers is a user and a group. */
function maskUser(value: string): string {
  const [, user, password = ''] = /^(["']?[^:/\s]+):(.+)$/s.exec(value) ?? [];
  if (user === undefined || /^\d+:\d+$/.test(value) || !isValue(password)) return value;
  return `${user}:${MASK}`;
}
