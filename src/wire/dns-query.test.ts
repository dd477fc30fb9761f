import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { normalizeName } from '../model/name.ts';
import { decodeQuery, type Query } from './dns-query.ts';

interface Vector {
  readonly title: string;
  readonly hex: string;
}

function vectors(file: string): Vector[] {
  return JSON.parse(readFileSync(new URL(`../../test/vectors/dns/${file}.json`, import.meta.url), 'utf8'));
}

function hostile(title: string): ReturnType<typeof decodeQuery> {
  const vector = vectors('hostile').find((one) => one.title === title);
  if (vector === undefined) throw new Error(`no vector ${title}`);
  return decodeQuery(Buffer.from(vector.hex, 'hex'));
}

test('every query dig makes is taken, its name in policy form', () => {
  for (const { title, hex } of vectors('queries')) {
    const query = decodeQuery(Buffer.from(hex, 'hex'));
    expect(query, title).toHaveProperty('type');
    const { name } = query as Query;
    expect(name === '.' ? name : normalizeName(name), title).toBe(name);
  }
});

test('the question keeps the case of its letters, the name loses it', () => {
  const vector = vectors('queries').find((one) => one.title === 'dig: mixed case');
  const query = decodeQuery(Buffer.from(vector?.hex ?? '', 'hex')) as Query;
  expect(query.name).toBe('github.com');
  expect(Buffer.from(query.question).toString('latin1')).toContain('GiThUb');
});

test.each([
  ['label with a dot', 'a\\.b.com'],
  ['label with a dot, with OPT', 'www\\.github.com'],
  ['label with NUL', 'github\\000.com'],
  ['label of bad UTF-8', '\\255\\254.com'],
  ['label with a space', 'git\\032hub.com'],
  ['label with leading hyphen', '-github.com'],
])('a name policy could read differently is refused: %s', (title, name) => {
  expect(hostile(title)).toMatchObject({ fault: 'name', rcode: 5, name });
});

test.each([
  'header only',
  'pointer in the question',
  'pointer to itself',
  'reserved label type 0x40',
  'two questions',
  'no question',
  'trailing bytes',
  'answer in a query',
  'two OPT records',
  'name over 255 bytes',
])('a malformed query is a format error: %s', (title) => {
  expect(hostile(title)).toMatchObject({ fault: 'malformed', rcode: 1 });
});

test('only class IN and opcode QUERY are taken; a response or a stub is not answered at all', () => {
  expect(hostile('class CHAOS')).toMatchObject({ fault: 'class', rcode: 5, name: 'version.bind' });
  expect(hostile('opcode UPDATE')).toMatchObject({ fault: 'opcode', rcode: 4 });
  expect(hostile('empty')).toMatchObject({ fault: 'short', rcode: null });
  expect(hostile('response: pointer forward')).toMatchObject({ fault: 'not-a-query', rcode: null });
});

test('a name of 255 bytes is the longest taken', () => {
  expect((hostile('name of 255 bytes') as Query).name).toHaveLength(253);
});
