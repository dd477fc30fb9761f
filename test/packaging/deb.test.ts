import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { debianPackage } from '../lab/debian-package.ts';
import { bring, buildPackage, CALL, NEEDED, POLICY } from './package.ts';
import { DebianSystem } from './system.ts';

const directory = mkdtempSync(join(tmpdir(), 'acyclic-deb-test-'));
const systems: DebianSystem[] = [];
let first = '';
let second = '';

function newSystem(packages: readonly string[]): DebianSystem {
  const system = new DebianSystem(packages);
  systems.push(system);
  system.put('etc/resolv.conf', 'nameserver 127.0.0.99\n');
  system.put('policy.yaml', POLICY);
  return system;
}

function deb(...args: string[]): string {
  return execFileSync('dpkg-deb', args, { encoding: 'utf8', maxBuffer: 1 << 26 });
}

beforeAll(() => {
  first = buildPackage(directory);
  second = buildPackage(directory, 2);
});
afterAll(() => {
  for (const system of systems) system.remove();
  rmSync(directory, { recursive: true });
});

test('everything in the package is root’s, and written by root alone', () => {
  const entries = deb('--contents', first).trim().split('\n');
  expect(entries.length).toBeGreaterThan(100);
  const odd = entries.filter(
    (entry) => !/^(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x|lrwxrwxrwx) root\/root /.test(entry),
  );
  expect(odd).toEqual([]);
  const programs = entries
    .filter((entry) => entry.startsWith('-rwx'))
    .map((entry) => entry.split(' ').at(-1));
  expect(programs).toEqual(['./usr/lib/acyclic/bin/acyclic', './usr/lib/acyclic/bin/node']);
});

test('built again, the package is the same to the byte', () => {
  const again = buildPackage(join(directory, 'again'));
  expect(() => execFileSync('cmp', [first, again])).not.toThrow();
});

test('the libraries it needs are in Depends', () => {
  const depends = deb('--field', first, 'Depends').trim().split(', ');
  expect(depends.map((one) => one.split(' ')[0])).toEqual(NEEDED);
});

