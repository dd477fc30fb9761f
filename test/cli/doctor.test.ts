import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { findCgroup2 } from '../../src/kernel/mounts.ts';
import { pinDirectory } from '../../src/kernel/pins.ts';
import { foreignProgram } from './foreign-program.ts';

const acyclic = fileURLToPath(new URL('../../bin/acyclic', import.meta.url));

const { withForeignProgram, remove } = foreignProgram();
afterAll(remove);

interface Said {
  readonly able: boolean;
  readonly findings: readonly { name: string; state: string; detail: string; remedy: string | null }[];
  readonly cost: { set_up_ms: number; call: { bare_us: number; guarded_us: number; ratio: number } } | null;
}

/** What `doctor --json` says to a shell that runs it as `$1`. */
function examine(script = 'exec "$1" doctor --json') {
  const argv = ['--mount', 'sh', '-c', script, 'sh', acyclic];
  const { status, stdout, stderr } = spawnSync('unshare', argv, { encoding: 'utf8' });
  const said = JSON.parse(stdout) as Said;
  const states = Object.fromEntries(said.findings.map(({ name, state }) => [name, state]));
  return { status, said, states, stderr };
}

function traces(pid: number): string[] {
  const pins = dirname(pinDirectory('one'));
  return [...readdirSync(findCgroup2()), ...(existsSync(pins) ? readdirSync(pins) : [])].filter((name) =>
    name.endsWith(`probe-${pid}`),
  );
}

test('a run can be guarded on this machine: 0, what it costs, and nothing left behind', async () => {
  const child = spawn(acyclic, ['doctor', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const text = (await child.stdout.toArray()).join('');
  if (child.exitCode === null) await once(child, 'exit');
  const { able, findings, cost } = JSON.parse(text) as Said;
  expect(findings.filter(({ state }) => state === 'missing')).toEqual([]);
  expect({ able, status: child.exitCode }).toEqual({ able: true, status: 0 });
  expect(findings.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['BTF', 'programs load', 'attach', 'start inside', 'sock_diag', 'guarded run']),
  );
  expect(cost?.call.bare_us).toBeGreaterThan(0);
  expect(cost?.call.ratio).toBeLessThan(5);
  expect(traces(child.pid ?? 0)).toEqual([]);
});

test('the table has a line for each, and ends with the answer', () => {
  const { stdout, stderr } = spawnSync(acyclic, ['doctor'], { encoding: 'utf8' });
  expect(stderr).toBe('');
  const lines = stdout.trimEnd().split('\n');
  expect(lines.at(-1)).toBe('a run can be guarded here');
  for (const line of lines.slice(0, -1)) expect(line).toMatch(/^(ok|missing|optional|cost|) +\S/);
  expect(stdout).toMatch(/^cost +a call +[\d.]+ µs bare, [\d.]+ µs guarded: [\d.]+×/m);
});

test.each([
  ['without cgroup v2', 'umount -a -t cgroup2; exec "$1" doctor --json', 'cgroup v2'],
  ['without BTF', 'mount -t tmpfs none /sys/kernel/btf; exec "$1" doctor --json', 'BTF'],
  ['without root', 'exec setpriv --reuid=65534 --clear-groups "$1" doctor --json', 'privileges'],
  ['on an old kernel', 'exec setarch --uname-2.6 "$1" doctor --json', 'kernel'],
])('%s it is 1, the cause first and told once, with a remedy for all', (_, script, cause) => {
  const { status, said } = examine(script);
  expect({ status, able: said.able, cost: said.cost }).toEqual({ status: 1, able: false, cost: null });
  const missing = said.findings.filter(({ state }) => state === 'missing');
  expect(missing[0]?.name).toBe(cause);
  expect(missing.filter(({ detail }) => detail === missing[0]?.detail)).toHaveLength(1);
  for (const { remedy } of missing) expect(remedy).toBeTruthy();
});

test('where lo is down a run can be guarded, and that is said', () => {
  const { status, states, said } = examine('exec unshare --net "$1" doctor --json');
  expect({ status, proxy: states['DNS proxy'] }).toEqual({ status: 0, proxy: 'optional' });
  expect(said.cost).toMatchObject({ call: null });
});

test('a program above that forbids others is named by the run it stops, and by doctor', () => {
  withForeignProgram([], (enter, cgroup) => {
    const argv = ['-c', `${enter} exec "$1" run -- true`, 'sh', acyclic];
    const { status, stderr } = spawnSync('sh', argv, { encoding: 'utf8' });
    const named = `program 'connect4' \\(id \\d+\\) on ${cgroup} forbids others below it`;
    expect(stderr).toMatch(new RegExp(`cannot attach connect4 .*${named}; .*BPF_F_ALLOW_MULTI`));
    expect(status).toBe(125);
    const { said, states } = examine(`${enter} exec "$1" doctor --json`);
    expect(states).toMatchObject({ attach: 'missing', 'others above': 'optional' });
    const attach = said.findings.find(({ name }) => name === 'attach');
    expect(attach?.detail).toMatch(new RegExp(named));
  });
});

test('a program above that yields to others does not stop a run, and doctor tells', () => {
  withForeignProgram(['override'], (enter) => {
    const { status, said, states } = examine(`${enter} exec "$1" doctor --json`);
    expect({ status, others: states['others above'] }).toEqual({ status: 0, others: 'optional' });
    expect(said.findings.find(({ name }) => name === 'others above')?.detail).toMatch(/does not see a run/);
  });
});

test('a program above that shares is in nobody\u2019s way', () => {
  withForeignProgram(['multi'], (enter) => {
    expect(examine(`${enter} exec "$1" doctor --json`).states).toMatchObject({ 'others above': 'ok' });
  });
});

test('a run whose Acyclic was killed stays guarded, whoever looks from where cgroups cannot be seen', async () => {
  const engine = spawn(acyclic, ['run', '--quiet', '--', 'sleep', '60'], { stdio: 'ignore' });
  const entries = () =>
    readdirSync('/run/acyclic/runs')
      .filter((name) => name.endsWith('.json'))
      .map((name) => JSON.parse(readFileSync(join('/run/acyclic/runs', name), 'utf8')))
      // Of this very engine: others run beside us.
      .find((entry) => entry.engine.pid === engine.pid && entry.command !== null);
  let entry = entries();
  for (let tries = 0; !entry && tries < 200; tries++, entry = entries()) await sleep(50);
  try {
    engine.kill('SIGKILL');
    await once(engine, 'exit');
    const pins = () => readdirSync(pinDirectory(entry.id)).length;
    const before = pins();
    expect(before).toBeGreaterThan(0);
    const { status } = examine('umount -a -t cgroup2; exec "$1" doctor --json');
    expect({ status, pins: pins() }).toEqual({ status: 1, pins: before });
  } finally {
    process.kill(entry.command.pid, 'SIGKILL');
    await sleep(100);
    spawnSync(acyclic, ['doctor']);
  }
  expect(existsSync(pinDirectory(entry.id))).toBe(false);
  expect(existsSync(entry.cgroup)).toBe(false);
});
