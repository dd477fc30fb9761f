import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALLOWED, DENIED, type Ground, openGround } from './ground.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
const DIAL = `exec 3<>/dev/tcp/${DENIED[0]}/80`;
const OWN = `tree=$(findmnt -n -t cgroup2 -o TARGET | head -n 1); own=$tree$(sed -n 's/^0:://p' /proc/self/cgroup)`;

describe('stays guarded', () => {
  test.each([
    ['a process without privileges', [...NOBODY, 'bash', '-c', DIAL]],
    ['a child in a session of its own', ['setsid', '--wait', 'bash', '-c', DIAL]],
    [
      'a nested cgroup',
      ['bash', '-c', `${OWN}; mkdir $own/a $own/a/b; echo $$ > $own/a/b/cgroup.procs; ${DIAL}`],
    ],
    ['a cgroup namespace', ['unshare', '--cgroup', 'bash', '-c', DIAL]],
    ['a user namespace', [...NOBODY, 'unshare', '--user', '--map-root-user', 'bash', '-c', DIAL]],
    ['a mount namespace without bpffs', ['unshare', '--mount', 'bash', '-c', `umount /sys/fs/bpf; ${DIAL}`]],
    ['a pid namespace', ['unshare', '--pid', '--fork', '--mount-proc', 'bash', '-c', DIAL]],
    ['an ignored hang-up', ['nohup', 'bash', '-c', DIAL]],
    [
      'a script that took the pins away',
      ['bash', '-c', `rm -r /sys/fs/bpf/acyclic/v*/* 2>/dev/null; ${DIAL}`],
    ],
  ])('%s', async (_, argv) => {
    const { code, stderr, events } = await ground.held(...argv);
    expect(stderr + readNohup()).toContain('Operation not permitted');
    expect(code).toBe(1);
    expect(events.find(({ verdict }) => verdict === 'deny')).toMatchObject({
      destination: { address: DENIED[0] },
      process: { comm: 'bash' },
    });
  });

  test('a daemon: forked twice, its parents gone', async () => {
    const daemon = `(setsid bash -c '${DIAL} || echo $? > daemon' 2> daemon.err &); while ! [ -e daemon ]; do sleep 0.05; done; cat daemon.err`;
    expect((await ground.held('bash', '-c', daemon)).stdout).toContain('Operation not permitted');
  });

  test('a process without privileges cannot move itself out, nor send another', async () => {
    const script = `${OWN}; sleep 5 & for to in $tree/cgroup.procs $own/../cgroup.procs; do echo $$ > $to; echo $! > $to; done; ${DIAL}`;
    const { stderr, events } = await ground.held(...NOBODY, 'bash', '-c', script);
    expect(stderr.match(/cgroup\.procs: Permission denied/g)).toHaveLength(4);
    expect(events.filter(({ kind }) => kind === 'escape')).toEqual([]);
  });
});

function readNohup(): string {
  try {
    return readFileSync(`${ground.lab.client.home}/nohup.out`, 'utf8');
  } catch {
    return '';
  }
}

describe('another network namespace', () => {
  test('has the same policy, and no names: a lookup fails at once and says why', async () => {
    const script = `ip link set lo up; time getent hosts tools.mirror.internal; ${DIAL}`;
    const { stderr, events } = await ground.held('unshare', '--net', 'bash', '-c', script);
    expect(stderr).toContain('Operation not permitted');
    expect(stderr).toMatch(/real\s+0m0\./);
    expect(events.find(({ rule }) => rule?.reason === 'dns-other-netns')).toBeTruthy();
  });
});

describe('root that leaves on purpose', () => {
  test('by moving itself is told of at once, with who it was', async () => {
    const script = `${OWN}; echo $$ > $own/../cgroup.procs; echo "gone $$"`;
    const { stdout, stderr, events } = await ground.guarded(['bash', '-c', script]);
    const [, pid] = /gone (\d+)/.exec(stdout) ?? [];
    expect(stderr).toMatch(new RegExp(`^acyclic: bash\\[${pid}\\] left the run's cgroup`));
    expect(events.filter(({ kind }) => kind === 'escape')).toMatchObject([
      { process: { pid: Number(pid), comm: 'bash' }, verdict: null },
    ]);
  });

  test('by a clone into another cgroup is told of too', async () => {
    const program = `
import ctypes, os, struct
tree = [l.split()[4] for l in open('/proc/self/mountinfo') if ' - cgroup2 ' in l][0]
fd = os.open(tree, os.O_RDONLY)
args = ctypes.create_string_buffer(struct.pack('=11Q', 0x200000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, fd))
pid = ctypes.CDLL(None).syscall(435, args, 88)
if pid == 0: os._exit(0)
os.waitpid(pid, 0); print(pid)`;
    const { stdout, events } = await ground.guarded(['python3', '-c', program]);
    expect(Number(stdout)).toBeGreaterThan(1);
    expect(events.filter(({ kind }) => kind === 'escape')).toMatchObject([
      { process: { pid: Number(stdout) } },
    ]);
  });

  test('by taking the programs off is told of, and exit is 125', async () => {
    const script = `${OWN}; for id in $(bpftool -j cgroup show $own | grep -o '"id":[0-9]*' | cut -d: -f2); do
  bpftool -j link show | grep -o "\\"id\\":[0-9]*,\\"type\\":\\"cgroup\\",\\"prog_id\\":$id," | grep -o '^"id":[0-9]*' | cut -d: -f2
done | while read link; do bpftool link detach id $link; done; sleep 1.2; echo went on`;
    const { code, stdout, stderr } = await ground.guarded(['bash', '-c', script]);
    expect(stdout).toBe('went on\n');
    expect(stderr).toContain('acyclic: the guard is lost');
    expect(code).toBe(125);
  });
});

describe('Acyclic held up', () => {
  test('by SIGSTOP: what is denied stays denied, lookups fail at once, and all goes on after', async () => {
    const script = `
look() { local start=$(date +%s%N); getent hosts tools.mirror.internal >/dev/null; echo "$1 $? $(( ($(date +%s%N) - start) / 1000000 ))"; }
look before; kill -STOP $PPID; sleep 2.3
(${DIAL}) 2>&1; (exec 3<>/dev/tcp/${ALLOWED[0]}/7) && echo allowed
look stopped; kill -CONT $PPID; sleep 1; look after`;
    const { stdout, code } = await ground.held('bash', '-c', script);
    expect(stdout).toMatch(/^before 0 \d+$/m);
    expect(stdout).toContain('Operation not permitted');
    expect(stdout).toContain('allowed');
    const [, ms] = /^stopped 2 (\d+)$/m.exec(stdout) ?? [];
    expect(Number(ms)).toBeLessThan(500);
    expect(stdout).toMatch(/^after 0 \d+$/m);
    expect(code).toBe(0);
  });
});
