import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { compile } from './compile.ts';
import { parsePolicy } from './parse.ts';
import { formatProblem, problemCodes } from './problem.ts';

const root = new URL('../../', import.meta.url);
const text = readFileSync(new URL('docs/policy.md', root), 'utf8');
const units = readFileSync(new URL('docs/units.md', root), 'utf8');
const examples = [...(text + units).matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = '']) => yaml);
const shipped = readFileSync(new URL('examples/policy.yaml', root), 'utf8');

test.each([...examples, shipped].map((yaml, i) => [i + 1, yaml] as const))(
  'example %i parses and compiles',
  (_, yaml) => {
    const { policy, problems } = parsePolicy([{ path: 'acyclic.yaml', text: yaml }]);
    expect(problems.map(formatProblem)).toEqual([]);
    const [deployment = null] = policy?.deployments.keys() ?? [];
    const none = { deployment, allow: [], deny: [], default: null, mode: null, ownAddresses: [] };
    expect(compile(policy, { ...none, now: new Date(0) }).mode).toBe('enforce');
  },
);

test('docs/policy.md lists every code of the catalogue in its words, and no other', () => {
  const listed = [...text.matchAll(/^\| `([a-z-]+)` \| (.*) \|$/gm)].map(([, code, says]) => [code, says]);
  const codes = listed.slice(listed.findIndex(([code]) => code === 'no-files'));
  expect(Object.fromEntries(codes)).toEqual(problemCodes);
});
