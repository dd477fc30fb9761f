import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const acyclic = join(root, 'bin/acyclic');

/** Runs a shell script in a mount namespace of its own, with the program as `$1` and a file to touch as `$2`. */
function inNamespace(script: string, wrapper: readonly string[] = []) {
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-preflight-'));
  const mark = join(directory, 'started');
  const argv = [...wrapper, 'unshare', '--mount', 'sh', '-c', script, 'sh', acyclic, mark];
  const [file = '', ...args] = argv;
  const { status, stderr, stdout } = spawnSync(file, args, { encoding: 'utf8' });
  const started = existsSync(mark);
  rmSync(directory, { recursive: true });
  return { status, stderr, stdout, started };
}

const RUN = 'exec "$1" run -- touch "$2"';

describe('a run that cannot be guarded does not start: 125, what is missing, and what to do', () => {
  test.each([
    [
      'without privileges',
      `exec setpriv --reuid=65534 --clear-groups ${RUN.slice(5)}`,
      /needs root.*CAP_BPF.*; run it with sudo/,
    ],
    [
      'as root without CAP_BPF',
      `exec setpriv --bounding-set=-bpf,-sys_admin ${RUN.slice(5)}`,
      /root is not enough.*lacks CAP_SYS_ADMIN, CAP_BPF; .*--cap-add/,
    ],
    [
      'as root of a user namespace',
      `exec unshare --user --map-root-user ${RUN.slice(5)}`,
      /user namespace only.*run it on the host/,
    ],
    [
      'on a kernel that says it is old',
      `exec setarch --uname-2.6 ${RUN.slice(5)}`,
      /Linux 2\.6\.\d+\S* is too old.*boot Linux 6\.1 or later/,
    ],
    [
      'where bpffs is absent and cannot be mounted',
      `mount -t tmpfs none /sys/fs; mkdir /sys/fs/v2; mount -t cgroup2 none /sys/fs/v2; mount -o remount,ro /sys/fs; ${RUN}`,
      /bpffs is not mounted.*mount -t bpf bpf/,
    ],
    ['without cgroup v2', `umount -a -t cgroup2; ${RUN}`, /no cgroup v2 hierarchy.*mount -t cgroup2/],
    ['without BTF', `mount -t tmpfs none /sys/kernel; ${RUN}`, /no BTF.*CONFIG_DEBUG_INFO_BTF/],
    [
      'in a cgroup namespace of its own',
      `exec unshare --cgroup ${RUN.slice(5)}`,
      /cgroup namespace.*--cgroupns=host/,
    ],
    [
      'with a cgroup tree that cannot be written',
      `mount -o remount,bind,ro "$(findmnt -n -t cgroup2 -o TARGET | head -n 1)"; ${RUN}`,
      /cannot make the run's cgroup/,
    ],
  ])('%s', (_, script, message) => {
    const { status, stderr, started } = inNamespace(script);
    expect(stderr.replaceAll('\n', ' ')).toMatch(message);
    expect({ status, started }).toEqual({ status: 125, started: false });
  });

  test('a missing bpffs is mounted, and the command runs', () => {
    const { status, started } = inNamespace(`umount /sys/fs/bpf 2>/dev/null; ${RUN}`);
    expect({ status, started }).toEqual({ status: 0, started: true });
  });
});

test.each([
  ['acyclic.node', 'no-addon', /make build/],
  ['acyclic.bpf.o', 'no-object', /make build/],
])('without %s it is 125 and %s', (absent, code, remedy) => {
  const tree = mkdtempSync(join(tmpdir(), 'acyclic-tree-'));
  try {
    mkdirSync(join(tree, 'build'));
    const parts = [
      'bin',
      'build/cli',
      'build/acyclic.node',
      'build/acyclic-process.node',
      'build/acyclic.bpf.o',
    ];
    for (const part of parts)
      if (part !== `build/${absent}`) cpSync(join(root, part), join(tree, part), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
    const mark = join(tree, 'started');
    const argv = ['run', '--json', '--', 'touch', mark];
    const { status, stderr } = spawnSync(join(tree, 'bin/acyclic'), argv, { encoding: 'utf8' });
    const said = JSON.parse(stderr);
    expect({ status, code: said.code, started: existsSync(mark) }).toEqual({
      status: 125,
      code,
      started: false,
    });
    expect(said.message).toMatch(remedy);
  } finally {
    rmSync(tree, { recursive: true });
  }
});
