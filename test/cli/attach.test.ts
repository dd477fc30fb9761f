import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findCgroup2 } from '../../src/kernel/mounts.ts';
import { foreignProgram } from './foreign-program.ts';
import { acyclic, byTime, openPlace, type Place, remains } from './harness.ts';
import { startAttach, startEcho, startResident } from './residents.ts';

const foreign = foreignProgram();
let place: Place;
let echo: ChildProcess;
let policy: string;
beforeAll(async () => {
  place = openPlace();
  echo = await startEcho(place);
  policy = place.file('acyclic.yaml', POLICY);
});
afterAll(() => {
  echo.kill();
  place.close();
  foreign.remove();
  expect(remains()).toEqual([]);
});

/** Services told apart by addresses of loopback, so that nothing leaves. */
const POLICY = `version: 1
services:
  mysql: { addresses: [127.1.0.1] }
  github: { addresses: [127.2.0.0/16], depends_on: [mysql] }
  migrations: { addresses: [127.3.0.1] }
deployments:
  mysql:
    allow: [{ service: migrations }]
`;

const attachTo = (...args: string[]) => place.run(['attach', ...args]);

test('a cycle through what a service was seen to call, on the cgroup it is attached to, is reported as one', async () => {
  const state = join(place.directory, 'state');
  const run = place.run([
    ...['run', '-p', policy, '--quiet', '--state', state, '--'],
    ...['bash', '-c', 'exec 3<>/dev/tcp/127.3.0.1/9 && echo migrated'],
  ]);
  expect(run).toMatchObject({ status: 0, stdout: 'migrated\n' });
  const graph = (...args: string[]) => place.run(['graph', '-p', policy, '--state', state, ...args]);
  expect(graph('--cycles').stdout).not.toContain('migrations');

  const service = await startResident(place);
  expect(await service.ask('connect 127.2.0.4')).toBe('ok');
  const where = ['--service', 'migrations', '--cgroup', service.cgroup];
  const report = place.file('seen.jsonl', '');
  const attach = await startAttach(place, [...where, '-p', policy, '--state', state, '--report', report]);
  expect(await service.ask('connect 127.2.0.7')).toBe('ok');
  expect(await service.ask('child 127.2.0.7')).toBe('ok');
  const { runs } = JSON.parse(place.run(['status', '--json', '--state', state]).stdout);
  expect(runs).toContainEqual(
    expect.objectContaining({
      ...{ run: attach.id, mode: 'audit', guarded_by: 'engine' },
      attached: { cgroup: service.cgroup, service: 'migrations' },
    }),
  );
  await service.stop();
  expect(await attach.ended).toBe(0);
  expect(attach.said()).toMatch(
    new RegExp(`^acyclic: observing migrations · audit · policy \\w{7} · attach ${attach.id}\n  in ${service.cgroup}
  left alone  python3\\[${service.pid}\\] → 127\\.2\\.0\\.4:9/tcp {3}github
acyclic: attach ${attach.id} · 2 calls to 1 destination · 0 denied · its cgroup is gone · `),
  );

  const [first, second, summary] = byTime(place.report('seen.jsonl'));
  const common = { run: attach.id, deployment: null, attached: 'migrations', verdict: 'allow' };
  expect(first).toMatchObject({
    ...common,
    destination: { address: '127.2.0.7', service: 'github' },
    process: {
      pid: service.pid,
      comm: 'python3',
      argv: [expect.stringMatching(/python3$/), '-c', expect.any(String)],
      ancestry: [],
    },
  });
  expect(second).toMatchObject({
    ...common,
    process: { comm: 'bash', argv: ['bash', '-c', expect.any(String)], ancestry: [{ pid: service.pid }] },
  });
  expect(summary).toMatchObject({
    attached: {
      ...{ cgroup: service.cgroup, service: 'migrations', ended: 'gone' },
      established: [{ pid: service.pid, address: '127.2.0.4', port: 9, protocol: 'tcp', service: 'github' }],
    },
    ...{ exit: { command: null, acyclic: 0 }, leftover: [] },
  });

  const cycles = graph('--cycles');
  expect(cycles.status).toBe(1);
  expect(cycles.stdout).toMatch(/mysql → migrations → github → mysql {3}stands/);
  expect(cycles.stdout).toMatch(/seen .*deployment mysql → migrations .*seen 1 time on/);
  expect(cycles.stdout).toMatch(/seen .*migrations → github {3}seen 2 times on/);
  const { stdout: edges } = place.run(['graph', 'export', '--observed', '-p', policy, '--state', state]);
  const exported = edges
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(exported).toContainEqual(
    expect.objectContaining({ from: { service: 'migrations' }, to: 'github', calls: 2, denied: 0 }),
  );
  const learnt = graph('--learn').stdout;
  expect(learnt).toMatch(/\+.*migrations: .*depends_on/s);
  // What a service calls is nothing that a deployment needs to be allowed.
  const suggested = place.run(['policy', 'suggest', '--state', state, '-d', 'other']);
  expect(suggested.stdout).not.toContain('127.2.0.7');
});

