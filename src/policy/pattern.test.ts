import { describe, expect, test } from 'vitest';
import { hostHolds, hostRank, readHost } from './pattern.ts';
import { isFault } from './problem.ts';

function pattern(text: string) {
  const read = readHost(text);
  if (isFault(read)) throw new Error(read.message);
  return read;
}

test.each([
  ['example.com', 'example.com', true],
  ['example.com', 'a.example.com', false],
  ['*.example.com', 'a.example.com', true],
  ['*.example.com', 'a.b.c.example.com', true],
  ['*.example.com', 'example.com', false],
  ['*.google.com', 'evilgoogle.com', false],
  ['google.com', 'evilgoogle.com', false],
  ['*.Example.COM.', 'A.EXAMPLE.com.', true],
  ['*', 'localhost', true],
])('%s holds %s: %s', (text, name, held) => expect(hostHolds(pattern(text), name)).toBe(held));

test('exact is more specific than a longer wildcard, that than a shorter, and `*` is last', () => {
  const ranks = ['a.b.com', '*.a.b.com', '*.b.com', '*'].map((text) => hostRank(pattern(text)));
  expect(ranks).toEqual([...ranks].sort((a, b) => b - a));
  expect(new Set(ranks).size).toBe(ranks.length);
});

describe('what is no pattern gets a suggestion where one can be had', () => {
  test.each([
    ['a.*.com', '*.com'],
    ['*github.com', '*.github.com'],
    ['.github.com', '*.github.com'],
    ['https://github.com/acme/x?y=1', 'github.com'],
    ['github.com:443', 'github.com'],
    ['github.com/acme', 'github.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['*.bücher.example', '*.xn--bcher-kva.example'],
    ['999.1.1.1', null],
    ['10.0.0.1', null],
    ['2001:db8::1', null],
    ['', null],
    ['a..b', null],
  ])('%s → %s', (text, suggestion) => {
    const read = readHost(text);
    expect(isFault(read) && read.code).toBe('bad-host');
    expect(isFault(read) && read.suggestion).toBe(suggestion);
  });
});
