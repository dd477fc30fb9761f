import { execFileSync, spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { pinDirectory } from '../../src/kernel/pins.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const copy = mkdtempSync(join(tmpdir(), 'acyclic-layout-'));

afterAll(() => rmSync(copy, { recursive: true }));

function check(directory: string): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(process.execPath, [join(directory, 'bpf/layout.ts'), '--check'], {
    encoding: 'utf8',
  });
  return { status, stderr };
}

test('layout.gen.ts is what the compiler laid out', () => {
  expect(check(root)).toEqual({ status: 0, stderr: '' });
});

test('a field that moves in the header is noticed', () => {
  for (const part of ['bpf', 'src/kernel/layout.gen.ts'])
    cpSync(join(root, part), join(copy, part), { recursive: true });
  mkdirSync(join(copy, 'build'));
  const header = join(copy, 'bpf/event.h');
  const text = readFileSync(header, 'utf8');
  const moved = text.replace('struct run_state {\n', 'struct run_state {\n\t__u32 fresh;\n');
  expect(moved).not.toBe(text);
  writeFileSync(header, moved);
  execFileSync('sh', [join(copy, 'bpf/build.sh')]);
  const { status, stderr } = check(copy);
  expect(status).toBe(1);
  expect(stderr).toContain('does not match the compiled object');
});

/** Of what is pinned and taken over by the next version: the number of its shape, and what has it. */
const PINNED = { layout: 'v4', code: '7f34507d000a3043' };

test('who changes what is pinned gives it another number: a version that took it over would misread it', () => {
  const code = ['event.h', 'maps.bpf.h'].map((name) =>
    readFileSync(join(root, 'bpf', name), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*|\s+/g, ''),
  );
  const layout = /\/(v\d+)\//.exec(pinDirectory('any'))?.[1];
  expect(
    { layout, code: hash('sha256', code.join()).slice(0, 16) },
    'raise LAYOUT_VERSION in src/kernel/pins.ts unless shape and meaning are as they were, and note both here',
  ).toEqual(PINNED);
});
