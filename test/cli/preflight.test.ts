import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
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
      /lacks CAP_SYS_ADMIN, CAP_BPF/,
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

describe('acyclic doctor', () => {
  test('says that a run can be guarded on this machine, and leaves nothing behind', () => {
    const { status, stdout } = spawnSync(acyclic, ['doctor'], { encoding: 'utf8' });
    expect(stdout).toMatch(/^ok +eBPF programs +load and attach in \d+ ms$/m);
    expect(stdout).toMatch(/a run can be guarded here\n$/);
    expect(status).toBe(0);
    expect(
      spawnSync('find', ['/sys/fs/cgroup', '-name', 'acyclic-probe-*'], { encoding: 'utf8' }).stdout,
    ).toBe('');
  });

  test('exits 1 where it cannot, with a remedy for each missing thing', () => {
    const { status, stdout } = inNamespace('umount -a -t cgroup2; exec "$1" doctor --json');
    expect(status).toBe(1);
    const { able, findings } = JSON.parse(stdout);
    expect(able).toBe(false);
    const missing = findings.filter((finding: { state: string }) => finding.state === 'missing');
    expect(missing.map((finding: { name: string }) => finding.name)).toContain('cgroup v2');
    for (const { remedy } of missing) expect(remedy).toBeTruthy();
  });
});
