import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { AppliedPolicy, CreatedRun, Entry } from '../../src/daemon/answers.ts';
import { type Hosted, hostForAll } from './host.ts';

let hosted: Hosted;
hostForAll((one) => {
  hosted = one;
});

/** Milliseconds after a run was asked for: some are within its setting up, whatever this machine takes for that. */
const DELAYS = Array.from({ length: 16 }, (_, n) => 4 * n);
/** Its programs are looked up while the run is set up, which takes a moment. */
const SCRIPT =
  'curl -s x.example; git fetch; python3 a.py; ssh b.example; dpkg -l; tar c .; gzip a; make b\n';
const policyOf = (n: number) => `version: 1
services: { mysql: { addresses: [127.1.0.${n + 1}] } }
deployments: { mysql: { mode: enforce, default: allow } }
`;

const ask = <T>(route: string, body: object) => hosted.client.request<T>('POST', route, { body });
const end = (id: string) => ask(`/v1/runs/${id}/end`, { status: 0, timedOut: false });

/** A run of this process's, set up while something is changed. */
async function setUpWhile<T>(after: number, change: () => Promise<T>): Promise<[CreatedRun, T]> {
  const file = hosted.place.file('deploy.sh', SCRIPT);
  const body = {
    ...{ deployment: null, file, command: [file], cwd: '/', path: '/usr/bin:/bin', home: null },
    ...{ labels: {}, mode: null, requireEnforce: false, allow: [], deny: [], default: null, failOn: 'never' },
    ...{ leftover: 'release', limits: { cpu: null, memory: null, tasks: null }, syscalls: false },
    breakGlass: null,
  };
  return await Promise.all([ask<CreatedRun>('/v1/runs', body), sleep(after).then(change)]);
}

/** What becomes of a call in a run. */
async function call(run: string, address: string): Promise<string> {
  const script = `read go; (exec 3<>/dev/tcp/${address}/9) 2>&1`;
  const child = spawn('bash', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
  const said = text(child.stdout);
  await ask(`/v1/runs/${run}/command`, { pid: child.pid });
  child.stdin.end('go\n');
  return await said;
}

test('a run that is set up while the policy changes goes by the new one', async () => {
  for (const after of DELAYS) {
    const files = [{ path: 'acyclic.yaml', text: policyOf(after) }];
    const [{ id }, applied] = await setUpWhile(after, () =>
      ask<AppliedPolicy>('/v1/policy/apply', { files }),
    );
    const run = (await hosted.status()).runs.find((one) => one.id === id);
    expect(run?.policy, `changed after ${after} ms`).toBe(applied.id);
    await end(id);
  }
});

test('so does one that is set up while a live entry is made', async () => {
  for (const after of DELAYS) {
    const destination = `127.4.0.${after + 1}`;
    const entry = { verdict: 'deny', destination, seconds: 60, reason: 'tried' };
    const [{ id }] = await setUpWhile(after, () => ask<Entry>('/v1/entries', entry));
    expect(await call(id, destination), `made after ${after} ms`).toContain('not permitted');
    await end(id);
  }
});
