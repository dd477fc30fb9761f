import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, prepareClients } from './clients.ts';
import { type Ground, type Guarded, openGround, type Told } from './ground.ts';

const PINNED = '10.86.0.77';
const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github:
    hosts: [github.com, "*.github.com"]
    addresses: [192.0.2.0/24, "2001:db8:9::/48"]
    depends_on: [mysql]
deployments:
  mysql:
    allow:
      - { host: "*.mirror.internal" }
      - { host: cdn.example }
      - { host: api.prod.internal }
      - { host: pinned.example }
`;
const SEARCH = ['search corp.internal prod.internal'];
const NAMES = [
  'tools.mirror.internal',
  'github.com',
  'unlisted.example',
  'cdn.example',
  'api',
  'lost',
  'pinned.example',
];
/** What is asked for these never leaves the host: no rule allows it. */
const SECRET = /github|unlisted|lost|corp\.internal/i;

const directory = mkdtempSync(path.join(tmpdir(), 'acyclic-clients-'));
const clients = prepareClients(directory);
let ground: Ground;
beforeAll(async () => {
  ground = await openGround(POLICY, {
    hosts: {
      'unlisted.example': ['10.86.0.60'],
      'api.corp.internal': ['10.86.0.60'],
      'api.prod.internal': ['10.86.0.20', '2001:db8:86::20'],
      'lost.corp.internal': ['10.86.0.60'],
      'kept.example': [PINNED],
    },
    etcHosts: [`${PINNED} pinned.example other.example`],
  });
});
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await ground.close();
});

const about = (run: Guarded, name: string): readonly Told[] =>
  run.lookups.filter(({ destination }) => destination.names.includes(name));

describe.each(clients.map((client) => [client.name, client] as const))('%s', (_, client: Client) => {
  let run: Guarded;
  beforeAll(async () => {
    run = await ground.guarded(client.argv(NAMES), { resolv: SEARCH });
  });

  test('an allowed name works', () => {
    expect(run.output).toContain('tools.mirror.internal open\n');
    expect(about(run, 'tools.mirror.internal')).toMatchObject([{ verdict: 'allow' }]);
  });

  test('a denied name fails promptly, and the reason is told first', () => {
    expect(run.output).toContain('github.com no\n');
    expect(run.output).toMatch(/denied \S+ → github\.com \(dns\)\n {2}cycle +mysql → github → mysql/);
    for (const name of ['github.com', 'unlisted.example', 'cdn.example']) {
      const told = run.output.indexOf(`→ ${name} (dns)`);
      expect(told, `${name}\n${run.output}`).toBeGreaterThan(0);
      expect(run.output.indexOf(`${name} no\n`)).toBeGreaterThan(told);
    }
    expect(run.ms).toBeLessThan(15_000);
  });

  test('an alias of a denied name is denied with its whole chain', () => {
    const [denial, ...more] = about(run, 'cdn.example');
    expect(more).toEqual([]);
    expect(denial).toMatchObject({ verdict: 'deny', destination: { service: 'github' } });
    expect(denial?.destination.names.slice(0, 3)).toEqual(['cdn.example', 'www.github.com', 'github.com']);
  });

  if (client.searches)
    test('a name found by the search list is one attempt, and no denial', () => {
      expect(run.output, run.output).toContain('api open\n');
      expect(about(run, 'api.prod.internal')).toMatchObject([{ verdict: 'allow' }]);
      expect(about(run, 'api.corp.internal')).toEqual([]);
      expect(run.output).not.toMatch(/→ api/);
    });

  if (client.searches)
    test('a name the search list does not find is one denial, of all that was asked', () => {
      expect(run.output).toContain('lost no\n');
      const expansions = ['lost', 'lost.corp.internal', 'lost.prod.internal'];
      const [denial, ...more] = run.lookups.filter(({ destination }) => destination.names[0] === 'lost');
      expect(more).toEqual([]);
      expect(denial).toMatchObject({ verdict: 'deny', rule: { kind: 'default' } });
      expect([...(denial?.destination.names ?? [])].sort()).toEqual(expansions);
      expect(run.output.match(/→ lost/g)).toHaveLength(1);
      expect(run.output.indexOf('lost no\n')).toBeGreaterThan(run.output.indexOf('→ lost'));
    });

  if (!client.searches)
    test('a name asked for as it is, is one denial', () => {
      for (const name of ['api', 'lost']) {
        expect(run.lookups.filter(({ destination }) => destination.names[0] === name)).toMatchObject([
          { verdict: 'deny', destination: { names: [name] } },
        ]);
      }
    });

  if (client.readsHosts)
    test('a name of /etc/hosts is known for its address', () => {
      expect(run.output).toContain('pinned.example open\n');
      expect(run.asked).not.toContain('pinned.example A');
      const calls = run.events.filter(({ destination }) => destination.address === PINNED);
      expect(calls.map(({ verdict, destination }) => [verdict, [...destination.names].sort()])).toEqual(
        client.connects ? [['allow', ['other.example', 'pinned.example']]] : [],
      );
    });

  test('every denial is told and counted once, and no denied name left the host', () => {
    expect(run.denials, run.output).toBe(client.searches ? 4 : 5);
    expect(run.output.match(/acyclic: denied/g)).toHaveLength(client.searches ? 4 : 5);
    expect(run.asked.filter((detail) => SECRET.test(detail))).toEqual([]);
    expect(run.asked.length).toBeGreaterThan(0);
  });
});