test('limits of a deployment are not put on what is there already, and that is said', async () => {
  const limited = place.file(
    'limited.yaml',
    POLICY.replace('  mysql:\n    allow', '  mysql:\n    limits: { tasks: 5 }\n    allow'),
  );
  const service = await startResident(place);
  const guard = await startAttach(place, ['-d', 'mysql', '-p', limited, '--cgroup', service.cgroup]);
  expect(guard.said()).toContain('what is in the cgroup is not limited');
  guard.child.kill('SIGINT');
  expect(await guard.ended).toBe(0);
  await service.stop();
});

test('in enforce what is established goes on, what is new is judged, and a server may answer', async () => {
  const service = await startResident(place);
  expect(await service.ask('connect 127.2.0.4')).toBe('ok');
  expect(await service.ask('bind')).toBe('ok');
  const report = place.file('enforced.jsonl', '');
  const attach = await startAttach(place, [
    ...['-d', 'mysql', '-p', policy, '--pid', String(service.pid), '--report', report],
  ]);
  expect(attach.said()).toMatch(/^acyclic: guarding mysql · enforce · policy \w{7} · attach /);
  expect(await service.ask('answer 127.2.0.9')).toBe('ok');
  expect(await service.ask('talk 0')).toBe('ok');
  expect(await service.ask('connect 127.2.0.4')).toBe('PermissionError');
  expect(await service.ask('child 127.2.0.4')).toBe('CalledProcessError');
  expect(await service.ask('connect 127.3.0.1')).toBe('ok');
  expect(await service.ask('talk 0')).toBe('ok');
  // Leaving is no escape: the cgroup is not one that Acyclic put anybody into.
  expect(await service.ask(`part ${findCgroup2()}`)).toBe('ok');
  expect(await service.ask(`leave ${findCgroup2()}`)).toBe('ok');
  expect(await service.ask('connect 127.2.0.4')).toBe('ok');
  attach.child.kill('SIGINT');
  expect(await attach.ended).toBe(0);
  expect(attach.said()).toMatch(
    /denied python3\S*\[\d+\] → 127\.2\.0\.4:9\/tcp[\s\S]*mysql → github → mysql/,
  );
  expect(attach.said()).toMatch(/2 denied · ended · /);
  const events = place.report('enforced.jsonl');
  expect(events.filter(({ kind }) => kind === 'escape')).toEqual([]);
  expect(events.filter(({ verdict }) => verdict === 'deny')).toMatchObject([
    { kind: 'connect', dependency: { kind: null, path: ['mysql', 'github', 'mysql'] } },
    { kind: 'connect' },
  ]);
  await service.stop();
});

test('detach ends an attach by its id or service, takes the guard off, and leaves the processes', async () => {
  const service = await startResident(place);
  const guard = await startAttach(place, ['-d', 'mysql', '-p', policy, '--cgroup', service.cgroup]);
  const watch = await startAttach(place, ['--service', 'migrations', '--cgroup', service.cgroup]);
  expect(await service.ask('connect 127.2.0.4')).toBe('PermissionError');
  const again = attachTo('--service', 'migrations', '--pid', String(service.pid));
  expect(again).toMatchObject({ status: 125, stderr: expect.stringContaining(`acyclic detach ${watch.id}`) });

  expect(place.run(['detach', 'ZZZ'])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining(`${guard.id} (mysql, ${service.cgroup})`),
  });
  const byService = place.run(['detach', '--service', 'migrations']);
  expect(byService.stdout).toBe(`detached migrations ${watch.id} from ${service.cgroup}\n`);
  expect(await watch.ended).toBe(0);
  expect(await service.ask('connect 127.2.0.4')).toBe('PermissionError');
  expect(place.run(['detach', guard.id.toLowerCase()]).status).toBe(0);
  expect(await guard.ended).toBe(0);
  expect(await service.ask('connect 127.2.0.4')).toBe('ok');
  await service.stop();
});

test('an attach that was killed is told and lifted by detach; one that only watched is cleared away', async () => {
  const service = await startResident(place);
  const guard = await startAttach(place, ['-d', 'mysql', '-p', policy, '--cgroup', service.cgroup]);
  const watch = await startAttach(place, ['--service', 'migrations', '--cgroup', service.cgroup]);
  for (const { child } of [guard, watch]) process.kill(engineOf(child.pid ?? 0), 'SIGKILL');
  await Promise.all([guard.ended, watch.ended]);
  expect(await service.ask('connect 127.2.0.4')).toBe('PermissionError');
  const next = place.run(['run', '--', 'true']);
  expect(next.stderr).toContain(`cleared what attach ${watch.id} left`);
  expect(next.stderr).toMatch(
    new RegExp(`attach ${guard.id} lost Acyclic and goes on .*; acyclic detach ${guard.id} lifts it`),
  );
  expect(place.run(['detach', '--cgroup', service.cgroup]).status).toBe(0);
  expect(await service.ask('connect 127.2.0.4')).toBe('ok');
  await service.stop();
});

