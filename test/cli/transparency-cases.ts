import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Place, until } from './harness.ts';
import { onTerminal } from './terminal.ts';

/** The command finds everything as without Acyclic. `guarded` is the command line that guards one. */
export function transparencyCases(place: () => Place, guarded: (...command: string[]) => string[]): void {
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
    const bare = place().bare(command, input, env);
    const { stdout, stderr } = place().bare(guarded(...command), input, env);
    expect({ stdout, stderr }).toEqual({ stdout: bare.stdout, stderr: bare.stderr });
    expect(bare.stdout.length).toBeGreaterThan(0);
  });

  test('standard streams stay blocking, for the command and for whoever shares them', () => {
    const flags = ['sh', '-c', 'cat /proc/self/fdinfo/0 /proc/self/fdinfo/1 | grep flags'];
    const seen = place().bare(
      ['sh', '-c', '"$@"; cat /proc/self/fdinfo/0 | grep flags', 'sh', ...guarded(...flags)],
      'x',
    );
    const nonBlocking = seen.stdout.match(/\d+/g)?.map((text) => Number.parseInt(text, 8) & 0o4000);
    expect(nonBlocking).toEqual([0, 0, 0]);
  });

  test('a signal that was ignored stays ignored (nohup), a descriptor that was open stays open', () => {
    const script = `trap '' HUP; exec 7</dev/null; exec "$@"`;
    const look = ['sh', '-c', 'grep SigIgn /proc/self/status; readlink /proc/self/fd/7'];
    const bare = place().bare(['sh', '-c', script, 'sh', ...look]);
    expect(place().bare(['sh', '-c', script, 'sh', ...guarded(...look)]).stdout).toBe(bare.stdout);
    expect(bare.stdout).toMatch(/1\n\/dev\/null\n$/);
  });

  test('a terminal: interactive bash with job control, and its exit status', () => {
    const seen = onTerminal(
      place(),
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
      place(),
      `read(10, b'ready')\nsend(b'\\x03')\nread(6, b'hits')\nread(0.3)`,
      guarded('python3', '-c', program),
    );
    expect(seen).toContain('hits 1');
    expect(seen).toMatch(/STATUS 0$/);
  });

  test.each(['TERM', 'HUP', 'INT', 'QUIT', 'USR1', 'USR2'])(
    'SIG%s to Acyclic is passed on',
    async (signal) => {
      const mark = `${place().directory}/${signal}`;
      const script = `trap 'echo caught > ${mark}; exit 5' ${signal}; : > ${mark}; while :; do sleep 0.05; done`;
      const child = place().start(guarded('bash', '-c', script), { stdio: 'ignore' });
      const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
      await until(() => existsSync(mark), 'the command to start');
      child.kill(`SIG${signal}` as NodeJS.Signals);
      expect(await ended).toBe(5);
      expect(readFileSync(mark, 'utf8')).toBe('caught\n');
    },
  );
}
