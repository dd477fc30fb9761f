import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepareClients } from './clients.ts';
import { type Ground, type Guarded, openGround } from './ground.ts';

const policy = (word: string): string => `version: 1
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
      - { host: api.prod.internal }
    dns: { on_deny: ${word} }
`;
const SEARCH = ['search corp.internal prod.internal'];

const directory = mkdtempSync(path.join(tmpdir(), 'acyclic-on-deny-'));
const clients = prepareClients(directory);
let ground: Ground;
beforeAll(async () => {
  ground = await openGround(policy('nxdomain'), {
    hosts: {
      'unlisted.example': ['10.86.0.60'],
      'api.corp.internal': ['10.86.0.60'],
      'api.prod.internal': ['10.86.0.20', '2001:db8:86::20'],
    },
  });
});
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await ground.close();
});

describe.each(clients.map((client) => [client.name, client] as const))('%s', (_, client) => {
  const run = (word: string, names: readonly string[]): Promise<Guarded> =>
    ground.guarded(client.argv(names), { policy: policy(word), resolv: SEARCH });

  test('refuse: denied names fail promptly, told first and once, and the search list goes on', async () => {
    const { output, ms, denials, asked } = await run('refuse', [
      'github.com',
      'api',
      'lost',
      'tools.mirror.internal',
    ]);
    expect(output).toContain('tools.mirror.internal open\n');
    const denied = ['github.com', 'lost', ...(client.searches ? [] : ['api'])];
    if (client.searches) expect(output, output).toContain('api open\n');
    for (const name of denied) {
      expect(output.split(`→ ${name} (dns)`), output).toHaveLength(2);
      expect(output.indexOf(`${name} no\n`)).toBeGreaterThan(output.indexOf(`→ ${name} (dns)`));
    }
    expect(output).toContain('saw      lookup = REFUSED');
    expect(denials).toBe(denied.length);
    expect(ms).toBeLessThan(15_000);
    expect(asked.filter((detail) => /github|lost|corp\.internal/.test(detail))).toEqual([]);
  });

  test('resolve: what a rule denies is answered and its calls are denied; other names are not answered', async () => {
    const before = (await ground.lab.world.connections()).length;
    const { output, denials, asked, events } = await run('resolve', [
      'github.com',
      'unlisted.example',
      'api',
    ]);
    expect(output).toContain(client.connects ? 'github.com no\n' : 'github.com open\n');
    expect(output).toMatch(/denied \S+ → github\.com \(dns\)\n(?: {2}.*\n)* {2}saw +lookup = NOERROR/);
    expect(output).toContain('unlisted.example no\n');
    if (client.searches) expect(output, output).toContain('api open\n');
    expect(asked.some((detail) => /^github\.com A/.test(detail))).toBe(true);
    expect(asked.filter((detail) => /unlisted|corp\.internal/.test(detail))).toEqual([]);
    const calls = events.filter(
      ({ kind, destination }) => kind === 'connect' && destination.service === 'github',
    );
    expect(calls.map(({ verdict }) => verdict)).toEqual(calls.map(() => 'deny'));
    expect(calls.length > 0).toBe(client.connects);
    // github.com and each of its addresses that was called, unlisted.example, and api where nobody searches.
    expect(denials).toBe(2 + calls.length + (client.searches ? 0 : 1));
    const arrived = (await ground.lab.world.connections()).slice(before);
    expect(arrived.filter(({ address }) => /^(192\.0\.2\.|2001:db8:9:)/.test(address))).toEqual([]);
  });
});
