import { type CodeReader, Tail } from './literals.ts';
import type { Piece } from './text.ts';

const WORD = /[\p{L}_][\p{L}\p{N}_]*/uy;
const PREFIX = /^(?:[rbuft]|[rbft]{2})$/i;
const QUOTE = /"""|'''|"|'/y;
const IMPORT = /import[ \t]+([\w., \t]{1,200})|from[ \t]+([.\w]{1,100})[ \t]+import\b/y;
const PRINTS = /(?:^|[^\w.])print\($/;

/** Reads Python, tolerantly: its strings, not its comments. Stops at nothing; what it takes wrongly is a string less. */
export function readPython(source: string, reader: CodeReader): void {
  const tail = new Tail();
  let depth = 0;
  /** Nothing but blanks since the last line of code ended. */
  let fresh = true;
  for (let at = 0; at < source.length; ) {
    const character = source[at] ?? '';
    if (character === '#') {
      at = endOfLine(source, at);
      continue;
    }
    if (character === '\n') {
      fresh ||= depth === 0 && source[at - 1] !== '\\';
      at++;
      continue;
    }
    if (/\s/.test(character)) {
      at++;
      continue;
    }
    const word = sticky(WORD, source, at)?.[0] ?? '';
    const prefixed = word !== '' && PREFIX.test(word);
    const quote = sticky(QUOTE, source, at + (prefixed || word === '' ? word.length : 0))?.[0];
    if (quote && (word === '' || prefixed)) {
      const string = readString(source, at + word.length, quote, word.toLowerCase(), reader);
      const statement = fresh && /^[ \t]*(?:$|\n|;|#)/.test(source.slice(string.end, string.end + 80));
      reader.literal(string.pieces, statement || tail.matches(PRINTS));
      tail.push('"');
      [at, fresh] = [string.end, false];
      continue;
    }
    if (fresh && depth === 0 && (word === 'import' || word === 'from')) readImport(source, at, reader);
    if ('([{'.includes(character)) depth++;
    if (')]}'.includes(character)) depth = Math.max(0, depth - 1);
    tail.push(word || character);
    at += word.length || 1;
    fresh = false;
  }
}

function readImport(source: string, at: number, reader: CodeReader): void {
  const [, names, from] = sticky(IMPORT, source, at) ?? [];
  const modules = from === undefined ? (names?.split(',') ?? []) : [from];
  for (const module of modules) {
    const [name = ''] = module.trim().split(/\s/);
    if (name !== '') reader.module(name, reader.placeOf(at));
  }
}

function readString(
  source: string,
  start: number,
  quote: string,
  prefix: string,
  reader: CodeReader,
): { end: number; pieces: Piece[] } {
  const pieces: Piece[] = [];
  const formatted = /[ft]/.test(prefix);
  let from = start + quote.length;
  const add = (to: number) => {
    if (to > from) pieces.push({ text: source.slice(from, to), place: reader.placeOf(from) });
  };
  for (let at = from; at < source.length; at++) {
    const character = source[at];
    if (character === '\\') at++;
    else if (source.startsWith(quote, at)) {
      add(at);
      return { end: at + quote.length, pieces };
    } else if (character === '\n' && quote.length === 1) {
      add(at);
      return { end: at, pieces };
    } else if (formatted && character === '{') {
      if (source[at + 1] === '{') at++;
      else {
        add(at);
        pieces.push({ text: null, place: reader.placeOf(at) });
        const close = source.slice(at, at + 500).indexOf('}');
        at = close < 0 ? at : at + close;
        from = at + 1;
      }
    }
  }
  add(source.length);
  return { end: source.length, pieces };
}

function endOfLine(source: string, at: number): number {
  const end = source.indexOf('\n', at);
  return end < 0 ? source.length : end;
}

function sticky(pattern: RegExp, source: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(source);
}
