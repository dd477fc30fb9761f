import { existsSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parseReport } from '../report.ts';
import { acyclic, openPlace, type Place, remains, STRICT, until } from './harness.ts';
import { transparencyCases } from './transparency-cases.ts';

let place: Place;
let policy: string;
beforeAll(() => {
  place = openPlace();
  policy = place.file('policy.yaml', STRICT);
});
afterAll(() => place.close());
afterEach(async () => await until(() => remains().length === 0, `nothing left: ${remains().join(', ')}`));

const guarded = (...command: string[]) => [acyclic, 'run', '--quiet', '-p', policy, '--', ...command];
const isAlive = (pid: number) =>
  existsSync(`/proc/${pid}/stat`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

describe('the command finds everything as without Acyclic', () => {
  transparencyCases(() => place, guarded);

  test('a signal during set-up undoes it', async () => {
    for (const delay of [60, 120, 160, 200, 240, 300, 360]) {
      const child = place.start([acyclic, 'run', '-p', policy, '--', 'sleep', '20'], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let said = '';
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
      const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)));
      await new Promise((resolve) => setTimeout(resolve, delay));
      child.kill('SIGTERM');
      const how = await ended;
      expect([143, 'SIGTERM']).toContain(how);
      // Who held the signal says why there was no command; a command that had it is in the summary.
      if (how === 143) expect(said).toMatch(/ended by SIGTERM before the command was started|exit 143/);
    }
  });
});

describe('what the command leaves running', () => {
  const leave = 'setsid sleep 300 >/dev/null 2>&1 & echo $!';

  test('lives on, unguarded, in the cgroup the run was started from, and is listed', () => {
    const { stdout, stderr } = place.run(['run', '-p', policy, '--', 'bash', '-c', leave]);
    const pid = Number(stdout);
    expect(stderr).toMatch(new RegExp(`left +\\w+\\[${pid}\\] goes on, unguarded`));
    const own = readFileSync('/proc/self/cgroup', 'utf8').match(/^0::.*$/m)?.[0];
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toContain(own);
    process.kill(pid);
  });

  test('--leftover kill ends it', () => {
    const { stdout, stderr } = place.run([
      'run',
      '-p',
      policy,
      '--leftover',
      'kill',
      '--',
      'bash',
      '-c',
      leave,
    ]);
    expect(stderr).toMatch(/left +\w+\[\d+\] killed/);
    expect(isAlive(Number(stdout))).toBe(false);
  });

  test('a server in a cgroup of its own inside the run is released too', () => {
    const script = `c=$(sed -n 's/^0:://p' /proc/self/cgroup); m=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)
mkdir "$m$c/inner" && echo $$ > "$m$c/inner/cgroup.procs" && ${leave}`;
    const { stdout, status } = place.run(['run', '-p', policy, '--', 'bash', '-c', script]);
    expect(status).toBe(0);
    process.kill(Number(stdout));
  });
});

describe('kill -9', () => {
  test('of the command’s children leaves nothing', () => {
    expect(place.bare(guarded('bash', '-c', 'sleep 60 & kill -9 $!; wait $!')).status).toBe(137);
  });

  test('of Acyclic leaves the command guarded, without names; the next run clears what remains', async () => {
    const script = place.file(
      'orphan.sh',
      `#!/bin/bash
: > started; while [ ! -e go ]; do sleep 0.05; done
(exec 3<>/dev/tcp/192.0.2.7/443) 2> tcp
getent hosts github.com > names; echo "rc $?" >> names
(exec 3<>/dev/tcp/127.0.0.1/9) 2> loopback
: > done`,
    );
    const child = place.start(['bash', '-c', `exec "$@"`, 'bash', ...guarded(script)], { stdio: 'ignore' });
    const path = (name: string) => `${place.directory}/${name}`;
    await until(() => existsSync(path('started')), 'the command to start');
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    await new Promise((resolve) => setTimeout(resolve, 2200));
    expect(place.run(['run', '-p', policy, '--', 'true']).stderr).toMatch(
      /lost Acyclic and goes on under its last policy/,
    );
    const start = performance.now();
    place.file('go', '');
    await until(() => existsSync(path('done')), 'the command to end');
    expect(performance.now() - start).toBeLessThan(2000);
    expect(readFileSync(path('tcp'), 'utf8')).toContain('Operation not permitted');
    expect(readFileSync(path('names'), 'utf8')).toBe('rc 2\n');
    expect(readFileSync(path('loopback'), 'utf8')).toContain('Connection refused');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(place.run(['run', '-p', policy, '--', 'true']).stderr).toMatch(/cleared what run \w{26} left/);
  });
});

describe('--break-glass', () => {
  test('runs in audit, says so loudly, and leaves a record', () => {
    const reason = `INC-${process.pid}`;
    const { stderr } = place.run([
      'run',
      '--quiet',
      '-p',
      policy,
      '--break-glass',
      reason,
      '--',
      'bash',
      '-c',
      'exec 3<>/dev/tcp/192.0.2.7/1',
    ]);
    expect(stderr).toContain(`acyclic: BREAK GLASS: nothing is denied to this run: ${reason}`);
    expect(stderr).toContain('Network is unreachable');
    const listed = place.run(['audit', 'list', '--kind', 'policy', '--json']).stdout;
    expect(parseReport(listed).at(-1)).toMatchObject({
      kind: 'policy',
      rule: { kind: 'option', reason },
      process: { uid: 0 },
    });
  });

  test('runs unguarded where no guard can be had', () => {
    const { status, stdout, stderr } = place.bare([
      ...['unshare', '--mount', 'sh', '-c', 'umount -a -t cgroup2; exec "$@"', 'sh'],
      ...[acyclic, 'run', '--break-glass', 'no cgroups', '--', 'echo', 'ran'],
    ]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'ran\n' });
    expect(stderr).toContain('acyclic: UNGUARDED');
    const [run] = place.run(['runs', '-n', '1', '--json']).stdout.split('\n');
    expect(JSON.parse(run ?? '')).toMatchObject({
      mode: 'unguarded',
      command: ['echo', 'ran'],
      state: 'ended',
    });
  });

  test('a broken policy does not stop it', () => {
    const broken = place.file('broken.yaml', 'version: 2\n');
    const { status, stderr } = place.run([
      'run',
      '-p',
      broken,
      '--break-glass',
      'broken policy',
      '--',
      'true',
    ]);
    expect(status).toBe(0);
    expect(stderr).toContain('the policy is not used');
  });
});
