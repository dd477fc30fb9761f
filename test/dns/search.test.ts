import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ground, type GuardedOptions, openGround } from './ground.ts';

const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com, "*.github.com"], depends_on: [mysql] }
  migrations: { hosts: ["*.migrations.internal"], depends_on: [github] }
deployments:
  mysql:
    allow:
      - { host: "*.prod.internal" }
      - { host: db.prod.corp.internal }
      - { host: tools.mirror.internal }
    deny:
      - { id: no-corp, host: api.corp.internal }
`;
const MIRROR = ['10.86.0.20', '2001:db8:86::20'];
const FAIL_ON_DENY = ['--fail-on', 'deny'];
const SEARCH = ['search corp.internal prod.internal'];
const MANY_NDOTS = [...SEARCH, 'options ndots:5'];

let ground: Ground;
beforeAll(async () => {
  ground = await openGround(POLICY, {
    hosts: {
      'api.corp.internal': ['10.86.0.60'],
      'api.prod.internal': MIRROR,
      'v4.prod.internal': ['10.86.0.20'],
      'v6.prod.internal': ['2001:db8:86::20'],
      'db.prod': ['10.86.0.60'],
      'db.prod.corp.internal': MIRROR,
      'there.example.prod.internal': MIRROR,
      'far.prod.internal': ['github.com'],
    },
  });
});
afterAll(() => ground.close());

const GETADDRINFO = `
import socket, sys
for name in sys.argv[1:]:
    try: print(name, socket.getaddrinfo(name, 80)[0][4][0], flush=True)
    except OSError as error: print(name, error.strerror, flush=True)`;
const look = (...names: string[]): string[] => ['python3', '-c', GETADDRINFO, ...names];

/** Denials as `name, other names…`. */
async function denialsOf(argv: readonly string[], options: GuardedOptions = {}) {
  const run = await ground.guarded(argv, { resolv: SEARCH, flags: FAIL_ON_DENY, ...options });
  const denied = run.lookups.filter(({ verdict }) => verdict !== 'allow');
  return { ...run, denied: denied.map(({ destination }) => destination.names.join(' ')) };
}

describe('a name that is found is no denial, and does not fail a good deploy', () => {
  test.each<[string, string[], GuardedOptions]>([
    ['after a name that a rule denies', look('api'), {}],
    ['in the second place, with one family only', look('v4', 'v6'), {}],
    ['one family asked for after the other', ['getent', 'hosts', 'v4'], {}],
    ['of several labels, after it was asked for as it is', look('db.prod'), {}],
    ['as it is, after its expansions', look('tools.mirror.internal'), { resolv: MANY_NDOTS }],
    ['by LOCALDOMAIN', look('api'), { resolv: [], env: { LOCALDOMAIN: 'corp.internal prod.internal' } }],
    ['with RES_OPTIONS', look('tools.mirror.internal'), { env: { RES_OPTIONS: 'ndots:5' } }],
    [
      'by the resolv.conf that the command laid over its own',
      [
        ...['unshare', '--mount', 'sh', '-c'],
        'printf "nameserver 10.86.0.53\\nsearch corp.internal prod.internal\\n" > own.conf; mount --bind own.conf /etc/resolv.conf; exec "$@"',
        ...['sh', ...look('api')],
      ],
      { resolv: [] },
    ],
    [
      'by a resolv.conf behind a link of another root',
      [
        ...['unshare', '--mount', 'sh', '-c'],
        `mkdir -p root/etc root/run; printf "nameserver 10.86.0.53\\nsearch corp.internal prod.internal\\n" > root/run/own.conf
