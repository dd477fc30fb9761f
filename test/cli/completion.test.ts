import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const acyclic = fileURLToPath(new URL('../../bin/acyclic', import.meta.url));
const say = (...args: string[]) => execFileSync(acyclic, args, { encoding: 'utf8' });

test('options and commands are completed with what they mean', () => {
  expect(say('complete', '--', 'run', '--le')).toContain('--leftover\twhat the command leaves running');
  expect(say('complete', '--', 'do')).toContain('doctor\t');
  expect(say('complete', '--', 'sta')).toContain('status\t');
  expect(say('complete', '--', 'audit', '')).toContain('stats\tcalls counted');
  expect(say('complete', '--', 'audit', 'list', '--fo')).toContain('--follow\t');
  expect(say('complete', '--', 'audit', 'list', '--verdict', '')).toContain('would-deny');
  expect(say('complete', '--', 'runs', '--st')).toContain('--state\t');
  expect(say('complete', '--', 'attach', '--con')).toContain('--container\t');
});

test('the script for bash is one that bash can read', () => {
  execFileSync('bash', ['-n'], { input: say('completion', 'bash') });
});
