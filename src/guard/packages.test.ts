import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { DPKG } from './package-managers.ts';
import { Packages } from './packages.ts';

// Debian and its kin: whoever builds and tests here has dpkg (packaging/setup.sh).
test('the package of a program, by any of its paths; a file in none; a name that could be an option', async () => {
  const packages = new Packages();
  const paths = [
    '/usr/bin/dpkg',
    '/bin/bash',
    '/usr/bin/bash',
    '/usr/bin/../bin/dpkg',
    process.execPath,
    '-x',
    '/a b*',
  ];
  for (const path of paths) packages.want(path);
  expect(packages.of('/usr/bin/dpkg')).toBeUndefined();
  await packages.settled(paths);
  expect(paths.map((path) => packages.of(path))).toEqual([
    'dpkg',
    'bash',
    'bash',
    'dpkg',
    null,
    undefined,
    undefined,
  ]);
  packages.want('/usr/bin/dpkg-query');
  packages.close();
  await packages.settled(['/usr/bin/dpkg-query']);
  expect(packages.of('/usr/bin/dpkg-query')).toBeUndefined();
});

test('once something is installed or removed all is asked for anew', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-packages-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const database = join(directory, 'status');
  writeFileSync(database, '');
  const packages = new Packages({ ...DPKG, database });
  packages.want('/usr/bin/dpkg');
  await packages.settled(['/usr/bin/dpkg']);
  packages.want('/usr/bin/dpkg');
  expect(packages.of('/usr/bin/dpkg')).toBe('dpkg');
  utimesSync(database, 1, 1);
  packages.want('/usr/bin/dpkg');
  expect(packages.of('/usr/bin/dpkg')).toBeUndefined();
  await packages.settled(['/usr/bin/dpkg']);
  expect(packages.of('/usr/bin/dpkg')).toBe('dpkg');
});
