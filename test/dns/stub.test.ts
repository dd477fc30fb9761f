import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resolvedScript, systemdResolved } from '../lab/debian-package.ts';
import { prepareClients } from './clients.ts';
import { type Ground, type Guarded, openGround } from './ground.ts';

const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github:
    hosts: [github.com, "*.github.com"]
    addresses: [192.0.2.0/24, "2001:db8:9::/48"]
    depends_on: [mysql]
deployments:
  mysql: { allow: [{ host: "*.mirror.internal" }, { host: cdn.example }, { host: api.prod.internal }] }
`;
const NAMES = ['tools.mirror.internal', 'github.com', 'cdn.example', 'api', 'lost'];
const STUB = {
  servers: ['127.0.0.53'],
  resolv: ['search corp.internal prod.internal', 'options edns0 trust-ad'],
};

const directory = mkdtempSync(path.join(tmpdir(), 'acyclic-stub-'));
const clients = prepareClients(directory);
let ground: Ground;
let resolved: ChildProcess;
beforeAll(async () => {
  ground = await openGround(POLICY, { hosts: { 'api.prod.internal': ['10.86.0.20', '2001:db8:86::20'] } });
  const script = `set -- "$1"\n${resolvedScript(systemdResolved())}echo ready; wait`;
  const settings = 'DNS=10.86.0.53\nFallbackDNS=\nDNSSEC=no\nLLMNR=no\nMulticastDNS=no\nCache=no';
  resolved = ground.lab.client.spawn(['bash', '-c', script, 'bash', settings]);
  if (!resolved.stdout) throw new Error('no output of systemd-resolved');
  await once(resolved.stdout, 'data');
});
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await ground.close();
});

test('the stub answers outside a run, so that what follows is about the run', async () => {
  const { stdout } = await ground.lab.client.run(['dig', '+short', '@127.0.0.53', 'github.com']);
  expect(stdout).toBe('192.0.2.7\n');
});

describe.each(clients.map((client) => [client.name, client] as const))(
  'systemd-resolved’s stub, asked by %s',
  (_, client) => {
    let run: Guarded;
    beforeAll(async () => {
      run = await ground.guarded(client.argv(NAMES), STUB);
    });

    test('what is allowed works, what is denied is told first and never reaches the stub', () => {
      expect(run.output).toContain('tools.mirror.internal open\n');
      if (client.searches) expect(run.output).toContain('api open\n');
      for (const name of ['github.com', 'cdn.example', 'lost']) {
        expect(run.output.indexOf(`→ ${name} (dns)`), run.output).toBeGreaterThan(0);
        expect(run.output.indexOf(`${name} no\n`)).toBeGreaterThan(run.output.indexOf(`→ ${name} (dns)`));
      }
      expect(run.denials, run.output).toBe(client.searches ? 3 : 4);
      const chain = run.lookups.find(({ destination }) => destination.names[0] === 'cdn.example');
      expect(chain?.destination.names.slice(0, 3)).toEqual(['cdn.example', 'www.github.com', 'github.com']);
      // The stub follows aliases with questions of its own: those of cdn.example, which is allowed.
      expect(run.asked.filter((detail) => /^(github\.com|\S*lost|\S*corp\.internal)/.test(detail))).toEqual(
        [],
      );
    });
  },
);
