import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { unifiedDiff } from './unified-diff.ts';

const directory = mkdtempSync(join(tmpdir(), 'acyclic-diff-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** What git makes of a diff of the file `p.yaml`. */
function applied(before: string, diff: string): string {
  const file = join(directory, 'p.yaml');
  writeFileSync(file, before);
  const { status, stderr } = spawnSync('git', ['apply', '-p0', '--unidiff-zero', '-'], {
    cwd: directory,
    input: diff,
    encoding: 'utf8',
    env: { ...process.env, GIT_DIR: '/nowhere', GIT_CEILING_DIRECTORIES: '/' },
  });
  if (status !== 0) throw new Error(`${stderr}\n${diff}`);
  return readFileSync(file, 'utf8');
}

test('a diff has three lines of context, and names the lines it is about', () => {
  const before = 'a\nb\nc\nd\ne\nf\ng\n';
  expect(unifiedDiff('p.yaml', before, before.replace('e\n', 'e\nE\n'))).toBe(
    '--- p.yaml\n+++ p.yaml\n@@ -3,5 +3,6 @@\n c\n d\n e\n+E\n f\n g\n',
  );
  expect(unifiedDiff('p.yaml', before, before)).toBe('');
});

test('git applies every diff, to the letter', () => {
  const lines = fc.array(fc.constantFrom('a', 'b', 'c', '', 'x y'), { maxLength: 24 });
  const text = fc.tuple(lines, fc.boolean()).map(([all, ended]) => all.join('\n') + (ended ? '\n' : ''));
  fc.assert(
    fc.property(
      text.filter((all) => all !== ''),
      text.filter((all) => all !== ''),
      (before, after) => {
        const diff = unifiedDiff('p.yaml', before, after);
        if (before === after) expect(diff).toBe('');
        else expect(applied(before, diff)).toBe(after);
      },
    ),
    { numRuns: 60 },
  );
});
