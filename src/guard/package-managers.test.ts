import { expect, test } from 'vitest';
import { DPKG, RPM } from './package-managers.ts';

test('dpkg-query: packages of several, of an architecture, and diversions, which are no packages', () => {
  const output = `diversion by dash from: /bin/sh
diversion by dash to: /bin/sh.distrib
dash: /bin/sh
libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6
bash, coreutils: /usr/share/doc
`;
  expect([...DPKG.read(output, [])]).toEqual([
    ['/bin/sh', 'dash'],
    ['/lib/x86_64-linux-gnu/libc.so.6', 'libc6'],
    ['/usr/share/doc', 'bash'],
  ]);
});

test('rpm: a line for each file, in their order', () => {
  const output = 'lab-tool\nfile /usr/bin/curl is not owned by any package\nnode_js.20+x\n';
  expect([...RPM.read(output, ['/opt/lab-tool', '/usr/bin/curl', '/usr/bin/node'])]).toEqual([
    ['/opt/lab-tool', 'lab-tool'],
    ['/usr/bin/node', 'node_js.20+x'],
  ]);
});
