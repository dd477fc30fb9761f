import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8');

/** The literals of a union type, as written. */
function union(path: string, name: string): string[] {
  const body = new RegExp(`export type ${name} =([^;]*);`).exec(read(path))?.[1] ?? '';
  return [...body.matchAll(/'([a-z0-9-]+)'/g)].map(([, code = '']) => code);
}

test('docs/errors.md lists every error code there is, and no other', () => {
  const declared = [
    ...union('src/kernel/failure.ts', 'SetupFailureCode'),
    ...union('src/cli/output.ts', 'FailureCode'),
    ...union('src/audit/failure.ts', 'AuditFailureCode'),
    'policy',
    'command',
    'report',
    'edges',
    'catalog',
  ];
  const documented = [...read('docs/errors.md').matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map(([, code]) => code);
  expect(declared.length).toBeGreaterThan(15);
  expect(documented.sort()).toEqual(declared.sort());
});
