import { spawnSync } from 'node:child_process';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const copies: string[] = [];
afterAll(() => {
  for (const copy of copies) rmSync(copy, { recursive: true });
});

/** What dependency-cruiser says of a tree with our rules and only these files: names of the rules broken. */
function broken(files: Record<string, string>): { rules: string[]; text: string } {
  const copy = mkdtempSync(join(tmpdir(), 'acyclic-layers-'));
  copies.push(copy);
  for (const name of ['.dependency-cruiser.mjs', 'tsconfig.json', 'package.json']) {
    cpSync(join(root, name), join(copy, name));
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(copy, dirname(path)), { recursive: true });
    writeFileSync(join(copy, path), text);
  }
  const tool = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs');
  const args = [tool, '--config', '.dependency-cruiser.mjs', '--output-type', 'err-long', 'src'];
  const { stdout } = spawnSync(process.execPath, args, {
    cwd: copy,
    encoding: 'utf8',
    env: { NO_COLOR: '1' },
  });
  const rules = [...stdout.matchAll(/^ {2}error ([a-z-]+):/gm)].map(([, rule]) => rule ?? '');
  return { rules: [...new Set(rules)].sort(), text: stdout };
}

/** One file that imports another. */
function importing(from: string, to: string, target = 'export const x = 1;'): Record<string, string> {
  return { [from]: `import { x } from '${to}';\nexport const y = x;\n`, [join(dirname(from), to)]: target };
}

describe('the layers', () => {
  it.each([
    ['src/model/a.ts', '../policy/x.ts', ['model-imports-down']],
    ['src/wire/a.ts', '../policy/x.ts', ['wire-imports-down']],
    ['src/graph/a.ts', '../policy/x.ts', ['graph-imports-down']],
    ['src/policy/a.ts', '../kernel/x.ts', ['policy-imports-down']],
    ['src/script/a.ts', '../policy/x.ts', ['script-imports-down']],
    ['src/cli/lint-text.ts', '../kernel/x.ts', ['lint-without-kernel']],
    ['src/audit/a.ts', '../policy/x.ts', ['audit-imports-down']],
    ['src/kernel/a.ts', '../policy/x.ts', ['kernel-imports-down']],
    ['src/dns/a.ts', '../kernel/x.ts', ['dns-imports-down']],
    ['src/guard/a.ts', '../daemon/x.ts', ['guard-imports-down']],
    ['src/guard/a.ts', '../cli/x.ts', ['cli-is-the-top', 'guard-imports-down']],
    ['src/daemon/a.ts', '../demo/x.ts', ['daemon-imports-down', 'demo-is-for-cli-and-tests']],
    ['src/demo/a.ts', '../policy/x.ts', ['demo-imports-down']],
    ['src/cli/a.ts', './x.test.ts', ['program-without-tests']],
    ['src/daemon/client.ts', '../guard/x.ts', ['client-without-guard']],
  ])('forbid %s to import %s', (from, to, rules) => {
    expect(broken(importing(from, to)).rules).toEqual(rules);
  });

  it.each([
    ['src/policy/a.ts', '../graph/x.ts'],
    ['src/wire/a.ts', '../model/name.ts'],
    ['src/guard/a.ts', '../kernel/x.ts'],
    ['src/guard/a.ts', '../script/x.ts'],
    ['src/cli/lint.ts', '../script/x.ts'],
    ['src/daemon/a.ts', '../guard/x.ts'],
    ['src/cli/a.ts', '../daemon/x.ts'],
    ['src/cli/a.ts', '../demo/x.ts'],
  ])('let %s import %s', (from, to) => {
    expect(broken(importing(from, to)).rules).toEqual([]);
  });

  it('count an import of a type', () => {
    const files = {
      'src/model/a.ts': "import type { X } from '../policy/x.ts';\nexport type Y = X;\n",
      'src/policy/x.ts': 'export type X = 1;\n',
    };
    expect(broken(files).rules).toEqual(['model-imports-down']);
  });

  it('keep policy and script pure, and let tests read files', () => {
    const reading = "import { readFileSync } from 'node:fs';\nexport const read = readFileSync;\n";
    expect(broken({ 'src/policy/a.ts': reading }).rules).toEqual(['policy-and-graph-are-pure']);
    expect(broken({ 'src/policy/a.test.ts': reading }).rules).toEqual([]);
    expect(broken({ 'src/script/a.ts': reading }).rules).toEqual(['script-is-pure']);
  });

  it('see the guard behind the client even when another module stands between', () => {
    const files = {
      'src/daemon/client.ts': "import { y } from './middle.ts';\nexport const z = y;\n",
      ...importing('src/daemon/middle.ts', '../guard/x.ts'),
    };
    expect(broken(files).rules).toEqual(['client-without-guard']);
  });

  it('see the kernel behind a command about policies, also where it is imported only when it acts', () => {
    const files = {
      'src/cli/policy-check.ts': "export const z = () => import('../guard/middle.ts');\n",
      ...importing('src/guard/middle.ts', '../kernel/x.ts'),
    };
    expect(broken(files).rules).toEqual(['policy-commands-without-kernel']);
  });

  it('find cycles, imports of nothing, and packages that do not ship', () => {
    const circle = importing('src/cli/a.ts', './b.ts', "import { y } from './a.ts';\nexport const x = y;\n");
    expect(broken(circle).rules).toEqual(['no-cycles']);
    expect(broken({ 'src/cli/a.ts': "import { x } from './gone.ts';\nexport const y = x;\n" }).rules).toEqual(
      ['resolvable'],
    );
    expect(broken({ 'src/cli/a.ts': "import fc from 'fast-check';\nexport const y = fc;\n" }).rules).toEqual([
      'program-without-dev-packages',
    ]);
  });

  it('say why they exist when they are broken', () => {
    expect(broken(importing('src/policy/a.ts', '../kernel/x.ts')).text).toMatch(
      /can be tested against the\s+kernel/,
    );
  });
});

describe('the house rules', () => {
  const sources = globSync('{src,test,bench,packaging,native,bpf}/**/*.{ts,c,h,sh}', { cwd: root }).filter(
    (path) => !path.endsWith('.gen.ts'),
  );
  const read = (path: string) => readFileSync(join(root, path), 'utf8');

  it('no file is over 500 lines', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(sources.filter((path) => read(path).split('\n').length > 501)).toEqual([]);
  });

  it('only src/kernel loads the addon', () => {
    const loads = /process\.dlopen|acyclic\.node\b/;
    const loaders = sources.filter(
      (path) => path.startsWith('src/') && !path.endsWith('.test.ts') && loads.test(read(path)),
    );
    expect(loaders.filter((path) => !path.startsWith('src/kernel/'))).toEqual([]);
  });

  it('no file is a drawer for things without an owner', () => {
    expect(sources.filter((path) => /(^|\/)(utils?|types|helpers|common|index)\.ts$/.test(path))).toEqual([]);
  });
});
