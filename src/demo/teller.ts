import { styleText } from 'node:util';

export type Style = Parameters<typeof styleText>[0];

/** Writes the demo's lines; in colour only on a terminal, and not if NO_COLOR is set. */
export class Teller {
  readonly #out: NodeJS.WriteStream;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  line(text: string, style?: Style): void {
    this.#out.write(`${style ? this.styled(text, style) : text}\n`);
  }

  styled(text: string, style: Style): string {
    return styleText(style, text, { stream: this.#out });
  }

  /**
   * Takes a command's output in pieces and writes those lines that are wanted, indented; Acyclic's own words stand
   * out.
   */
  transcript(wanted: (line: string) => boolean): Transcript {
    return new Transcript((line) => {
      if (wanted(line)) this.line(`     ${this.#accented(line)}`);
    });
  }

  #accented(line: string): string {
    if (line.startsWith('acyclic: denied')) return this.styled(line, ['bold', 'red']);
    return line.startsWith('acyclic:') ? this.styled(line, 'cyan') : line;
  }
}

class Transcript {
  readonly #take: (line: string) => void;
  #rest = '';

  constructor(take: (line: string) => void) {
    this.#take = take;
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#take(line);
  }

  end(): void {
    if (this.#rest !== '') this.#take(this.#rest);
    this.#rest = '';
  }
}
