import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boot, findKernel } from '../vm/machine.ts';
import { bring, buildPackage, NEEDED, POLICY } from './package.ts';
import { DebianSystem } from './system.ts';

const kernel = findKernel('6.12');
const directory = mkdtempSync(join(tmpdir(), 'acyclic-systemd-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

const STAND_IN = `[Service]
ExecStart=
ExecStart=/bin/bash /standin
NotifyAccess=all
WatchdogSec=0
`;
const LIFECYCLE = `[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=150
StandardOutput=file:/dev/console
StandardError=inherit
ExecStart=/bin/bash /lifecycle
ExecStopPost=/usr/bin/systemctl poweroff --force --force
[Install]
WantedBy=multi-user.target
`;

/** Boots a machine with the package installed, a newer one in its /root; what `lifecycle` said, by its headings. */
function live(): Map<string, string> {
  const system = new DebianSystem([...NEEDED, 'systemd']);
  try {
    for (const name of ['standin', 'lifecycle'])
      system.put(name, readFileSync(join(import.meta.dirname, name), 'utf8'));
    system.put('policy.yaml', POLICY);
    system.put('etc/acyclic/own.yaml', POLICY);
    system.put('etc/resolv.conf', 'nameserver 127.0.0.99\n');
    // Without one, systemd asks at the terminal who it is.
    system.put('etc/machine-id', '');
    system.put('etc/systemd/system/acyclic.service.d/stand-in.conf', STAND_IN);
    system.put('etc/systemd/system/lifecycle.service', LIFECYCLE);
    bring(system, buildPackage(directory, 2));
    const installed = bring(system, buildPackage(directory));
    // Nobody logs in there.
    const { said, status } = system.run(`dpkg --install ${installed} && rm ${installed} &&
      rm /usr/lib/systemd/system-generators/systemd-getty-generator && systemctl enable lifecycle.service`);
    if (status !== 0) throw new Error(said);
    const told = boot(kernel ?? '', system.root, '/lib/systemd/systemd').replaceAll('\r', '');
    if (!told.includes('--- end')) throw new Error(`the machine stopped half-way: ${told.slice(-4000)}`);
    const [, ...parts] = told.split(/^--- (\w+)$/m);
    return new Map(parts.flatMap((name, at) => (at % 2 === 0 ? [[name, parts[at + 1] ?? ''] as const] : [])));
  } finally {
    system.remove();
  }
}

describe.skipIf(kernel === null)('under systemd', () => {
  let told = new Map<string, string>();
  const of = (name: string) => told.get(name) ?? '';
  beforeAll(() => {
    told = live();
  }, 280_000);

  test('it is ready before ordinary services start, with all of its sockets', () => {
    const [, own = 0, others = 0] = /^active\n(\d+)\n+(\d+)\n/.exec(of('booted').trimStart()) ?? [];
    expect(Number(own)).toBeGreaterThan(0);
    expect(Number(others)).toBeGreaterThan(Number(own));
    expect(of('booted')).toContain('started with 5: control dns-tcp4 dns-tcp6 dns-udp4 dns-udp6 \n');
    expect(of('booted')).toContain('/run/acyclic/acyclic.sock srw-rw---- root acyclic\n');
    expect(of('booted')).toContain('listening 4\n');
  });

  test('its sandbox lets it guard, and little else', () => {
    expect(of('booted')).toMatch(/denied bash\[\d+\] → 192\.0\.2\.7:443\/tcp[\s\S]*guarded 1\n/);
    expect(of('booted')).not.toContain('not watched');
    expect(of('booted')).not.toContain('wrote ');
    expect(of('booted')).toContain('devices full null random urandom zero \n');
  });

  test('systemctl reload is SIGHUP, and it goes on', () => {
    expect(of('reloaded')).toContain('on its way again');
  });

  const RUNS = /0::\/system\.slice\/acyclic\.service\/run\n0::\/acyclic\n/;

  test('killed, it is back by itself; a query waits, and what is in cgroups of its runs lives', () => {
    expect(of('killed')).toMatch(/query taken\nback\n/);
    expect(of('killed')).toMatch(RUNS);
  });

  test('an upgrade restarts it on the same sockets, and a run in progress ends as it should', () => {
    expect(of('upgraded')).toMatch(/restarted\nsame socket\n/);
    expect(of('upgraded')).toMatch(RUNS);
    expect(of('upgraded')).toMatch(/denied bash\[\d+\] → 192\.0\.2\.7:443\/tcp[\s\S]*run 1\n/);
    expect(of('upgraded')).toMatch(/"kind":"summary".*"denials":1/);
  });

  test('removed, it is stopped with its sockets; policy and what ran through it stay', () => {
    expect(of('removed')).toContain('inactive\ninactive\ninactive\n');
    expect(of('removed')).toMatch(RUNS);
    expect(of('removed')).toContain('own.yaml');
    expect(of('removed')).toContain('pins \n');
  });

  test('purged, nothing of it is left', () => {
    expect(of('purged')).not.toMatch(/^acyclic:x:/m);
    expect(of('purged')).toContain("cannot access '/var/lib/acyclic'");
    expect(of('purged')).toContain('0 unit files listed');
  });
});
