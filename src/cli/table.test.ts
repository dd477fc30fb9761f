import { describe, expect, test } from 'vitest';
import { Table } from './table.ts';

const columns = [{ title: 'NAME', least: 6 }, { title: 'N', right: true }, { title: 'ID' }] as const;
const rows = (...cells: string[][]) => cells.map((each) => ({ cells: each }));

describe('a table', () => {
  test('is as wide as what it holds, under one heading', () => {
    const table = new Table(columns, { width: null, colour: false });
    expect(table.lines(rows(['a-long-name', '7', 'x'], ['b', '12', 'y']))).toEqual([
      'NAME          N  ID',
      'a-long-name   7  x',
      'b            12  y',
    ]);
    expect(table.lines(rows(['c', '1', 'z']))).toEqual(['c             1  z']);
    expect(table.lines([])).toEqual([]);
  });

  test('on a terminal cuts what may be cut, and never the rest', () => {
    const table = new Table(columns, { width: 16, colour: false });
    expect(table.lines(rows(['a-long-name', '7', '0123']))).toEqual(['NAME     N  ID', 'a-long…  7  0123']);
    const narrow = new Table(columns, { width: 5, colour: false });
    expect(narrow.lines(rows(['a-long-name', '7', '0123']))[1]).toBe('a-lon…  7  0123');
  });

  test('can do nothing to a terminal', () => {
    const table = new Table(columns, { width: 40, colour: false });
    expect(table.lines(rows(['a\u001b[2J\nb', '1', 'x']))[1]).toBe('a\\x1b[2J\\nb  1  x');
  });

  test('colours whole rows, where there are colours', () => {
    const [, line] = new Table(columns, { width: 40, colour: true }).lines([
      { cells: ['a', '1', 'x'], style: 'red' },
    ]);
    expect(line).toBe('\u001b[31ma     1  x\u001b[39m');
  });
});
