import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boot, findKernel } from '../vm/machine.ts';
import { bring, buildPackage, CALL, NEEDED, POLICY } from './package.ts';
import { DebianSystem } from './system.ts';

const kernel = findKernel('6.12');
const directory = mkdtempSync(join(tmpdir(), 'acyclic-systemd-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

const LIFECYCLE = `[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=200
Environment=NO_COLOR=1
StandardOutput=file:/dev/console
StandardError=inherit
ExecStart=/bin/bash /lifecycle
ExecStopPost=/usr/bin/systemctl poweroff --force --force
[Install]
WantedBy=multi-user.target
`;

/** A unit that the policy matches: it calls what is denied, and stays. */
const MATCHED = `[Service]
ExecCondition=+/usr/bin/acyclic require
ExecStart=/bin/bash -c '(${CALL}) 2>/tmp/matched; touch /tmp/called; exec sleep 1000'
`;

/** Boots a machine with the package installed, a newer one in its /root; what `lifecycle` said, by its headings. */
function live(): Map<string, string> {
  const system = new DebianSystem([...NEEDED, 'systemd']);
  try {
    system.put('lifecycle', readFileSync(join(import.meta.dirname, 'lifecycle'), 'utf8'));
    system.put('policy.yaml', POLICY);
    system.put('etc/acyclic/own.yaml', POLICY);
    system.put('etc/resolv.conf', 'nameserver 127.0.0.99\n');
    // Without one, systemd asks at the terminal who it is.
    system.put('etc/machine-id', '');
    // The console is the test's alone.
    system.put('etc/systemd/system.conf.d/quiet.conf', '[Manager]\nShowStatus=no\n');
    system.put('etc/systemd/system/lifecycle.service', LIFECYCLE);
    system.put('etc/systemd/system/matched.service', MATCHED);
    bring(system, buildPackage(directory, 2));
    const installed = bring(system, buildPackage(directory));
    // Nobody logs in there.
    const { said, status } = system.run(`dpkg --install ${installed} && rm ${installed} &&
      useradd --groups acyclic deploy && useradd other &&
      rm /usr/lib/systemd/system-generators/systemd-getty-generator && systemctl enable lifecycle.service`);
    if (status !== 0) throw new Error(said);
    const told = boot(kernel ?? '', system.root, '/lib/systemd/systemd').replaceAll('\r', '');
    if (!told.includes('--- end')) throw new Error(`the machine stopped half-way: ${told.slice(-6000)}`);
    const [, ...parts] = told.split(/^--- (\w+)$/m);
    return new Map(parts.flatMap((name, at) => (at % 2 === 0 ? [[name, parts[at + 1] ?? ''] as const] : [])));
  } finally {
    system.remove();
  }
}

const unless = kernel === null ? ' (skipped: no kernel 6.12 to be had from the package archive)' : '';
describe.skipIf(kernel === null)(`under systemd${unless}`, () => {
  let told = new Map<string, string>();
  const of = (name: string) => told.get(name) ?? '';
  beforeAll(() => {
    told = live();
  }, 300_000);

  test('it is ready before ordinary services start, with all of its sockets', () => {
    const [, own = 0, others = 0] = /^active\n(\d+)\n+(\d+)\n/.exec(of('booted').trimStart()) ?? [];
    expect(Number(own)).toBeGreaterThan(0);
    expect(Number(others)).toBeGreaterThan(Number(own));
    expect(of('booted')).toContain('/run/acyclic drwx--x--x root root\n');
    expect(of('booted')).toContain('/run/acyclic/acyclic.sock srw-rw---- root acyclic\n');
    expect(of('booted')).toContain('listening 4\n');
  });

  test('a member of its group is answered, and nobody else', () => {
    const [status = '', refused] = of('asked').trim().split('\n');
    expect(JSON.parse(status)).toMatchObject({ mode: 'daemon', degraded: [] });
    expect(JSON.parse(status).features).toEqual(expect.arrayContaining(['btf', 'tracefs', 'connect_unix']));
    expect(refused).toBe('EACCES');
  });

  test('its sandbox lets it write what is its own, and nothing else', () => {
    const lines = of('sandbox').trim().split('\n');
    const writes = lines.filter((line) => line.startsWith('writes ')).map((line) => line.slice(7));
    expect(writes).toEqual([
      ...['/etc/acyclic', '/var/lib/acyclic', '/run/acyclic'],
      ...['/sys/fs/bpf', '/sys/fs/cgroup'],
    ]);
    // kill, dac_override, net_admin, sys_ptrace, sys_admin, sys_resource, perfmon, bpf
    expect(lines).toContain('CapBnd:\t000000c001281022');
    expect(lines).toContain('NoNewPrivs:\t1');
    expect(lines).toContain('Seccomp:\t2');
    expect(lines.find((line) => line.startsWith('devices '))).not.toMatch(
      /\b(mem|kmsg|kvm|sd\w|tty\d|ttyS\d)\b/,
    );
  });

  test('a command of an ordinary user is guarded through it', () => {
    expect(of('run')).toMatch(
      /guarding mysql · enforce[\s\S]*denied bash\[\d+\] → 192\.0\.2\.7:443\/tcp[\s\S]*exit 1\n/,
    );
    const event = JSON.parse(of('run').trim().split('\n').at(-1) ?? '');
    const process = { uid: 1000, exe: '/usr/bin/bash' };
    expect(event).toMatchObject({
      deployment: 'mysql',
      verdict: 'deny',
      process,
      outcome: { errno: 'EPERM' },
    });
  });

  test('a unit that the policy matches is guarded from its first process on', () => {
    expect(of('matched')).toMatch(/^\/bin\/bash: connect: Operation not permitted\n/m);
    const [attached] = JSON.parse(of('matched').trim().split('\n').at(-1) ?? '');
    expect(attached).toMatchObject({ deployment: 'mysql', mode: 'enforce' });
  });

  test('its denial is in the journal of that unit, with fields', () => {
    const entry = JSON.parse(of('matched').trim().split('\n').at(-2) ?? '');
    expect(entry).toMatchObject({
      ...{ OBJECT_SYSTEMD_UNIT: 'matched.service', _SYSTEMD_UNIT: 'acyclic.service', PRIORITY: '4' },
      ...{ ACYCLIC_DESTINATION: '192.0.2.7:443/tcp', ACYCLIC_COMM: 'bash' },
    });
    expect(entry.MESSAGE).toMatch(/^denied bash\[\d+\] → 192\.0\.2\.7:443\/tcp \(/);
  });

  test('systemctl reload reads the policy again; of a broken one the last stays', () => {
    const policies = (name: string) => JSON.parse(of(name).trim().split('\n')[0] ?? '').policies[0];
    const [before, after] = [policies('asked'), policies('reloaded')];
    expect(after).toMatchObject({ deployment: 'mysql', mode: 'enforce' });
    expect(after.id).not.toBe(before.id);
    expect(of('reloaded')).toMatch(/still \w+\n/);
    expect(/still (\w+)\n/.exec(of('reloaded'))?.[1]).toBe(after.id);
    expect(of('reloaded')).toContain('same process\n');
  });

  test('a large policy is read beside it, which comes first; and is taken back', () => {
    expect(of('large')).toMatch(
      /^nice 10\napplied 0\npolicy \w+ is in force, [\s\S]*^policy \w+ is in force, .*\nown\.yaml\n$/m,
    );
  });

  const GUARDED = /^0::\/system\.slice\/lifecycle\.service\/acyclic-\w{26}\n/m;
  const DENIED = /^bash: connect: Operation not permitted\n/m;

  const ENDED =
    /^ended 0\nacyclic: guarding mysql[\s\S]*^acyclic: the daemon is back\n[\s\S]*1 call to 1 destination · 1 denied · exit 0 /m;

  test('killed, it is back by itself; what is asked meanwhile waits, and a run goes on guarded', () => {
    expect(of('killed')).toMatch(/^DNS taken\n[\s\S]*^acyclic_up 1\nback\n/m);
    expect(of('killed')).toMatch(GUARDED);
    expect(of('killed')).toMatch(DENIED);
    expect(of('killed')).toMatch(ENDED);
  });

  test('an upgrade restarts it on the same sockets, and runs in progress go on guarded', () => {
    expect(of('upgraded')).toMatch(/^restarted\nsame socket\n/m);
    expect(of('upgraded')).toMatch(GUARDED);
    expect(of('upgraded')).toMatch(DENIED);
    expect(of('upgraded')).toMatch(ENDED);
    // The one that guards itself.
    expect(of('upgraded')).toMatch(/denied bash\[\d+\] → 192\.0\.2\.7:443\/tcp[\s\S]*run 1\n/);
    expect(of('upgraded')).toMatch(/"kind":"summary".*"denials":1/);
  });

  test('removed, it says which run goes on without a guard; the policy stays, and nothing else', () => {
    expect(of('removed')).toMatch(/^acyclic: run \w{26} goes on without a guard: \d+/m);
    expect(of('removed')).toMatch(/^acyclic: attach \w{26} goes on without a guard: \d+/m);
    expect(of('removed')).toContain('inactive\ninactive\ninactive\nactive\n');
    expect(of('removed')).toMatch(/^0::\/system\.slice\/lifecycle\.service\n/m);
    expect(of('removed')).toMatch(/^bash: connect: Network is unreachable\n/m);
    expect(of('removed')).toContain('own.yaml\n');
    expect(of('removed')).toContain("cannot access '/run/acyclic'");
    expect(of('removed')).toContain('pins \ncgroups \n');
  });

  test('purged, nothing of it is left', () => {
    expect(of('purged')).not.toMatch(/^acyclic:x:/m);
    expect(of('purged')).toContain("cannot access '/var/lib/acyclic'");
    expect(of('purged')).toContain("cannot access '/usr/lib/acyclic'");
    expect(of('purged')).toContain('0 unit files listed');
  });
});
