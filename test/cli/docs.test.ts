import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { acyclic } from './harness.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** When the examples were recorded. */
const DAY = '2026-11-25';
const today = new Date().toISOString().slice(0, 10);

const directory = mkdtempSync(join(tmpdir(), 'acyclic-docs-'));
afterAll(() => rmSync(directory, { recursive: true }));
beforeAll(() => {
  cpSync(join(root, 'examples/policy.yaml'), join(directory, 'acyclic.yaml'));
  cpSync(join(root, 'examples/demo'), directory, { recursive: true });
  const calls = readFileSync(join(root, 'examples/calls.jsonl'), 'utf8');
  // As if it were of today, since `ready` looks back so many days.
  writeFileSync(join(directory, 'calls.jsonl'), calls.replaceAll(DAY, today));
});

/** What a command of the page prints, on both its outputs. */
function outputOf(command: string): string {
  const script = `acyclic() { ${acyclic} "$@"; }\n${command}`;
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script], { cwd: directory, encoding: 'utf8' });
  expect([command, stderr, status]).toEqual([command, '', expect.toBeOneOf([0, 1])]);
  return stdout.replaceAll(today, DAY);
}

/** The pages, and the commands each has to show. */
const PAGES = [
  [
    'learning',
    ['check', 'show', 'explain', 'suggest', 'replay', 'diff', 'ready'].map((name) => `policy ${name}`),
  ],
  ['lint', ['lint']],
] as const;

test.each(PAGES)(
  'docs/%s.md shows what its commands print; regenerate: vitest run --project integration test/cli/docs.test.ts -u',
  async (name, shows) => {
    const page = readFileSync(join(root, `docs/${name}.md`), 'utf8');
    const commands = [...page.matchAll(/^\$ (.*)$/gm)].map(([, command = '']) => command);
    for (const shown of shows) expect(commands.join('\n')).toContain(`acyclic ${shown}`);
    const filled = page.replaceAll(/```console\n([\s\S]*?)```/g, (_, block: string) => {
      const shown = [...block.matchAll(/^\$ (.*)$/gm)].map(
        ([line, command = '']) => `${line}\n${outputOf(command)}`,
      );
      return `\`\`\`console\n${shown.join('')}\`\`\``;
    });
    await expect(filled).toMatchFileSnapshot(`../../docs/${name}.md`);
  },
);
