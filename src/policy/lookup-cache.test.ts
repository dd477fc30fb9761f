import { expect, test } from 'vitest';
import { compile } from './compile.ts';
import { evaluateLookup } from './evaluate.ts';
import { LookupCache } from './lookup-cache.ts';
import { parsePolicy } from './parse.ts';

const text = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com, "*.github.com"], depends_on: [mysql] }
deployments:
  mysql:
    default: deny
    allow: [{ host: "*.allowed.test" }]
    deny: [{ host: bad.allowed.test }]
`;

function compiled() {
  const { policy } = parsePolicy([{ path: 'acyclic.yaml', text }]);
  if (policy === null) throw new Error('no policy');
  const none = { allow: [], deny: [], default: null, mode: null, ownAddresses: [], now: new Date() };
  return compile(policy, { deployment: 'mysql', ...none });
}

test('what is remembered is what evaluateLookup says, for a name alone and with its aliases', () => {
  const policy = compiled();
  const cache = new LookupCache(policy, () => []);
  const names = ['a.allowed.test', 'bad.allowed.test', 'github.com', 'db.mysql.internal', 'other.test', '.'];
  for (let round = 0; round < 2; round++) {
    for (const one of names) {
      expect(cache.decide([one])).toEqual(evaluateLookup(policy, [one]));
      for (const alias of names) {
        expect(cache.decide([one, alias])).toEqual(evaluateLookup(policy, [one, alias]));
      }
    }
  }
  expect(cache.decide(['github.com'])).toBe(cache.decide(['github.com']));
  expect(cache.decide(['a.allowed.test', 'github.com']).answer).toBe('deny');
});

test('a flood of names is not remembered for ever', () => {
  const policy = compiled();
  const cache = new LookupCache(policy, () => []);
  const first = cache.decide(['github.com']);
  for (let i = 0; i < 20_000; i++) cache.decide([`${'x'.repeat(60)}.n${i}.allowed.test`]);
  const again = cache.decide(['github.com']);
  expect(again).not.toBe(first);
  expect(again).toEqual(first);
});
