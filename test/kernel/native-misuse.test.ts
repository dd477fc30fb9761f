import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterAll, expect, test } from 'vitest';
import { BindingError, loadBinding, ringRecords } from '../../src/kernel/binding.ts';
import { makePlaces, thrownBy } from './fixtures/fixture.ts';

const places = makePlaces();
const objectPath = places.compile('native');

afterAll(() => places.remove());

const misuse = new URL('fixtures/misuse-program.ts', import.meta.url);
const leak = new URL('fixtures/leak-program.ts', import.meta.url);

function run(program: URL, options: string[], args: string[]) {
  const path = fileURLToPath(program);
  return spawnSync(process.execPath, [...options, path, ...args], { encoding: 'utf8', timeout: 50_000 });
}

test.each([1, 2, 3])('the process survives thousands of wrong calls of every function (seed %i)', (seed) => {
  const { stdout, stderr, status, signal } = run(misuse, [], [objectPath, `${seed}`]);
  expect({ stderr, status, signal }).toEqual({ stderr: '', status: 0, signal: null });
  const { functions, thrown, intact } = JSON.parse(stdout);
  expect(functions).toBeGreaterThan(50);
  expect(thrown).toBeGreaterThan(40_000);
  expect(intact).toBe(true);
});

test('no descriptor is left when things are closed, nor when they are dropped', () => {
  const { stdout, stderr, status } = run(leak, ['--expose-gc'], [objectPath]);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  const counts = JSON.parse(stdout);
  expect(counts).toEqual({ before: counts.before, closed: counts.before, collected: counts.before });
});

test('the binding declares what the addon exports, and nothing else', () => {
  const source = readFileSync(new URL('../../src/kernel/binding.ts', import.meta.url), 'utf8');
  const body = /export interface Binding \{(.*?)\n\}/s.exec(source)?.[1] ?? '';
  const declared = [...body.matchAll(/^ {2}(\w+)\(/gm)].map((match) => match[1]);
  expect(declared.sort()).toEqual(Object.keys(loadBinding()).sort());
});

test('a missing addon says what to run', () => {
  const error = thrownBy(() => loadBinding(pathToFileURL(join(places.pins, 'none.node'))));
  expect(error).toBeInstanceOf(BindingError);
  expect(error).toMatchObject({ code: 'ADDON_MISSING', message: expect.stringContaining('make build') });
});

test('what is no addon is unusable, and says so', () => {
  const error = thrownBy(() => loadBinding(new URL(`file://${objectPath}`)));
  expect(error).toMatchObject({ name: 'BindingError', code: 'ADDON_UNUSABLE' });
});

test('another thread is refused', async () => {
  const addon = fileURLToPath(new URL('../../build/acyclic.node', import.meta.url));
  const worker = new Worker(`require(${JSON.stringify(addon)})`, { eval: true });
  const error = await new Promise<Error>((resolve) => worker.once('error', resolve));
  expect(error.message).toContain('main thread');
});

test('a batch that lies about a length is refused', () => {
  const batch = Buffer.alloc(16);
  batch.writeUInt32LE(9);
  expect(() => [...ringRecords(batch)]).toThrow(RangeError);
  expect([...ringRecords(Buffer.alloc(0))]).toEqual([]);
});
