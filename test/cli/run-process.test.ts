import { existsSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parseReport } from '../report.ts';
import { acyclic, openPlace, type Place, remains, STRICT, until } from './harness.ts';

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

/** Runs a Python program that drives a command on a terminal of its own; it prints what it saw. */
function onTerminal(steps: string, command: readonly string[]): string {
  const program = `
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
def read(seconds, until=None):
    end, seen = time.time() + seconds, b''
    while time.time() < end and not (until and until in seen):
        if select.select([fd], [], [], 0.05)[0]:
            try: seen += os.read(fd, 4096)
            except OSError: break
    sys.stdout.write(seen.decode(errors='replace')); sys.stdout.flush()
def send(text): os.write(fd, text)
${steps}
sys.stdout.write('STATUS %d' % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))`;
  return place.bare(['python3', '-c', program, ...command]).stdout;
}

describe('the command finds everything as without Acyclic', () => {
  test.each([
    ['standard input, as bytes', ['sha256sum'], '\u0000\u0001\n\u00ff'.repeat(100_000)],
    ['its environment, order and all', ['cat', '/proc/self/environ'], ''],
    ['its limits', ['cat', '/proc/self/limits'], ''],
    ['signal dispositions', ['grep', '^Sig[BIC]', '/proc/self/status'], ''],
    ['umask, directory, session', ['sh', '-c', 'umask; pwd; ps -o sid= -p $$ | wc -l'], ''],
    ['argv with odd bytes', ['printf', '%s|', '', ' a ', 'é\n', '--', '-p'], ''],
    ['descriptors', ['sh', '-c', 'exec 2>/dev/null; ls /proc/self/fd'], ''],
  ])('%s', (_, command, input) => {
    const env = {
      ...process.env,
      NODE_OPTIONS: '--max-old-space-size=99',
      'BASH_FUNC_f%%': '() { :; }',
      EMPTY: '',
    };
    const bare = place.bare(command, input, env);
    const { stdout, stderr } = place.bare(guarded(...command), input, env);
    expect({ stdout, stderr }).toEqual({ stdout: bare.stdout, stderr: bare.stderr });
    expect(bare.stdout.length).toBeGreaterThan(0);
  });

  test('standard streams stay blocking, for the command and for whoever shares them', () => {
    const flags = ['sh', '-c', 'cat /proc/self/fdinfo/0 /proc/self/fdinfo/1 | grep flags'];
    const seen = place.bare(
      ['sh', '-c', '"$@"; cat /proc/self/fdinfo/0 | grep flags', 'sh', ...guarded(...flags)],
      'x',
    );
    const nonBlocking = seen.stdout.match(/\d+/g)?.map((text) => Number.parseInt(text, 8) & 0o4000);
    expect(nonBlocking).toEqual([0, 0, 0]);
  });

  test('a signal that was ignored stays ignored (nohup), a descriptor that was open stays open', () => {
    const script = `trap '' HUP; exec 7</dev/null; exec "$@"`;
    const look = ['sh', '-c', 'grep SigIgn /proc/self/status; readlink /proc/self/fd/7'];
    const bare = place.bare(['sh', '-c', script, 'sh', ...look]);
    expect(place.bare(['sh', '-c', script, 'sh', ...guarded(...look)]).stdout).toBe(bare.stdout);
    expect(bare.stdout).toMatch(/1\n\/dev\/null\n$/);
  });

  test('a terminal: interactive bash with job control, and its exit status', () => {
    const seen = onTerminal(
      `
read(10, b'$ ')
send(b'sleep 100\\n'); read(0.6)
send(b'\\x1a'); read(5, b'Stopped')
send(b'fg\\n'); read(0.6)
send(b'\\x03'); read(0.6)
send(b'echo interrupted $?; exit 4\\n'); read(5, b'interrupted 1'); read(0.5)`,
      guarded('env', 'PS1=$ ', 'bash', '--norc', '-i'),
    );
    expect(seen).toContain('Stopped');
    expect(seen).toContain('interrupted 130');
    expect(seen).toMatch(/STATUS 4$/);
  });

  test('Ctrl-C on the terminal reaches the command once', () => {
    const program = `
import signal, sys, time
count = 0
def hit(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, hit)
print('ready', flush=True)
end = time.time() + 2
while time.time() < end: time.sleep(0.1)
print('hits', count, flush=True)`;
    const seen = onTerminal(
      `read(10, b'ready')\nsend(b'\\x03')\nread(6, b'hits')\nread(0.3)`,
      guarded('python3', '-c', program),
    );
    expect(seen).toContain('hits 1');
    expect(seen).toMatch(/STATUS 0$/);
  });

  test.each(['TERM', 'HUP', 'INT', 'QUIT', 'USR1', 'USR2'])(
    'SIG%s to Acyclic is passed on',
    async (signal) => {
      const mark = `${place.directory}/${signal}`;
      const script = `trap 'echo caught > ${mark}; exit 5' ${signal}; : > ${mark}; while :; do sleep 0.05; done`;
      const child = place.start(guarded('bash', '-c', script), { stdio: 'ignore' });
      const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
      await until(() => existsSync(mark), 'the command to start');
      child.kill(`SIG${signal}` as NodeJS.Signals);
      expect(await ended).toBe(5);
      expect(readFileSync(mark, 'utf8')).toBe('caught\n');
    },
  );

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
