import { execFileSync } from 'node:child_process';
import { basename, join } from 'node:path';
import type { DebianSystem } from './system.ts';

const ROOT = join(import.meta.dirname, '../..');

/** What the package needs, as its control file says; systemd apart, which it can do without. */
export const NEEDED = ['libbpf1', 'libc6', 'libgcc-s1', 'libstdc++6', 'passwd'] as const;

export const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com], addresses: [192.0.2.0/24], depends_on: [mysql] }
deployments:
  mysql: { match: { units: [matched.service] }, allow: [{ address: 10.20.0.0/16, ports: [3306] }] }
`;

/** A call that the policy denies. */
export const CALL = 'exec 3<>/dev/tcp/192.0.2.7/443';

/** Builds the package as `make deb` does, but for the compression; gives its path. */
export function buildPackage(output: string, revision = 1): string {
  const args = ['--output', output, '--revision', String(revision), '--compression', 'none'];
  return execFileSync(process.execPath, ['packaging/deb.ts', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  }).trim();
}

/** Puts a package into the system's /root, and gives its path there. */
export function bring(system: DebianSystem, file: string): string {
  const there = join('/root', basename(file));
  execFileSync('cp', [file, join(system.root, there)]);
  return there;
}
