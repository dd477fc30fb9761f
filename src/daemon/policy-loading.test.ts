import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadFiles } from '../guard/policy-files.ts';
import { PolicyFailure } from '../guard/policy-texts.ts';
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
  const told = await changes;
  expect(told).toHaveLength(201);
  expect(told.slice(0, 2)).toEqual(['deployment a', '  allowed now h1.example on 443/tcp']);
  expect(told.at(-1)).toMatch(/^and \d+ more lines$/);
});

test('services, floor, several deployments and what they stage come across as they are', {
  timeout: 30_000,
}, async () => {
  const services = Array.from(
    { length: 700 },
    (_, i) => `  s${i}: { hosts: [s${i}.example], depends_on: [a] }\n`,
  );
  const rules = Array.from({ length: 600 }, (_, i) => `{ host: r${i}.example }`).join(', ');
  const text = `version: 1\nservices:\n  a: { addresses: [10.0.0.0/8] }\n${services.join('')}floor:\n  deny: [${rules}]
deployments:\n  a: { allow: [${rules}], staged: next.yaml }\n  b: { deploys: [a], deny: [${rules}] }\n`;
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-loading-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'next.yaml'), text.replace('staged: next.yaml, ', '').replaceAll('r5', 'q5'));
  const files = [{ file: join(directory, 'a.yaml'), name: 'a.yaml', text }];
  const { loaded } = await loadBeside(directory, files, loadFiles(directory, files));
  const here = loadFiles(directory, files);
  expect(here.staged.size).toBe(1);
  expect(loaded).toEqual(here);
  expect([...loaded.policy.services.keys()]).toEqual([...here.policy.services.keys()]);
});

test('a mistake in a large one is told as that of a small one', { timeout: 30_000 }, async () => {
  const files = policy('h').map((file) => ({ ...file, text: `${file.text}      - { hots: x.example }\n` }));
  const failure = loadBeside('/etc/acyclic', files, null);
  await expect(failure).rejects.toBeInstanceOf(PolicyFailure);
  await expect(failure).rejects.toThrow(/a\.yaml:2006:\d+: .*`hots`/);
});

test('a policy whose comparison is lost is there all the same, and says so', {
  timeout: 30_000,
}, async () => {
  const before = loadFiles('/etc/acyclic', policy('h', 5 * RULES));
  const { loaded, changes } = await loadBeside('/etc/acyclic', policy('i', 5 * RULES), before);
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
  const loader = children.find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('policy-loader'),
  );
  process.kill(Number(loader), 'SIGKILL');
  expect(await changes).toEqual([
    'what it means otherwise cannot be told: the process that does it ended with SIGKILL',
  ]);
  expect(loaded.policy.deployments.get('a')?.rules).toHaveLength(5 * RULES);
});
