import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boot, findKernel } from '../vm/machine.ts';
import { bring, buildPackage, NEEDED, POLICY } from './package.ts';
import { DebianSystem } from './system.ts';

const kernel = findKernel('6.12');
const directory = mkdtempSync(join(tmpdir(), 'acyclic-systemd-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

const LIFECYCLE = `[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=240
KillMode=control-group
StandardOutput=file:/dev/console
StandardError=inherit
ExecStart=/bin/bash /lifecycle
ExecStopPost=/usr/bin/systemctl poweroff --force --force
[Install]
WantedBy=multi-user.target
`;

/** A client of the API in one file, for a machine without our sources. */
function guestProgram(): string {
  const { outputFiles } = buildSync({
    entryPoints: [join(import.meta.dirname, '../daemon/guest-program.ts')],
    ...{ bundle: true, write: false, platform: 'node', format: 'esm', target: 'node24' },
  });
  return outputFiles[0]?.text ?? '';
}

/** Boots a machine with the package installed, a newer one in its /root; what `lifecycle` said, by its headings. */
function live(): Map<string, string> {
  const system = new DebianSystem([...NEEDED, 'systemd']);
  try {
    system.put('lifecycle', readFileSync(join(import.meta.dirname, 'lifecycle'), 'utf8'));
    system.put('guest.mjs', guestProgram());
    system.put('policy.yaml', POLICY);
    system.put('etc/acyclic/own.yaml', POLICY);
    system.put('etc/resolv.conf', 'nameserver 127.0.0.99\n');
    // Without one, systemd asks at the terminal who it is.
    system.put('etc/machine-id', '');
    system.put('etc/systemd/system/lifecycle.service', LIFECYCLE);
    bring(system, buildPackage(directory, 2));
    const installed = bring(system, buildPackage(directory));
    // Nobody logs in there. A client that runs while the package goes needs a Node of its own.
    const { said, status } = system.run(`dpkg --install ${installed} && rm ${installed} &&
      useradd --groups acyclic deploy && useradd other && cp /usr/lib/acyclic/bin/node /guest-node &&
      rm /usr/lib/systemd/system-generators/systemd-getty-generator && systemctl enable lifecycle.service`);
    if (status !== 0) throw new Error(said);
    const told = boot(kernel ?? '', system.root, '/lib/systemd/systemd').replaceAll('\r', '');
    process.stderr.write(told);
    if (!told.includes('--- end')) throw new Error(`the machine stopped half-way: ${told.slice(-4000)}`);
    const [, ...parts] = told.split(/^--- (\w+)$/m);
    return new Map(parts.flatMap((name, at) => (at % 2 === 0 ? [[name, parts[at + 1] ?? ''] as const] : [])));
  } finally {
    system.remove();
  }
}

describe.skipIf(kernel === null)('under systemd', () => {
  let told = new Map<string, string>();
  beforeAll(() => {
    told = live();
  }, 280_000);

  test('x', () => {
    expect(told.size).toBeGreaterThan(3);
  });
});
