import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('fixtures/signal-program.ts', import.meta.url));
const { stdout, stderr, status, signal } = spawnSync(process.execPath, [program], {
  encoding: 'utf8',
  timeout: 20_000,
});
const said = new Map(stdout.split('\n').map((line) => line.split(/ (.*)/s, 2) as [string, string]));

test('the program ends by itself', () => {
  expect({ stderr, status, signal }).toEqual({ stderr: '', status: 0, signal: null });
});

test('a signal comes with its code and its sender', () => {
  expect(said.get('seen')).toBe(said.get('expected'));
});

test('signals are watched once at a time, and faults never', () => {
  expect(said.get('again')).toBe('"EALREADY"');
  expect(said.get('fault')).toBe('"EINVAL"');
});

test('what was caught is read at once where it is asked for, and then not again', () => {
  expect(said.get('read')).toBe('1');
  expect(said.get('reread')).toBe('1');
});

test('a burst of signals is survived', () => {
  expect(said.get('burst')).toBe('true');
});

test('unwatching restores what was before, and a callback may hand over to another', () => {
  expect(said.get('restored')).toBe('true');
  expect(stdout).toContain('handed over 11');
  expect(said.get('survived')).toBe('true');
});

test('what a callback throws is an uncaught exception', () => {
  expect(said.get('uncaught')).toBe('"from the callback"');
});