test('the alert rules are rules, and fire when they should and not before', () => {
  const promtool = join(debianPackage('prometheus'), 'usr/bin/promtool');
  const said = execFileSync(promtool, ['test', 'rules', join(import.meta.dirname, 'alerts.yaml')], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  expect(said).toContain('SUCCESS');
});

describe('installed', () => {
  let system: DebianSystem;
  beforeAll(() => {
    system = newSystem([...NEEDED, 'systemd']);
    const { status, said } = system.run(`dpkg --install ${bring(system, first)}`);
    expect(said).toMatch(/Setting up acyclic/);
    expect(status).toBe(0);
  });

  test('it runs, says that this host will do, and guards', () => {
    const { said } = system.run(`acyclic --version; acyclic doctor; echo "doctor $?"
acyclic run --quiet true; echo "watched $?"
acyclic run -p /policy.yaml -- bash -c '${CALL}'; echo "guarded $?"`);
    expect(said).toMatch(/^acyclic \d+\.\d+\.\d+\n/);
    expect(said).toContain('ok       guarded run');
    expect(said).toContain('doctor 0');
    expect(said).toContain('watched 0');
    expect(said).toMatch(/denied bash\[\d+\] → 192\.0\.2\.7:443\/tcp[\s\S]*guarded 1/);
  });

  test('it brings no policy: a run only watches', () => {
    expect(system.run('ls -A /etc/acyclic').said).toBe('');
    expect(system.run('acyclic run true').said).toContain('observing · audit · no policy');
  });

  test('without a policy the daemon serves', () => {
    const { said } = system.run(`acyclic daemon >/tmp/log 2>&1 & daemon=$!
for try in $(seq 200); do grep -qs 'guards and serves' /tmp/log && break; sleep 0.1; done
kill $daemon; wait $daemon; echo "ended $?"; cat /tmp/log; acyclic daemon --clear; echo "cleared $?"`);
    expect(said).toMatch(/^ended 0\n/);
    expect(said).toMatch(/"policy":null,"message":"the daemon guards and serves"\}\n(\{.*\n)*cleared 0\n/);
  });

  test('the group, the directories and the units are there', () => {
    const { said } = system.run(`getent group acyclic; systemd-tmpfiles --create acyclic.conf
stat -c '%n %A %U %G' /run/acyclic /var/lib/acyclic; cd /etc/systemd/system && ls *.wants/acyclic*`);
    expect(said).toMatch(/^acyclic:x:\d+:\n/);
    expect(said).toContain('/run/acyclic drwx--x--x root root\n/var/lib/acyclic drwx------ root root\n');
    expect(said.match(/\S+\.wants\/\S+/g)).toEqual([
      'multi-user.target.wants/acyclic.service',
      ...['dns-tcp4', 'dns-tcp6', 'dns-udp4', 'dns-udp6'].map(
        (name) => `sockets.target.wants/acyclic-${name}.socket`,
      ),
      'sockets.target.wants/acyclic.socket',
    ]);
  });

  test('systemd has nothing to say against the units', () => {
    const { status, said } = system.run(
      'cd /usr/lib/systemd/system && systemd-analyze verify --man=no acyclic.service acyclic*.socket',
    );
    expect(said).toBe('');
    expect(status).toBe(0);
  });

  test('bash completes commands and options, and runs nothing that is on the line', () => {
    const { said } = system.run(`cat > /tmp/complete <<'END'
. /usr/share/bash-completion/completions/acyclic
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _acyclic; echo "$*: \${COMPREPLY[*]}"; }
complete_words acyclic pol
complete_words acyclic policy s
complete_words acyclic run '$(touch /tmp/ran)' --le
END
bash /tmp/complete; ls /tmp`);
    expect(said.split('\n').slice(0, 3)).toEqual([
      'acyclic pol: policy',
      'acyclic policy s: show suggest',
      'acyclic run $(touch /tmp/ran) --le: --leftover',
    ]);
    expect(said).not.toMatch(/^ran$/m);
  });

  test('a man page is as its command’s help, and roff has nothing to say against any', () => {
    const pages = system
      .run('ls /usr/share/man/man1')
      .said.split('\n')
      .filter((name) => name.startsWith('acyclic'));
    expect(pages.length).toBeGreaterThan(8);
    for (const page of pages) {
      const file = join(system.root, 'usr/share/man/man1', page);
      const read = (...how: string[]) =>
        execFileSync('sh', ['-c', `man ${how.join(' ')} -E UTF-8 -l "$0" 2>&1`, file], {
          encoding: 'utf8',
          env: { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '120', PAGER: 'cat' },
        });
      expect(read('--warnings', '-Tutf8', '-Z', '>/dev/null'), page).toBe('');
      const [, command = ''] = /^acyclic-(\w+)/.exec(page) ?? [];
      const help = system.run(`acyclic ${command} --help`).said;
      const options = help.match(/^ {2}(-\w, )?--[\w-]+/gm) ?? [];
      const text = read();
      expect(
        options.filter((option) => !text.includes(option.trim())),
        page,
      ).toEqual([]);
    }
  });

  test('a run in progress goes on through an upgrade, and ends as it should', () => {
    const { said } = system.run(`rm -f /tmp/go
acyclic run -p /policy.yaml --report /tmp/report -- bash -c 'while ! [ -e /tmp/go ]; do sleep 0.1; done; ${CALL}' &
until grep -q '"command":{' /run/acyclic/runs/*.json 2>/dev/null; do sleep 0.1; done
dpkg --install ${bring(system, second)}; echo "upgraded $?"; touch /tmp/go; wait $!; echo "run $?"
tail -1 /tmp/report; acyclic --version; dpkg-query -W acyclic; acyclic runs; ls /run/acyclic/runs; echo end`);
    expect(said).toContain('upgraded 0');
    expect(said).toMatch(/denied bash\[\d+\] → 192\.0\.2\.7:443\/tcp[\s\S]*run 1\n/);
    expect(said).toMatch(/"kind":"summary".*"denials":1/);
    expect(said).toMatch(/acyclic\t\S+-2\n/);
    expect(said).not.toMatch(/\.json\nend/);
  });

  test('removal takes away what a killed run has left in the kernel', () => {
    const { said } = system.run(`acyclic run -p /policy.yaml -- sleep 1000 2>/dev/null & engine=$!
until grep -q '"command":{' /run/acyclic/runs/*.json 2>/dev/null; do sleep 0.1; done
id=$(basename /run/acyclic/runs/*.json .json); command=$(sed 's/.*"command":{"pid":\\([0-9]*\\).*/\\1/' /run/acyclic/runs/*.json)
kill -9 $engine $command; ls -d /sys/fs/bpf/acyclic/*/$id && dpkg --remove acyclic; ls -d /sys/fs/bpf/acyclic/*/$id
ls -A /run/acyclic/runs; dpkg --install ${bring(system, second)}`);
    expect(said).toMatch(/^\/sys\/fs\/bpf\/acyclic\/v\d+\/\w{26}\n[\s\S]*Removing acyclic/);
    expect(said).toMatch(/ls: cannot access '\/sys\/fs\/bpf\/acyclic\/[^\n]*\n[^{]*Setting up/);
    expect(said).not.toMatch(/^\w{26}\.json$/m);
  });

  test('removed, it leaves policy and trail; purged, the policy', () => {
    system.put('etc/acyclic/own.yaml', POLICY);
    const removed = system.run('dpkg --remove acyclic; getent group acyclic');
    expect(removed.said).toMatch(/acyclic:x:/);
    const left = ['etc/acyclic/own.yaml', 'var/lib/acyclic/audit.db', 'usr/lib/acyclic', 'usr/bin/acyclic'];
    expect(left.map((path) => system.exists(path))).toEqual([true, true, false, false]);
    const purged = system.run(
      'dpkg --purge acyclic; getent group acyclic; echo "group $?"; find /etc/systemd/system',
    );
    expect(purged.said).toContain('group 2');
    expect(purged.said).not.toMatch(/acyclic.*\.(service|socket)/);
    expect(left.map((path) => system.exists(path))).toEqual([true, false, false, false]);
  });
});

test('where systemd is not installed, the group and directories are made all the same', () => {
  const system = newSystem(NEEDED);
  const { status, said } = system.run(`command -v systemd-sysusers systemd-tmpfiles
dpkg --install ${bring(system, first)} && getent group acyclic && stat -c '%n %A' /run/acyclic /var/lib/acyclic
acyclic run --quiet true && dpkg --purge acyclic && ls -d /var/lib/acyclic /usr/lib/acyclic /etc/acyclic`);
  expect(said).not.toMatch(/systemd-/);
  expect(said).toMatch(/acyclic:x:\d+:\n\/run\/acyclic drwx--x--x\n\/var\/lib\/acyclic drwx------\n/);
  expect(said.match(/cannot access/g)).toHaveLength(3);
  expect(status).toBe(2);
});
