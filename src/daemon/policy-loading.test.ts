import { expect, test } from 'vitest';
import { loadFiles, PolicyFailure } from '../guard/policy-files.ts';
import { loadBeside } from './policy-loading.ts';

const RULES = 2000;
const policy = (host: string, rules = RULES) => {
  const list = Array.from(
    { length: rules },
    (_, i) => `      - { host: ${host}${i}.example, ports: [443/tcp] }\n`,
  );
  const text = `version: 1\nservices: { a: { addresses: [10.0.0.0/8] } }\ndeployments:\n  a:\n    allow:\n${list.join('')}`;
  return [{ file: '/etc/acyclic/a.yaml', name: 'a.yaml', text }];
};

test('a large policy is loaded in another process as it is in this one, and compared', {
  timeout: 30_000,
}, async () => {
  const before = loadFiles('/etc/acyclic', policy('h', 1));
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  const { loaded, changes } = await loadBeside('/etc/acyclic', policy('h'), before);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(20);
  expect(loaded).toEqual(loadFiles('/etc/acyclic', policy('h')));
  expect(changes).toHaveLength(201);
  expect(changes.slice(0, 2)).toEqual(['deployment a', '  allowed now h1.example on 443/tcp']);
  expect(changes.at(-1)).toMatch(/^and \d+ more lines$/);
});

test('a mistake in a large one is told as that of a small one', { timeout: 30_000 }, async () => {
  const files = policy('h').map((file) => ({ ...file, text: `${file.text}      - { hots: x.example }\n` }));
  const failure = loadBeside('/etc/acyclic', files, null);
  await expect(failure).rejects.toBeInstanceOf(PolicyFailure);
  await expect(failure).rejects.toThrow(/a\.yaml:2006:\d+: .*`hots`/);
});
