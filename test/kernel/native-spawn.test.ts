import { chmodSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadBinding } from '../../src/kernel/binding.ts';
import { command, ended, makePlaces, scriptOutput, thrownBy, until } from './fixtures/fixture.ts';

const native = loadBinding();
const places = makePlaces();
const work = mkdtempSync(join(tmpdir(), 'acyclic-native-'));
const { SIGCONT, SIGHUP, SIGKILL, SIGPIPE, SIGSTOP, SIGTERM } = constants.signals;

afterAll(async () => {
  rmSync(work, { recursive: true });
  await places.remove();
});

function mask(text: string, name: string): bigint {
  return BigInt(`0x${new RegExp(`${name}:\\s*([0-9a-f]+)`).exec(text)?.[1]}`);
}

test('a child begins inside its cgroup', async () => {
  const { path, fd } = places.cgroup();
  const output = await scriptOutput(native, 'cat /proc/self/cgroup', { cgroupFd: fd });
  expect(output).toContain(`/${path.split('/').at(-1)}\n`);
});

test('a child has default signals but those it is to ignore, whatever Node has', async () => {
  const before = readFileSync('/proc/self/status', 'utf8');
  expect(mask(before, 'SigIgn') & (1n << BigInt(SIGPIPE - 1))).not.toBe(0n);
  const status = 'cat /proc/self/status';
  // Signals 32 and 33 are the C library's own; nobody sets them, and they stay as whoever started this left them.
  const ignored = (text: string) => mask(text, 'SigIgn') & ~(3n << 31n);
  expect(ignored(await scriptOutput(native, status))).toBe(0n);
  const hangup = 1n << BigInt(SIGHUP - 1);
  const output = await scriptOutput(native, status, { ignoredSignals: hangup });
  expect(ignored(output)).toBe(hangup);
  expect(mask(output, 'SigBlk')).toBe(0n);
  expect(readFileSync('/proc/self/status', 'utf8')).toContain(/SigBlk:.*/.exec(before)?.[0]);
});

test('arguments, environment, directory and limit arrive as given, bytes that are no UTF-8 too', async () => {
  const file = join(work, 'out');
  const script = 'exec >"$0"; printf "%s|" "$@"; printf "%s|" "$WORD"; pwd; ulimit -Sn';
  const args = [...['/bin/sh', '-c', script, file, 'a b', '', 'é'], Buffer.from([0xff, 0x41])];
  const options = { ...command(['/bin/sh']), args, env: ['WORD=x y'], cwd: work, nofileSoft: 77 };
  await ended(native, native.spawn(options));
  expect(readFileSync(file)).toEqual(
    Buffer.concat([Buffer.from('a b||é|'), Buffer.from([0xff, 0x41]), Buffer.from(`|x y|${work}\n77\n`)]),
  );
});

test('a child keeps the descriptors named, and no other of Node', async () => {
  const kept = openSync('/dev/null', 'r');
  const list = 'ls /proc/$$/fd';
  expect((await scriptOutput(native, list, { fds: [0, 1, 2, kept] })).split('\n')).toContain(String(kept));
  expect((await scriptOutput(native, list, { fds: [0, 1, 2] })).split('\n')).not.toContain(String(kept));
  native.closeFd(kept);
  // Descriptors that are not open when asked for must neither fail nor hold up the spawn.
  const many = Array.from({ length: 300 }, (_, i) => i);
  const child = native.spawn(command(['/bin/sleep', '30'], { fds: many }));
  native.pidfdSendSignal(child.pidfd, SIGKILL);
  expect(await ended(native, child)).toEqual({ state: 'signaled', value: SIGKILL });
});

test('what cannot be executed is told with its errno and stage, and leaves no child', () => {
  const script = join(work, 'script');
  writeFileSync(script, 'no interpreter line');
  const tries: [Parameters<typeof command>[0], object, object][] = [
    [['/nonexistent'], {}, { code: 'ENOENT', errno: 2, stage: 'exec' }],
    [[script], {}, { code: 'EACCES', errno: 13, stage: 'exec' }],
    [['/bin/true'], { cwd: '/nonexistent' }, { code: 'ENOENT', stage: 'chdir' }],
    [['/bin/true'], { cgroupFd: 999_999 }, { code: 'EBADF', stage: 'cgroup' }],
    [['/bin/true'], { args: ['true', 'x'.repeat(1 << 18)] }, { code: 'E2BIG', stage: 'exec' }],
  ];
  for (const [args, change, expected] of tries)
    expect(thrownBy(() => native.spawn(command(args, change)))).toMatchObject(expected);
  chmodSync(script, 0o755);
  expect(thrownBy(() => native.spawn(command([script])))).toMatchObject({ code: 'ENOEXEC', stage: 'exec' });
  expect(readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(isZombie)).toEqual(
    [],
  );
});

