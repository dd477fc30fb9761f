import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recorded } from '../recorded.ts';
import { acyclic } from './harness.ts';

const directory = mkdtempSync(join(tmpdir(), 'acyclic-graph-'));
afterAll(() => rmSync(directory, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(directory, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function run(command: string, args: readonly string[], input = '') {
  const options = { cwd: directory, encoding: 'utf8', timeout: 30_000, input } as const;
  const { status, stdout, stderr } = spawnSync(command, args, options);
  return { status, stdout, stderr };
}

/** `acyclic graph ARGS`: none of it needs root. The state directory is one nobody has written to. */
const graph = (...args: string[]) => run(acyclic, ['graph', ...args, '--state', 'none']);

/** What it prints, and its exit status. */
function shown(...args: string[]): [number | null, string] {
  const { status, stdout, stderr } = graph(...args);
  expect([args, stderr]).toEqual([args, '']);
  return [status, stdout];
}

function refusal(...args: string[]): string {
  const { status, stdout, stderr } = graph(...args);
  expect({ args, status, stdout }).toEqual({ args, status: 2, stdout: '' });
  expect(stderr).toMatch(/^acyclic: /);
  return stderr;
}

const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"], owner: "@db" }
  github:
    hosts: [github.com, "*.github.com"]
    addresses: [192.0.2.0/24]
    depends_on: [mysql]
    owner: "@web"
  migrations: { hosts: [migrations.internal] }
  mirror: { hosts: [apt.internal, "*.mirror.internal"] }
deployments:
  mysql: { allow: [{ service: mirror }] }
  github: { allow: [{ service: mirror }] }
`;
/** Before mysql was enforced: what its runs call is let through. */
const WATCHED = POLICY.replace('mysql: { allow', 'mysql: { mode: audit, allow');
const today = new Date().toISOString();

/** Calls of a run of mysql, and of migrations, which is attached on another host. */
const CALLS = [
  recorded({ kind: 'dns', names: ['migrations.internal'], deployment: 'mysql', time: today }),
  recorded({
    address: '10.9.0.1',
    port: 8080,
    names: ['migrations.internal'],
    deployment: 'mysql',
    count: 3,
    time: today,
  }),
  recorded({
    kind: 'dns',
    names: ['github.com'],
    deployment: 'mysql',
    verdict: 'deny',
    rule: 'circular',
    cycle: ['mysql', 'github', 'mysql'],
    time: today,
  }),
];
const ELSEWHERE = [
  {
    ...recorded({ address: '192.0.2.7', names: ['github.com'], count: 9, time: today }),
    host: 'mig-1',
    attached: 'migrations',
    run: 'attached',
  },
];
const lines = (all: readonly object[]) => all.map((one) => `${JSON.stringify(one)}\n`).join('');

beforeAll(() => {
  write('acyclic.yaml', POLICY);
  write('watched.yaml', WATCHED);
  write('calls.jsonl', lines(CALLS));
  write('elsewhere.jsonl', lines(ELSEWHERE));
  // The same in a directory, the services in files of their own.
  const [head = '', deployments = ''] = POLICY.split(/^(?=deployments)/m);
  const services = head.split(/^(?= {2}(?:github|migrations))/m);
  write('etc/services/mysql.yaml', services[0] ?? '');
  write('etc/services/github.yaml', `version: 1\nservices:\n${services[1]}`);
  write('etc/services/rest.yaml', `version: 1\nservices:\n${services[2]}`);
  write('etc/deployments/all.yaml', `version: 1\n${deployments}`);
});

describe('acyclic graph', () => {
  test('has examples in the help of each of its commands', () => {
    for (const args of [['--help'], ['import', '--help'], ['export', '--help'], ['merge', '--help']]) {
      const { status, stdout } = run(acyclic, ['graph', ...args]);
      expect([args, status]).toEqual([args, 0]);
      expect(stdout).toMatch(/Exit status[\s\S]*Examples?:\n {2}.*acyclic graph/);
    }
  });

  test('draws deployments with what they need and what is denied to them', () => {
    expect(shown('-p', 'acyclic.yaml')).toEqual([
      0,
      `deployment mysql   acyclic.yaml:12
├─ deploys mysql @db
├─ calls mirror   allow (acyclic.yaml:12)
└─ denied 1 service, which would close a cycle
   └─ mysql → github → mysql
deployment github   acyclic.yaml:13
├─ deploys github @web
│  └─ needs mysql @db
└─ calls mirror   allow (acyclic.yaml:13)
service migrations
`,
    ]);
    expect(shown('-p', 'acyclic.yaml', '-d', 'github')[1]).not.toContain('deployment mysql');
  });

  test('is the same whether services are in one file or in files of their own', () => {
    const bare = (text: string) =>
      text
        .replaceAll(/[a-z]+(\/[a-z]+)?\.yaml:\d+/g, 'FILE')
        .split('\n')
        .sort();
    expect(bare(shown('-p', 'etc')[1])).toEqual(bare(shown('-p', 'acyclic.yaml')[1]));
    expect(shown('-p', 'etc', '--why', 'github', 'mysql')[1]).toContain(
      'depends_on (services/github.yaml:3)',
    );
  });

  test('lists cycles, the shortest first, with owners and where to cut them', () => {
    expect(shown('-p', 'acyclic.yaml', '--cycles')).toEqual([
      1,
      `deployment mysql: 1 cycle
  mysql → github → mysql   its first call is denied
    owners  mysql @db, github @web
  cheapest to cut github → mysql   depends_on (acyclic.yaml:4)   breaks 1 of 1
`,
    ]);
    expect(shown('-p', 'acyclic.yaml', '--cycles', '-d', 'github')).toEqual([0, 'no cycle\n']);
    write(
      'loop.yaml',
      'version: 1\nservices:\n  a: { depends_on: [b, c] }\n  b: { depends_on: [a] }\n  c: { depends_on: [b] }\n  x: { depends_on: [y] }\n  y: { depends_on: [x] }\ndeployments: { a: {} }\n',
    );
    const [status, stdout] = shown('-p', 'loop.yaml', '--cycles');
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /a → b → a {3}stands[\s\S]*a → c → b → a {3}stands[\s\S]*b → a .*breaks 2 of 2[\s\S]*no deployment deploys[\s\S]*x → y → x/,
    );
    expect(shown('-p', 'loop.yaml', '--cycles', '--limit', '1')[1]).toMatch(
      /the first 1 cycle[\s\S]*--limit/,
    );
    const { cycles, more } = JSON.parse(shown('-p', 'loop.yaml', '--cycles', '--format', 'json')[1]);
    expect([cycles.map(({ path }: { path: string[] }) => path.join('')), more]).toEqual([
      ['aba', 'acba', 'xyx'],
      false,
    ]);
    expect(shown('-p', 'loop.yaml')[0]).toBe(1);
  });

  test('says why, what an outage would stop, and what to restore first', () => {
    expect(shown('-p', 'acyclic.yaml', '--why', 'github', 'mysql')).toEqual([
      0,
      'github → mysql\n  github → mysql   depends_on (acyclic.yaml:4)\n',
    ]);
    expect(shown('-p', 'acyclic.yaml', '--why', 'mysql', 'github')).toEqual([
      0,
      'mysql does not need github\n',
    ]);
    const [status, impact] = shown('-p', 'acyclic.yaml', '--impact', 'mirror');
    expect([status, impact.split('\n')[0]]).toEqual([0, '2 deployments could not run if mirror were down']);
    expect(shown('-p', 'acyclic.yaml', '--impact', 'mysql')[1]).toContain('  github → github → mysql');
    expect(shown('-p', 'acyclic.yaml', '--impact', 'migrations')[1]).toBe(
      'every deployment could run if migrations were down\n',
    );
    const [order, text] = shown('-p', 'acyclic.yaml', '--restore-order');
    expect(order).toBe(0);
    const at = (name: string) => text.search(new RegExp(`^[ 0-9]*${name}$`, 'm'));
    const names = ['mirror', 'deployment mysql', 'mysql', 'github'].map(at);
    expect(names).toEqual([...names].sort((a, b) => a - b));
    expect(names[0]).toBeGreaterThanOrEqual(0);
    expect(shown('-p', 'loop.yaml', '--restore-order')[1]).toMatch(
      /a, .*each needs the others[\s\S]*loops forbid an order:\n {2}x → y → x/,
    );
    expect(shown('-p', 'loop.yaml', '--restore-order')[0]).toBe(1);
  });

  test('prints the same as JSON, and draws it for Graphviz and Mermaid', () => {
    const { services, deployments, edges } = JSON.parse(shown('-p', 'acyclic.yaml', '--json')[1]);
    expect(services.map(({ name }: { name: string }) => name)).toEqual([
      'mysql',
      'github',
      'migrations',
      'mirror',
    ]);
    expect(deployments[0].circular).toEqual([
      { service: 'github', path: ['mysql', 'github', 'mysql'], call: 'denied' },
    ]);
    expect(edges).toHaveLength(3);
    const [, dot] = shown('-p', 'acyclic.yaml', '--format', 'dot');
    expect(dot).toMatch(/^digraph acyclic \{\n[\s\S]* {2}"service:github" -> "service:mysql";\n[\s\S]*\}\n$/);
    const [, mermaid] = shown('-p', 'acyclic.yaml', '--cycles', '--format', 'mermaid');
    expect(mermaid).toMatch(/^flowchart LR\n[\s\S]*n\d+ --> n\d+\n/);
    expect(JSON.parse(shown('-p', 'acyclic.yaml', '--why', 'github', 'mysql', '--json')[1]).path).toEqual([
      'github',
      'mysql',
    ]);
    expect(
      JSON.parse(shown('-p', 'acyclic.yaml', '--impact', 'mysql', '--json')[1]).deployments,
    ).toHaveLength(1);
    expect(JSON.parse(shown('-p', 'acyclic.yaml', '--restore-order', '--json')[1]).steps[0].stage).toBe(1);
  });

  test('refuses what it cannot answer, and says what was meant', () => {
    expect(refusal('-p', 'acyclic.yaml', '--impact', 'mirrer')).toContain("did you mean 'mirror'?");
    expect(refusal('-p', 'acyclic.yaml', '--why', 'mysql', 'githb')).toContain("did you mean 'github'?");
    expect(refusal('-p', 'acyclic.yaml', '--why', 'mysql')).toContain('--why takes two names');
    expect(refusal('-p', 'acyclic.yaml', '-d', 'msyql')).toContain("did you mean 'mysql'?");
    expect(refusal('-p', 'acyclic.yaml', '--cycles', '--restore-order')).toContain('different questions');
    expect(refusal('-p', 'acyclic.yaml', '--limit', '0')).toContain('--limit cannot be');
    expect(refusal('-p', 'gone.yaml')).toContain('there is no such file');
    expect(refusal('-p', 'acyclic.yaml', '--report', 'calls.jsonl', '--from-run', 'nope')).toContain(
      'check its id',
    );
    expect(refusal('-p', 'acyclic.yaml', '--observed', 'calls.jsonl')).toMatch(
      /calls\.jsonl:1: not an observed edge/,
    );
  });
});

describe('what was seen', () => {
  const both = ['--report', 'calls.jsonl', '--report', 'elsewhere.jsonl'];

  test('closes a cycle nobody declared, and is marked as such', () => {
    const [status, tree] = shown('-p', 'watched.yaml', ...both);
    expect(status).toBe(1);
    expect(tree).toMatch(
      /calls migrations {3}seen 3 times on db-1, last \d{4}-\d\d-\d\d, nobody declared it\n.*needs github @web {3}seen 9 times on mig-1/,
    );
    expect(tree).toContain('calls mirror   allow (watched.yaml:12), never seen');
    expect(tree).toContain('stopped 1 time on db-1');
    expect(tree).toContain('cycle  mysql → migrations → github → mysql   deployment mysql');
    const [, cycles] = shown('-p', 'watched.yaml', ...both, '--cycles', '-d', 'mysql');
    expect(cycles).toMatch(
      /mysql → github → mysql {3}its first call is let through and recorded[\s\S]*mysql → migrations → github → mysql {3}stands/,
    );
    expect(shown('-p', 'watched.yaml', '--report', 'calls.jsonl')[0]).toBe(0);
  });

  test('and is denied by now closes nothing any more', () => {
    const [status, tree] = shown('-p', 'acyclic.yaml', ...both);
    expect(status).toBe(0);
    expect(tree).toMatch(
      /calls migrations {3}seen 3 times on db-1, last .*, denied now, nobody declared it\n/,
    );
    expect(shown('-p', 'acyclic.yaml', ...both, '--cycles', '-d', 'mysql')[1]).toMatch(
      /mysql → migrations → github → mysql {3}its first call is denied/,
    );
  });

  test('by one run is asked for by its id', () => {
    const [status, tree] = shown('-p', 'watched.yaml', '--report', 'calls.jsonl', '--from-run', '01JRUN');
    expect([status, tree.includes('deployment github')]).toEqual([0, false]);
    expect(shown('-p', 'watched.yaml', ...both, '--from-run', '01JRUN')[0]).toBe(1);
  });

  test('goes to another host as a file, keeps host and age there, and is not counted twice', () => {
    const exported = graph('export', '--observed', '--report', 'elsewhere.jsonl', '-p', 'watched.yaml');
    expect([exported.status, exported.stderr]).toEqual([0, '']);
    expect(JSON.parse(exported.stdout)).toEqual({
      ...{
        v: 1,
        kind: 'edge',
        from: { service: 'migrations' },
        to: 'github',
        host: 'mig-1',
        calls: 9,
        denied: 0,
      },
      ...{ first: today, last: today },
    });
    write('edges.jsonl', exported.stdout);
    const merge = (...files: string[]) => run(acyclic, ['graph', 'merge', ...files, '--state', 'state']);
    expect(merge('edges.jsonl').stdout).toBe('merged 1 edge; there are 1 now, of 1 host\n');
    expect(merge('edges.jsonl', 'edges.jsonl').stdout).toBe('merged 2 edges; there are 1 now, of 1 host\n');
    const here = run(acyclic, [
      'graph',
      '-p',
      'watched.yaml',
      '--report',
      'calls.jsonl',
      '--state',
      'state',
      '--cycles',
    ]);
    expect(here.stdout).toContain('mysql → migrations → github → mysql   stands');
    expect(
      run(acyclic, ['graph', 'export', '--observed', '--state', 'state', '-p', 'watched.yaml']).stdout,
    ).toBe(exported.stdout);
    expect(
      run(acyclic, ['graph', '--state', 'state', '-p', 'watched.yaml', 'export', '--observed']).stdout,
      'options before the subcommand are its own',
    ).toBe(exported.stdout);
    const fromFile = shown(
      '-p',
      'watched.yaml',
      '--report',
      'calls.jsonl',
      '--observed',
      'edges.jsonl',
      '--cycles',
    );
    expect(fromFile).toEqual([1, here.stdout]);
    write('bad.jsonl', `${exported.stdout}{"v":1}\n`);
    const { status, stderr } = merge('bad.jsonl');
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/^acyclic: bad\.jsonl:2: not an observed edge/),
    ]);
    expect(readFileSync(join(directory, 'state/observed.jsonl'), 'utf8')).toBe(exported.stdout);
    expect(refusal('export')).toContain('--observed');
    expect(refusal('--cycles', 'export', '--observed')).toContain(
      "--cycles is no option of 'acyclic graph export'",
    );
  });

  test('and is old is left out, unless it is asked for', () => {
    const old = ELSEWHERE.map((event) => ({ ...event, time: '2020-01-01T00:00:00.000000000Z' }));
    write('old.jsonl', lines(old));
    expect(shown('-p', 'watched.yaml', '--report', 'old.jsonl')[1]).not.toContain('mig-1');
    expect(shown('-p', 'watched.yaml', '--report', 'old.jsonl', '--since', '2019-01-01')[1]).toContain(
      'mig-1',
    );
  });

  test('is proposed for declaration as a diff; once that is applied, it is declared', () => {
    write('learn/watched.yaml', WATCHED);
    const [status, diff] = shown('-p', 'learn/watched.yaml', ...both, '--learn');
    expect(status).toBe(1);
    expect(diff).toMatch(
      /^# not proposed: deployment mysql → migrations, .*closes a cycle: mysql → migrations → github → mysql$/m,
    );
    expect(diff).toMatch(/^\+ +github # seen 9 times on mig-1, last \d{4}-\d\d-\d\d$/m);
    expect(run('patch', ['-p0'], diff)).toMatchObject({ status: 0 });
    const after = readFileSync(join(directory, 'learn/watched.yaml'), 'utf8');
    expect(
      shown('-p', 'learn/watched.yaml', '--report', 'elsewhere.jsonl', '--why', 'migrations', 'mysql')[1],
    ).toMatch(/^migrations → github → mysql\n.*depends_on \(watched\.yaml:\d+\), seen 9 times/);
    const again = graph('-p', 'learn/watched.yaml', '--report', 'elsewhere.jsonl', '--learn');
    expect(again).toEqual({
      status: 0,
      stdout: '',
      stderr: 'acyclic: nothing was seen that is not declared\n',
    });
    expect(after).not.toBe(WATCHED);
    expect(graph('-p', 'watched.yaml', '--learn').stderr).toBe('acyclic: nothing was seen\n');
  });
});

describe('acyclic graph import', () => {
  const entity = (kind: string, name: string, spec: string) =>
    `apiVersion: backstage.io/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: { type: x, owner: "group:team-a", ${spec} }\n`;

  test('makes a services file of a catalog, and says what it could not map', () => {
    write(
      'shop.yaml',
      entity('Component', 'shop', 'dependsOn: ["resource:db", "component:gone"], consumesApis: [pay]'),
    );
    write(
      'rest.yaml',
      `${entity('Resource', 'db', 'lifecycle: x')}---\n${entity('Component', 'pay', 'providesApis: [pay]')}---\n${entity('Group', 'team-a', 'children: []')}`,
    );
    const { status, stdout, stderr } = run(acyclic, [
      'graph',
      'import',
      '--backstage',
      'shop.yaml',
      'rest.yaml',
    ]);
    expect(status).toBe(1);
    expect(stderr).toBe(`acyclic: 3 services; 1 thing could not be mapped
  shop.yaml:1: component:default/shop: it depends on component:default/gone, which is not in these files
  passed over, since they are no services: 1 group
`);
    write('catalog/services/catalog.yaml', stdout);
    expect(stdout).toContain('  shop: { owner: team-a, depends_on: [pay, db] }\n');
    expect(shown('-p', 'catalog', '--why', 'shop', 'pay')[1]).toContain('shop → pay');
    const { services, unmapped } = JSON.parse(
      run(acyclic, ['graph', 'import', '--backstage', 'shop.yaml', 'rest.yaml', '--json']).stdout,
    );
    expect([services.length, unmapped.length]).toEqual([3, 1]);
    expect(run(acyclic, ['graph', 'import', '--backstage', 'rest.yaml']).status).toBe(0);
    expect(run(acyclic, ['graph', 'import', '--backstage', 'gone.yaml'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('there is no such file'),
    });
    expect(run(acyclic, ['graph', 'import'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--backstage FILE'),
    });
  });
});

describe('policy check', () => {
  const check = (...args: string[]) => run(acyclic, ['policy', 'check', ...args]);
  const DOUBTFUL = `version: 1
services:
  mysql: { hosts: [db.internal], depends_on: [vault] }
  vault: { hosts: [vault.internal], depends_on: [mysql] }
  idle: { hosts: ["*.com"] }
deployments:
  mysql:
    allow: [{ service: vault }]
    waivers: [{ service: vault, until: 2020-01-01 }]
`;

  test('has the worst first, each with its place, as text, annotations, SARIF and JSON', () => {
    write('doubt,ful.yaml', DOUBTFUL);
    const text = check('doubt,ful.yaml');
    expect(text.status).toBe(1);
    const places = [...text.stdout.matchAll(/^doubt,ful\.yaml:(\d+):\d+: warning: (.*)$/gm)].map(
      ([, line]) => line,
    );
    expect(places).toEqual(['3', '5', '9', '8', '5']);
    const github = check('doubt,ful.yaml', '--format', 'github');
    expect([github.status, github.stdout.split('\n')[0]]).toEqual([
      1,
      '::warning file=doubt%2Cful.yaml,line=3,title=acyclic::services depend on each other in a circle: mysql → vault → mysql; the cheapest edge to cut is mysql → vault',
    ]);
    const { version, runs } = JSON.parse(check('doubt,ful.yaml', '--format', 'sarif').stdout);
    const codes = ['service-cycle', 'public-suffix', 'lapsed-waiver', 'closed-rule', 'unused-service'];
    expect([version, runs[0].results.map(({ ruleId }: { ruleId: string }) => ruleId)]).toEqual([
      '2.1.0',
      codes,
    ]);
    expect(runs[0].results[0].locations[0].physicalLocation.region.startLine).toBe(3);
    const { problems } = JSON.parse(check('doubt,ful.yaml', '--format', 'json').stdout);
    expect(problems.map(({ code }: { code: string }) => code)).toEqual(codes);
  });

  test('of a mistake is an error in every format', () => {
    write('wrong.yaml', 'version: 1\nservices:\n  a: { depends_on: [b] }\n');
    expect(check('wrong.yaml', '--format', 'github').stdout).toMatch(/^::error file=wrong\.yaml,line=3,/);
    expect(JSON.parse(check('wrong.yaml', '--format', 'sarif').stdout).runs[0].results[0].level).toBe(
      'error',
    );
  });
});