ln -sf /run/own.conf root/etc/resolv.conf; for d in usr lib lib64 bin dev; do [ -e /$d ] && mkdir -p root/$d && mount --rbind /$d root/$d; done
exec chroot root "$@"`,
        ...['sh', ...look('api')],
      ],
      { resolv: [] },
    ],
  ])('%s', async (_, argv, options) => {
    const { code, output, denied, asked } = await denialsOf(argv, options);
    expect(denied, output).toEqual([]);
    expect(code, output).toBe(0);
    expect(output).toMatch(/10\.86\.0\.20|2001:db8:86::20/);
    expect(output).not.toContain('acyclic: denied');
    expect(asked.filter((detail) => /^(api\.corp|db\.prod |\S+\.corp\.internal\.)/.test(detail))).toEqual([]);
  });

  test('nor is a name that is allowed and does not exist', async () => {
    const { denied, output, code } = await denialsOf(look('nowhere.prod.internal'));
    expect({ denied, code }, output).toEqual({ denied: [], code: 0 });
    expect(output).toContain('nowhere.prod.internal Name or service not known');
  });
});

describe('a name that is not found is one denial, told first', () => {
  test.each<[string, string[], GuardedOptions, RegExp, string[]]>([
    [
      'of a single label',
      look('lost'),
      {},
      /denied python3\[\d+\] → lost \(dns\)\n {2}rule +default/,
      ['lost lost.corp.internal lost.prod.internal'],
    ],
    [
      'with its cycle, though its expansions come first',
      look('github.com'),
      { resolv: MANY_NDOTS },
      /→ github\.com \(dns\)\n {2}cycle +mysql → github → mysql/,
      ['github.com github.com.corp.internal github.com.prod.internal'],
    ],
    [
      'with the cycle of an expansion',
      look('db'),
      { resolv: ['search migrations.internal'] },
      /→ db \(dns\)\n {2}cycle +mysql → migrations → github → mysql/,
      ['db db.migrations.internal'],
    ],
    [
      'asked for as it is, though an expansion is allowed',
      look('evil.example'),
      {},
      /→ evil\.example \(dns\)\n {2}rule +default/,
      ['evil.example evil.example.corp.internal evil.example.prod.internal'],
    ],
    [
      'that a rule denies, though an expansion is found',
      look('api.corp.internal'),
      { resolv: ['search prod.internal'] },
      /→ api\.corp\.internal \(dns\)\n {2}rule +deny no-corp/,
      ['api.corp.internal api.corp.internal.prod.internal'],
    ],
    [
      'whose expansion leads to a denied name',
      look('far'),
      {},
      /→ far \(dns\)\n {2}cycle/,
      ['far far.prod.internal github.com far.corp.internal'],
    ],
    [
      'asked for without the list',
      ['dig', '+short', 'evil.example'],
      {},
      /→ evil\.example \(dns\)/,
      ['evil.example'],
    ],
    [
      'with a final dot',
      look('lost.corp.internal.'),
      {},
      /→ lost\.corp\.internal \(dns\)/,
      ['lost.corp.internal'],
    ],
  ])('%s', async (_, argv, options, message, names) => {
    const { code, output, denied, denials } = await denialsOf(argv, options);
    expect(denied, output).toEqual(names);
    expect(denials).toBe(1);
    expect(code).toBe(122);
    expect(output).toMatch(message);
    expect(output.match(/acyclic: denied/g)).toHaveLength(1);
    const own = /(Name or service not known|Temporary failure)/.exec(output);
    if (own) expect(own.index).toBeGreaterThan(output.indexOf('acyclic: denied'));
  });

  test('though the list would have found it, where nobody went on: told when the process ended', async () => {
    const { denied, output } = await denialsOf(['dig', '+short', 'there.example']);
    expect(denied, output).toEqual(['there.example']);
    expect(output).toMatch(/→ there\.example \(dns\)/);
    expect((await denialsOf(look('there.example'))).denied).toEqual([]);
  });
});

test('a retry loop is one message, and a count of what was asked for', async () => {
  const { denials, output } = await denialsOf(look(...Array.from({ length: 20 }, () => 'github.com')));
  expect(denials).toBe(20);
  expect(output.match(/acyclic: denied/g)).toHaveLength(1);
});

test('threads that ask at once have an attempt each', async () => {
  const program = `
import socket, threading
def look(name):
    try: socket.getaddrinfo(name, 80)
    except OSError: pass
names = ['lost-%d' % i for i in range(20)] + ['api', 'v4', 'v6']
threads = [threading.Thread(target=look, args=(name,)) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join()`;
  const { denied, output } = await denialsOf(['python3', '-c', program]);
  const expected = Array.from({ length: 20 }, (_, i) => [`lost-${i}`, '.corp.internal', '.prod.internal']);
  const names = expected.map(([name = '', ...ends]) =>
    [name, ...ends.map((end) => `${name}${end}`)].join(' '),
  );
  expect([...denied].sort(), output).toEqual(names.sort());
});

describe('audit changes nothing, and counts the same', () => {
  test.each<[string, string[], GuardedOptions, string[]]>([
    ['a name found after others', look('v4'), {}, []],
    ['a name found by one family after the other', ['getent', 'hosts', 'v4'], {}, []],
    ['a name found as it is', look('tools.mirror.internal'), { resolv: MANY_NDOTS }, []],
    ['a name not found', look('lost'), {}, ['lost lost.corp.internal lost.prod.internal']],
    ['a denied name that is found', look('github.com'), {}, ['github.com']],
    ['a denied expansion that is found', look('api'), {}, ['api.corp.internal']],
  ])('%s', async (_, argv, options, names) => {
    const flags = ['--audit', ...FAIL_ON_DENY];
    const { code, denied, asked, output } = await denialsOf(argv, { ...options, flags });
    expect(denied, output).toEqual(names);
    expect(code).toBe(names.length > 0 ? 122 : 0);
    expect(output).not.toContain('acyclic: denied');
    expect(asked.length).toBeGreaterThan(1);
  });
});
