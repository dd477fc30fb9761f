import { expect, test } from 'vitest';
import { pathsTo } from './paths.ts';

const graph = (edges: Record<string, string[]>) => new Map(Object.entries(edges));

test('a direct and a longer path both end at the target', () => {
  const paths = pathsTo(
    ['mysql'],
    graph({ mysql: [], github: ['mysql'], migrations: ['github'], mirror: [] }),
  );
  expect(Object.fromEntries(paths)).toEqual({
    github: ['github', 'mysql'],
    migrations: ['migrations', 'github', 'mysql'],
  });
});

test('the shortest path is taken, and among equals the dependency declared first', () => {
  const paths = pathsTo(['t'], graph({ t: [], a: ['b', 'c', 't'], b: ['t'], c: ['t'], d: ['c', 'b'] }));
  expect(paths.get('a')).toEqual(['a', 't']);
  expect(paths.get('d')).toEqual(['d', 'c', 't']);
});

test('services that depend on each other, or on themselves, end the search', () => {
  const paths = pathsTo(
    ['t'],
    graph({ t: ['a'], a: ['b'], b: ['a', 't'], self: ['self'], x: ['y'], y: ['x'] }),
  );
  expect(Object.fromEntries(paths)).toEqual({ a: ['a', 'b', 't'], b: ['b', 't'] });
});

test('a target is no dependent of another target', () => {
  expect([...pathsTo(['a', 'b'], graph({ a: ['b'], b: ['a'], c: ['a'] })).keys()]).toEqual(['c']);
});
