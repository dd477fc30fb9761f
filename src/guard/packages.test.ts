import { expect, test } from 'vitest';
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
  await packages.settled();
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
  await packages.settled();
  expect(packages.of('/usr/bin/dpkg-query')).toBeUndefined();
});
