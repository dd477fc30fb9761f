import { expect, test } from 'vitest';
import { fallsBackToDns, hostsModules } from './nsswitch.ts';

test.each([
  ['hosts: files dns', ['files', 'dns']],
  ['hosts:files resolve [!UNAVAIL=return] dns', ['files', 'resolve', 'dns']],
  [
    'hosts: mymachines resolve [ !UNAVAIL=return SUCCESS=continue ] files',
    ['mymachines', 'resolve', 'files'],
  ],
  [
    'passwd: files sss\n  hosts :\tfiles mdns4_minimal [NOTFOUND=return] dns',
    ['files', 'mdns4_minimal', 'dns'],
  ],
  ['hosts: files dns # resolve', ['files', 'dns']],
  ['networks: resolve\n#hosts: resolve', []],
  ['hosts: files\nhosts: resolve', ['files', 'resolve']],
  ['', []],
])('the modules of %j', (text, modules) => expect(hostsModules(text)).toEqual(modules));

test.each([
  ['hosts: files resolve [!UNAVAIL=return] dns', true],
  ['hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns', true],
  ['hosts: files mymachines resolve[!unavail=RETURN]\tmdns4_minimal [NOTFOUND=return] dns', true],
  ['hosts: resolve [!SUCCESS=return UNAVAIL=continue] dns', true],
  ['hosts: resolve [SUCCESS=merge] [TRYAGAIN=return] dns', true],
  ['hosts: files dns resolve', true],
  ['hosts: files dns', true],
  ['hosts: files resolve', false],
  ['hosts: files resolve [UNAVAIL=return] dns', false],
  ['hosts: files resolve [!NOTFOUND=return] dns', false],
  ['hosts: files resolve [UNAVAIL=continue !SUCCESS=return] dns', false],
  ['hosts: files resolve [!UNAVAIL=return] myhostname [NOTFOUND=return] dns', false],
  ['hosts: files resolve dns\nhosts: files resolve', false],
  ['hosts: files resolve # dns', false],
])('that %j asks dns where nss-resolve is away is %s', (text, falls) =>
  expect(fallsBackToDns(text, /^resolve$/)).toBe(falls),
);
