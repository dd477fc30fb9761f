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
    ...union('src/daemon/failure.ts', 'DaemonFailureCode'),
    ...union('src/daemon/client.ts', 'ClientFailureCode'),
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

test('docs/api.md lists every code the daemon answers with, every route there is, and no other', () => {
  const text = read('docs/api.md');
  const documented = [...text.matchAll(/^\| `([a-z-]+)` \| \d{3} \|/gm)].map(([, code]) => code);
  expect(documented.sort()).toEqual(union('src/daemon/contract.ts', 'ApiErrorCode').sort());
  const served = [...read('src/daemon/routes.ts').matchAll(/app\.(get|post|delete)\(\s*'([^']+)'/g)].map(
    ([, method = '', path]) => `${method.toUpperCase()} ${path}`,
  );
  const routes = [...text.matchAll(/^\| `(GET|POST|DELETE) ([^`]+)` \|/gm)].map(
    ([, method, path]) => `${method} ${path}`,
  );
  expect(routes.length).toBeGreaterThan(10);
  expect(routes.sort()).toEqual(served.sort());
});
