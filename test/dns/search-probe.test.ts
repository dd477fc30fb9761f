import { afterEach, expect, test } from 'vitest';
import type { Judgement } from '../../src/dns/hooks.ts';
import { type Bench, startBench } from './harness.ts';

const zone = {
  'api.corp.test': ['A 192.0.2.1'],
  'api.prod.test': ['A 192.0.2.2'],
  'v6.prod.test': ['AAAA 2001:db8::2'],
};

let bench: Bench | null = null;
afterEach(async () => {
  await bench?.close();
  bench = null;
});

/** A proxy that denies api.corp.test, with what is said of what may come next. */
async function start(
  word: Partial<Judgement>,
  options: { faults?: Record<string, string> } = {},
): Promise<Bench> {
  const denial: Judgement = {
    denied: true,
    onDeny: 'refuse',
    reason: 'denied',
    provisional: false,
    later: [],
  };
  bench = await startBench({
    zone,
    patience: { timeoutMs: 300, budgetMs: 4000, tryEveryMs: 10_000 },
    faults: [options.faults ?? {}],
    hooks: {
      judge: (_, { name }) =>
        name === 'api.corp.test' ? { ...denial, ...word } : { ...denial, denied: false },
    },
  });
  return bench;
}

test.each<[string, Partial<Judgement>, string, string[]]>([
  ['with nothing to come is refused, and final', {}, 'REFUSED', []],
  ['whose resolver goes on is no name', { provisional: true }, 'NXDOMAIN', []],
  ['before a name that exists is no name', { later: ['api.prod.test'] }, 'NXDOMAIN', ['api.prod.test A']],
  [
    'before a name of the other family is no name',
    { later: ['v6.prod.test'] },
    'NXDOMAIN',
    ['v6.prod.test A'],
  ],
  [
    'before names that do not exist is refused',
    { later: ['a.test', 'b.test'] },
    'REFUSED',
    ['a.test A', 'b.test A'],
  ],
])('a denied name %s', async (_, word, status, asked) => {
  const { dig, lookups, servers } = await start(word);
  const reply = await dig('api.corp.test', 'A');
  expect(reply.status).toBe(status);
  expect(reply.text).toContain('EDE: 15');
  expect(lookups).toMatchObject([{ denied: true, provisional: status === 'NXDOMAIN', rcode: status }]);
  expect(servers[0]?.queries.map(({ name, type }) => `${name} ${type}`).sort()).toEqual(asked);
});

test('a server that does not answer saves nobody, and one name that exists is enough', async () => {
  const faults = { 'slow.test': 'slow:2000', 'dead.test': 'silent' };
  const { dig } = await start({ later: ['dead.test'] }, { faults });
  expect((await dig('api.corp.test', 'A')).status).toBe('REFUSED');
  await bench?.close();
  const { dig: again } = await start({ later: ['slow.test', 'api.prod.test'] }, { faults });
  expect(await again('api.corp.test', 'A')).toMatchObject({ status: 'NXDOMAIN' });
});

test('a name answered although it is denied is not asked ahead for', async () => {
  const { dig, servers } = await start({ onDeny: 'resolve', later: ['api.prod.test'] });
  expect((await dig('api.corp.test', 'A')).answers).toEqual(['192.0.2.1']);
  expect(servers[0]?.queries.map(({ name }) => name)).toEqual(['api.corp.test']);
});