test('a held child executes nothing until it is released, and takes no signal before', async () => {
  const mark = join(work, 'held');
  const { path } = places.cgroup();
  const child = native.spawnHeld(command(['/bin/sh', '-c', `cat /proc/self/cgroup > ${mark}`]));
  native.pidfdSendSignal(child.pidfd, SIGCONT);
  writeFileSync(join(path, 'cgroup.procs'), String(child.pid));
  expect({ state: native.waitChild(child.pid), ran: existsSync(mark) }).toEqual({ state: null, ran: false });
  native.spawnRelease(child);
  expect(await ended(native, child)).toEqual({ state: 'exited', value: 0 });
  expect(readFileSync(mark, 'utf8')).toContain(`/${path.split('/').at(-1)}\n`);
  const signaled = native.spawnHeld(command(['/bin/true']));
  native.pidfdSendSignal(signaled.pidfd, SIGTERM);
  native.spawnRelease(signaled);
  expect(await ended(native, signaled)).toEqual({ state: 'signaled', value: SIGTERM });
});

test('a held child that is given up is gone, and one that cannot be executed is told as ever', () => {
  const mark = join(work, 'abandoned');
  const child = native.spawnHeld(command(['/usr/bin/touch', mark]));
  native.spawnAbandon(child);
  expect(existsSync(`/proc/${child.pid}`)).toBe(false);
  expect(existsSync(mark)).toBe(false);
  native.closeFd(child.pidfd);
  const missing = native.spawnHeld(command(['/nonexistent']));
  expect(thrownBy(() => native.spawnRelease(missing))).toMatchObject({ code: 'ENOENT', stage: 'exec' });
  expect(existsSync(`/proc/${missing.pid}`)).toBe(false);
  native.closeFd(missing.pidfd);
});

test('a file that is no program is one for sh where it may be', async () => {
  const script = join(work, 'for-sh');
  const file = join(work, 'of-sh');
  writeFileSync(script, `echo "$0 $1" > ${file}`);
  chmodSync(script, 0o755);
  await ended(native, native.spawn({ ...command([script]), scriptArgs: ['sh', script, 'x'] }));
  expect(readFileSync(file, 'utf8')).toBe(`${script} x\n`);
});

function isZombie(pid: string): boolean {
  return existsSync(`/proc/${pid}/stat`) && readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
}

test('every change of a child is told once: stopped, continued, signaled', async () => {
  const child = native.spawn(command(['/bin/sleep', '30']));
  expect(native.waitChild(child.pid)).toBeNull();
  native.pidfdSendSignal(child.pidfd, SIGSTOP);
  const next = async () => {
    let state = native.waitChild(child.pid);
    await until(() => {
      state ??= native.waitChild(child.pid);
      return state !== null;
    }, 'a change of state');
    return state;
  };
  expect(await next()).toEqual({ state: 'stopped', value: SIGSTOP });
  expect(native.waitChild(child.pid)).toBeNull();
  native.pidfdSendSignal(child.pidfd, SIGCONT);
  expect(await next()).toEqual({ state: 'continued', value: SIGCONT });
  native.pidfdSendSignal(child.pidfd, SIGTERM);
  expect(await ended(native, child)).toEqual({ state: 'signaled', value: SIGTERM });
  expect(thrownBy(() => native.waitChild(child.pid)).code).toBe('ECHILD');
});

test('a pidfd is watched once, and its own descriptor may be closed meanwhile', async () => {
  const child = native.spawn(command(['/bin/sh', '-c', 'sleep 0.05; exit 9']));
  let calls = 0;
  native.pidfdWatch(child.pidfd, () => calls++);
  native.closeFd(child.pidfd);
  await until(() => calls > 0, 'the end of the child');
  expect(native.waitChild(child.pid)).toEqual({ state: 'exited', value: 9 });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(calls).toBe(1);
  const file = openSync('/dev/null', 'r');
  expect(thrownBy(() => native.pidfdWatch(file, () => {})).code).toBe('EBADF');
  native.closeFd(file);
  expect(thrownBy(() => native.closeFd(file)).code).toBe('EBADF');
});

test('Node children and ours do not take each other for their own', async () => {
  const { spawn } = await import('node:child_process');
  const theirs = spawn('/bin/sh', ['-c', 'sleep 0.05; exit 4']);
  const ours = native.spawn(command(['/bin/sh', '-c', 'exit 5']));
  const code = new Promise((resolve) => theirs.once('exit', resolve));
  expect(await ended(native, ours)).toEqual({ state: 'exited', value: 5 });
  expect(await code).toBe(4);
});
