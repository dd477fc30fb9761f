import { styleText } from 'node:util';
import { trim } from './message.ts';
import { harmless } from './output.ts';
import type { Printer } from './print.ts';

export interface Column {
  readonly title: string;
  /** May be cut to this many characters where the terminal is narrow; without, it is never cut. */
  readonly least?: number;
  readonly right?: true;
}

export type Style = Parameters<typeof styleText>[0];

export interface TableRow {
  readonly cells: readonly string[];
  /** Of the whole row. */
  readonly style?: Style | undefined;
}

const GAP = '  ';

/** Rows under a heading, as wide as what they hold; on a terminal, no wider than that. Rows may come in portions. */
export class Table {
  readonly #columns: readonly Column[];
  readonly #printer: Pick<Printer, 'width' | 'colour'>;
  #widths: number[];
  #headed = false;

  constructor(columns: readonly Column[], printer: Pick<Printer, 'width' | 'colour'>) {
    this.#columns = columns;
    this.#printer = printer;
    this.#widths = columns.map(({ title }) => title.length);
  }

  /** The lines of some rows, after the heading's if they are the first. */
  lines(rows: readonly TableRow[]): string[] {
    if (rows.length === 0) return [];
    const clean = rows.map(({ cells, style }) => ({ cells: cells.map(harmless), style }));
    for (const { cells } of clean)
      this.#widths = this.#widths.map((width, i) => Math.max(width, [...(cells[i] ?? '')].length));
    this.#widths = fitInto(this.#widths, this.#columns, this.#printer.width);
    const heading = this.#headed
      ? []
      : [{ cells: this.#columns.map(({ title }) => title), style: 'dim' as const }];
    this.#headed = true;
    return [...heading, ...clean].map(({ cells, style }) => this.#line(cells, style));
  }

  #line(cells: readonly string[], style: Style | undefined): string {
    const line = this.#columns
      .map(({ right }, i) => {
        const width = this.#widths[i] ?? 0;
        const text = trim(cells[i] ?? '', width);
        const blanks = ' '.repeat(Math.max(0, width - [...text].length));
        return right ? blanks + text : text + blanks;
      })
      .join(GAP)
      .trimEnd();
    return style && this.#printer.colour ? styleText(style, line, { validateStream: false }) : line;
  }
}

/** Takes from the widest column that may be cut, until all fit. */
function fitInto(widths: readonly number[], columns: readonly Column[], limit: number | null): number[] {
  const fitted = [...widths];
  const total = () => fitted.reduce((sum, width) => sum + width + GAP.length, -GAP.length);
  while (limit !== null && total() > limit) {
    let widest = -1;
    for (const [i, { least }] of columns.entries()) {
      const width = fitted[i] ?? 0;
      if (least !== undefined && width > least && width > (fitted[widest] ?? 0)) widest = i;
    }
    if (widest < 0) break;
    fitted[widest] = (fitted[widest] ?? 0) - 1;
  }
  return fitted;
}
