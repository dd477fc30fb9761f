import { expect, test } from 'vitest';
import { compile } from './compile.ts';
import { evaluate } from './evaluate.ts';
import { addressTable } from './flatten.ts';
import { parsePolicy } from './parse.ts';

const options = { deployment: null, allow: [], deny: [], default: null, mode: null, now: new Date(0) };

function compiled(rules: string, ownAddresses: string[] = []) {
  const { policy } = parsePolicy([{ path: 'p', text: `version: 1\ndeployments:\n  d:\n${rules}` }]);
  return compile(policy, { ...options, ownAddresses });
}

test('the table has the roots, loopback and own addresses, and marks the last', () => {
  const table = [...addressTable(compiled('    mode: enforce\n', ['10.0.0.5', '2001:db8::5']))];
  const marked = Object.fromEntries(table.map(({ prefix, ownAddress }) => [prefix.text, ownAddress]));
  expect(marked).toEqual({
    '0.0.0.0/0': false,
    '::/0': false,
    '127.0.0.0/8': false,
    '::1': false,
    '10.0.0.5': true,
    '2001:db8::5': true,
  });
});

test('ten thousand prefixes flatten in well under a second, and equal answers are one list', () => {
  const address = (i: number) => `10.${i >> 8}.${i & 255}.7`;
  const rules = Array.from(
    { length: 10_000 },
    (_, i) => `      - { address: ${address(i)}, ports: [443] }\n`,
  );
  const policy = compiled(`    allow:\n${rules.join('')}`, ['192.0.2.1']);
  const start = performance.now();
  const table = [...addressTable(policy)];
  expect(performance.now() - start).toBeLessThan(1000);
  expect(table).toHaveLength(10_005);
  expect(new Set(table.map(({ segments }) => segments)).size).toBe(3);
});

test('evaluate stays quick with a hundred thousand names', () => {
  const hosts = Array.from({ length: 100_000 }, (_, i) => `"h${i}.example"`).join(', ');
  const text = `{version: 1, services: {a: {hosts: [${hosts}]}}, deployments: {a: {allow: [{service: a}]}}}`;
  const policy = compile(parsePolicy([{ path: 'p', text }]).policy, { ...options, ownAddresses: [] });
  const start = performance.now();
  for (let i = 0; i < 10_000; i++) {
    const destination = {
      address: '192.0.2.1',
      port: 443,
      protocol: 'tcp' as const,
      names: [`h${i}.example`],
    };
    expect(evaluate(policy, destination).answer).toBe('allow');
  }
  expect(performance.now() - start).toBeLessThan(3000);
});
