/** Where something stands: a file as people name it, and a line from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** Of a command line, which is not in a file: what stands here is in no findings. */
export const NOWHERE: Place = { file: '', line: 0 };

export function isNowhere({ file }: Place): boolean {
  return file === '';
}

/** Characters of a script, and where the first of them stands; null is what only a run knows. */
export interface Piece {
  readonly text: string | null;
  readonly place: Place;
}

/** What a word of a script comes to, in pieces that may stand in different places. */
export type Text = readonly Piece[];

/** Stands for what only a run knows, in `spell`. */
export const UNKNOWN = '\ufffc';
/** Text put together is cut off there: no host is so long, and nested expansions must not add up. */
const LONGEST = 64 * 1024;
const MOST_PIECES = 1000;

export function known(text: string, place: Place): Text {
  return [{ text, place }];
}

export function unknown(place: Place): Text {
  return [{ text: null, place }];
}

/** One text after the other; what is beyond the bounds is not known. */
export function join(texts: readonly Text[]): Text {
  const builder = new TextBuilder();
  for (const text of texts) builder.add(text);
  return builder.text;
}

/** Puts texts together, each piece once: what a script can make ever longer stays in bounds. */
export class TextBuilder {
  #pieces: Piece[] = [];
  #room = LONGEST;
  /** Nothing more is taken in. */
  full = false;

  copy(): TextBuilder {
    const copy = new TextBuilder();
    copy.#pieces = [...this.#pieces];
    copy.#room = this.#room;
    copy.full = this.full;
    return copy;
  }

  add(text: Text): void {
    for (const piece of text) {
      if (this.full) return;
      const last = this.#pieces.at(-1);
      if (last?.text === null && piece.text === null) continue;
      this.#room -= piece.text?.length ?? 1;
      this.full = this.#room < 0 || this.#pieces.length >= MOST_PIECES;
      // A single piece is as long as it is in the script: there it can be no longer.
      this.#pieces.push(this.full && this.#pieces.length > 0 ? { ...piece, text: null } : piece);
    }
  }

  get text(): Text {
    return this.#pieces;
  }
}

/** The text where all of it is known, otherwise null. */
export function constant(text: Text): string | null {
  let whole = '';
  for (const piece of text) {
    if (piece.text === null) return null;
    whole += piece.text;
  }
  return whole;
}

/** The text with `UNKNOWN` for each piece that is not known. */
export function spell(text: Text): string {
  return text.map((piece) => piece.text ?? UNKNOWN).join('');
}

/** Tells where the characters of `spell(text)` stand, by their offset. */
export function locator(text: Text): (offset: number) => Place {
  const [first] = text;
  if (text.length === 1 && first && !first.text?.includes('\n')) return () => first.place;
  const starts: number[] = [];
  let before = 0;
  for (const piece of text) {
    starts.push(before);
    before += piece.text?.length ?? 1;
  }
  const lines: (Lines | undefined)[] = [];
  return (offset) => {
    const at = lastAtMost(starts, offset);
    const piece = text[at];
    if (!piece) return NOWHERE;
    if (!piece.text?.includes('\n')) return piece.place;
    lines[at] ??= new Lines(piece.text);
    const line = piece.place.line + (lines[at]?.at(offset - (starts[at] ?? 0)) ?? 1) - 1;
    return { file: piece.place.file, line };
  };
}

/** Where the character at an offset of `spell(text)` stands. */
export function placeAt(text: Text, offset: number): Place {
  return locator(text)(offset);
}

/** A stretch of `spell(text)` as text. */
export function slice(text: Text, from: number, to: number): Text {
  const pieces: Piece[] = [];
  let before = 0;
  for (const piece of text) {
    const length = piece.text?.length ?? 1;
    const [start, end] = [Math.max(0, from - before), Math.min(length, to - before)];
    if (start < end)
      pieces.push({ text: piece.text?.slice(start, end) ?? null, place: placeAt([piece], start) });
    before += length;
  }
  return pieces;
}

/** Its words, as a shell splits an unquoted expansion; at most `most`. */
export function words(text: Text, most: number): Text[] {
  const found: Text[] = [];
  for (const match of spell(text).matchAll(/\S+/g)) {
    if (found.length === most) break;
    found.push(slice(text, match.index, match.index + match[0].length));
  }
  return found;
}

/** Lines of a source text by offset. */
export class Lines {
  readonly #starts: number[] = [0];

  constructor(source: string) {
    for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1)) this.#starts.push(at + 1);
  }

  /** The line, from 1, that holds an offset. */
  at(offset: number): number {
    return lastAtMost(this.#starts, offset) + 1;
  }
}

/** The index of the last of ascending numbers that is at most `limit`; 0 if none is. */
function lastAtMost(numbers: readonly number[], limit: number): number {
  let [low, high] = [0, numbers.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((numbers[middle] ?? 0) <= limit) low = middle;
    else high = middle - 1;
  }
  return low;
}
