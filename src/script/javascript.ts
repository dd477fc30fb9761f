import { type CodeReader, Tail } from './literals.ts';
import type { Piece } from './text.ts';

const WORD = /[\p{L}_$][\p{L}\p{N}_$]*/uy;
/** After these a `/` begins a regular expression; elsewhere it divides. */
const BEFORE_REGEXP =
  /(?:^|[([{,;:=!&|?+\-*%<>~^}]|(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete))$/;
const REGEXP = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const IMPORTS = /(?:^|[^\w$.])(?:require\(|import\(|import|from)$/;
const PRINTS = /(?:^|[^\w$.])console\.\w+\($/;
const LONGEST_REGEXP = 1000;
/** Templates within templates. */
const MOST_NESTED = 40;

/** Reads JavaScript, tolerantly: its strings, not its comments. What it takes wrongly is a string less. */
export function readJavascript(source: string, reader: CodeReader): void {
  new Reading(source, reader).code(source.startsWith('#!') ? endOfLine(source, 0) : 0, 0);
}

class Reading {
  readonly #source: string;
  readonly #reader: CodeReader;
  readonly #tail = new Tail();

  constructor(source: string, reader: CodeReader) {
    this.#source = source;
    this.#reader = reader;
  }

  /** From `at` to the end, or inside a template to the brace that ends it; gives where that is. */
  code(start: number, nested: number): number {
    const source = this.#source;
    let depth = 0;
    for (let at = start; at < source.length; ) {
      const character = source[at] ?? '';
      if (/\s/.test(character)) at++;
      else if (source.startsWith('//', at)) at = endOfLine(source, at);
      else if (source.startsWith('/*', at)) at = after(source, '*/', at + 2);
      else if (character === '"' || character === "'") at = this.#string(at, character);
      else if (character === '`') at = this.#template(at, nested);
      else if (character === '}' && nested > 0 && depth === 0) return at;
      else {
        if (character === '{') depth++;
        if (character === '}') depth--;
        const code = this.#token(character, at);
        this.#tail.push(code.length > 32 ? code.slice(-32) : code);
        at += code.length;
      }
    }
    return source.length;
  }

  /** A word, a regular expression, or one character. */
  #token(character: string, at: number): string {
    if (character === '/' && this.#tail.matches(BEFORE_REGEXP))
      return sticky(REGEXP, this.#source.slice(at, at + LONGEST_REGEXP), 0)?.[0] ?? character;
    return sticky(WORD, this.#source, at)?.[0] ?? character;
  }

  #string(start: number, quote: string): number {
    const source = this.#source;
    let at = start + 1;
    for (; at < source.length && source[at] !== quote && source[at] !== '\n'; at++)
      if (source[at] === '\\') at++;
    const text = source.slice(start + 1, at);
    const place = this.#reader.placeOf(start);
    if (this.#tail.matches(IMPORTS)) this.#reader.module(text, place);
    this.#tell([{ text, place }]);
    return source[at] === quote ? at + 1 : at;
  }

  #template(start: number, nested: number): number {
    const source = this.#source;
    const pieces: Piece[] = [];
    const said = this.#tail.matches(PRINTS);
    let [from, at] = [start + 1, start + 1];
    const add = () => {
      if (at > from) pieces.push({ text: source.slice(from, at), place: this.#reader.placeOf(from) });
    };
    for (; at < source.length && source[at] !== '`'; at++) {
      if (source[at] === '\\') at++;
      else if (source.startsWith('${', at) && nested < MOST_NESTED) {
        add();
        pieces.push({ text: null, place: this.#reader.placeOf(at) });
        this.#tail.push('{');
        at = this.code(at + 2, nested + 1);
        from = at + 1;
      }
    }
    add();
    this.#tell(pieces, said);
    return at + 1;
  }

  #tell(pieces: readonly Piece[], said = this.#tail.matches(PRINTS)): void {
    this.#reader.literal(pieces, said);
    this.#tail.push('"');
  }
}

function endOfLine(source: string, at: number): number {
  const end = source.indexOf('\n', at);
  return end < 0 ? source.length : end;
}

function after(source: string, mark: string, at: number): number {
  const end = source.indexOf(mark, at);
  return end < 0 ? source.length : end + mark.length;
}

function sticky(pattern: RegExp, source: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(source);
}