/** The launcher becomes the program, so the pid is its own. */
function engineOf(pid: number): number {
  expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toContain('attach');
  return pid;
}

test('--for ends it, and a container is found by the beginning of its id', async () => {
  const id = (rest: string) => `abcdef12${rest.repeat(56)}`;
  const service = await startResident(place, `docker-${id('0')}.scope`);
  const other = join(findCgroup2(), `libpod-${id('1')}.scope`);
  mkdirSync(other);
  try {
    expect(attachTo('--container', 'abcdef12')).toMatchObject({
      status: 125,
      stderr: expect.stringMatching(/may be any of .*libpod-abcdef121/),
    });
    const attach = attachTo('--container', 'abcdef120', '--for', '300ms');
    expect(attach).toMatchObject({ status: 0, stderr: expect.stringContaining('its time is over') });
    expect(attach.stderr).toMatch(/^acyclic: observing · audit · no policy · attach /);
    expect(attach.stderr).toContain(`in ${service.cgroup}\n`);
  } finally {
    rmdirSync(other);
    await service.stop();
  }
});

test('a unit is found in the tree where no systemd can be asked', async () => {
  const service = await startResident(place, `acyclic-test-${process.pid}.service`);
  const attach = attachTo('--unit', `acyclic-test-${process.pid}`, '--for', '100ms');
  expect(attach).toMatchObject({ status: 0, stderr: expect.stringContaining(`in ${service.cgroup}\n`) });
  await service.stop();
});

test.each([
  [['--cgroup', '/nowhere'], /there is no cgroup \S+\/nowhere; see systemd-cgls/],
  [['--cgroup', '/sys/fs/cgroup/memory'], /is not in the cgroup v2 tree, which is at|there is no cgroup/],
  [['--cgroup', '/'], /the root of the cgroup tree, which holds every process of the host/],
  [['--pid', '4194303'], /there is no process 4194303/],
  [['--pid', 'x'], /--pid cannot be `x`/],
  [['--unit', 'acyclic-none'], /there is no unit acyclic-none\.service that runs/],
  [['--unit', '--help'], /is no name of a unit/],
  [['--container', 'web'], /no id of a container.*docker ps/],
  [['--container', 'abcdef00'], /there is no container abcdef00 that runs/],
  [[], /nothing was named to attach to; give one of --cgroup/],
  [['--pid', '1', '--cgroup', '/'], /--cgroup and --pid both name what to attach to/],
  [['--pid', '1', '--service', 'a', '--enforce'], /--service only records: .* -d in place of --service/],
  [['--pid', '1', '--service', 'a', '-d', 'b'], /--service and --deployment contradict/],
  [['--pid', '1', '--enforce'], /nothing says by which rules/],
])('%s is refused with what to do', (args, message) => {
  expect(attachTo(...args)).toMatchObject({ status: 125, stderr: expect.stringMatching(message) });
});

test('neither a service the policy does not have nor the cgroup of Acyclic itself is attached to', async () => {
  const service = await startResident(place);
  const misspelt = attachTo('--service', 'migratons', '-p', policy, '--cgroup', service.cgroup);
  expect(misspelt).toMatchObject({
    status: 125,
    stderr: expect.stringContaining("did you mean 'migrations'?"),
  });
  const within = `echo $$ > ${service.cgroup}/cgroup.procs; exec ${acyclic} attach --cgroup ${service.cgroup}`;
  const own = place.bare(['sh', '-c', within]);
  expect(own).toMatchObject({ status: 125, stderr: expect.stringContaining('holds Acyclic itself') });
  await service.stop();
});

test('a program of somebody else that forbids ours is named, with its cgroup', () => {
  for (const flags of [[], ['override']])
    foreign.withForeignProgram(flags, (_, cgroup) => {
      const refused = attachTo('--cgroup', cgroup);
      expect(refused.status).toBe(125);
      expect(refused.stderr).toMatch(
        new RegExp(
          `cannot attach connect4 to ${cgroup}: program 'connect4' \\(id \\d+\\) on ${cgroup} forbids`,
        ),
      );
    });
  expect(existsSync('/run/acyclic/runs') ? remains() : []).toEqual([]);
});

test('of two that attach to one cgroup at the same time, one does', async () => {
  const service = await startResident(place);
  const args = ['attach', '--cgroup', service.cgroup, '--for', '1s'];
  const both = [0, 1].map(async () => {
    const child = place.start([acyclic, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    const status = await new Promise((resolve) => child.once('close', resolve));
    return { status, said };
  });
  const [one, other] = (await Promise.all(both)).sort((a, b) => Number(a.status) - Number(b.status));
  await service.stop();
  expect(one?.status).toBe(0);
  expect(other?.status).toBe(125);
  expect(other?.said).toContain(`is attached to ${service.cgroup} already, as attach `);
});
