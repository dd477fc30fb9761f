import { expect, test } from 'vitest';
import { hostsModules } from './nsswitch.ts';

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
