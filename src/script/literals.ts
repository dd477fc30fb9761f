import type { Piece, Place } from './text.ts';

/** What is found in a program's source that is no shell's. */
export interface CodeReader {
  placeOf(offset: number): Place;
  /** A string; `said`: it is for people, a docstring or what is printed. Null pieces are values put in. */
  literal(pieces: readonly Piece[], said: boolean): void;
  /** A module, as the source names it. */
  module(name: string, place: Place): void;
}

/** The last characters of code before a string, with no blanks but between words: enough to see what the string is for. */
export class Tail {
  #text = '';

  push(code: string): void {
    const between = /[\w$]$/.test(this.#text) && /^[\w$]/.test(code) ? ' ' : '';
    this.#text = (this.#text + between + code).slice(-32);
  }

  matches(pattern: RegExp): boolean {
    return pattern.test(this.#text);
  }
}
