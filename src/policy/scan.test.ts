import { expect, test } from 'vitest';
import { type PlacedFault, scan } from './scan.ts';

/** What is found when all of a text is read. */
function faultOf(text: string): PlacedFault | null {
  const tokens = scan(text);
  for (let next = tokens.next(); ; next = tokens.next()) if (next.done) return next.value;
}

test.each([
  ['brackets', '['.repeat(4_000_000), 'nesting'],
  ['braces', '{a: '.repeat(1_000_000), 'nesting'],
  ['dashes', '- '.repeat(2_000_000), 'nesting'],
  ['anchors', 'a: &a 1\n'.repeat(500_000), 'nesting'],
])('megabytes of %s are refused before the parser labours on them', (_, text, code) => {
  const start = performance.now();
  expect(faultOf(text)?.code).toBe(code);
  expect(performance.now() - start).toBeLessThan(2000);
});

test('a tag is told where it stands, and text that looks like one is none', () => {
  expect(faultOf('a: 1\nb: !!str 2\n')).toMatchObject({ code: 'tag', offset: 8, length: 5 });
  expect(faultOf('a: "!!str"\nb: |\n  !x\nc: x!y # !z\n')).toBeNull();
});

test('a long flat policy is not deep', () => {
  const hosts = Array.from({ length: 5000 }, (_, i) => `"h${i}.example"`).join(', ');
  expect(faultOf(`services: { a: { hosts: [${hosts}] } }\nb: {${'k: 1, '.repeat(500)}}\n`)).toBeNull();
});
