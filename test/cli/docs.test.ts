import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { acyclic } from './harness.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** Pages, and the commands that each shows. */
const PAGES = [
  [
    'learning',
    ['check', 'show', 'explain', 'suggest', 'replay', 'diff', 'ready'].map((name) => `policy ${name}`),
  ],
  ['lint', ['acyclic lint']],
  ['graph', ['--cycles', '--impact', '--restore-order', '--learn', 'import --backstage']],
] as const;
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
  const observed = readFileSync(join(root, 'examples/observed.jsonl'), 'utf8');
  writeFileSync(join(directory, 'observed.jsonl'), observed.replaceAll(DAY, today));
  for (const name of ['catalog-info.yaml', 'undeclared.yaml'])
    cpSync(join(root, 'examples', name), join(directory, name));
});

/** What a command of the page prints, on both its outputs. */
function outputOf(command: string): string {
  // What other tests of this machine recorded is not in the examples.
  const env = { ...process.env, ACYCLIC_STATE: join(directory, 'state') };
  const script = `acyclic() { ${acyclic} "$@"; }\n${command}`;
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script], {
    cwd: directory,
    encoding: 'utf8',
    env,
  });
  expect([command, stderr, status]).toEqual([command, '', expect.toBeOneOf([0, 1])]);
  return stdout.replaceAll(today, DAY);
}

const REGENERATE = 'regenerate: vitest run --project integration test/cli/docs.test.ts -u';

test.each(PAGES)(`docs/%s.md shows what its commands print; ${REGENERATE}`, async (name, shows) => {
  const page = readFileSync(join(root, `docs/${name}.md`), 'utf8');
  const commands = [...page.matchAll(/^\$ (.*)$/gm)].map(([, command = '']) => command).join('\n');
  for (const one of shows) expect(commands).toContain(one);
  const filled = page.replaceAll(/```console\n([\s\S]*?)```/g, (_, block: string) => {
    const shown = [...block.matchAll(/^\$ (.*)$/gm)].map(
      ([line, command = '']) => `${line}\n${outputOf(command)}`,
    );
    return `\`\`\`console\n${shown.join('')}\`\`\``;
  });
  await expect(filled).toMatchFileSnapshot(`../../docs/${name}.md`);
});
