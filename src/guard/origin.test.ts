import { describe, expect, test } from 'vitest';
import type { ProcessImage } from '../model/process.ts';
import { originsOf } from './origin.ts';

/** A program as its command line has it; what is before the words is the interpreter. */
function image(line: string, exe?: string): ProcessImage {
  const argv = line.split(' ');
  return { pid: 1, start: null, uid: 0, comm: null, exe: exe ?? argv[0] ?? null, argv };
}

const isTool = (path: string) => path.startsWith('/usr/');

function origins(...lines: (string | ProcessImage)[]): string {
  const lineage = lines.map((line) => (typeof line === 'string' ? image(line) : line));
  return originsOf(lineage, isTool)
    .map(({ origin }) => origin)
    .join(' ');
}

describe('whose a program is', () => {
  test.each([
    ['the script, and what it starts', ['/bin/bash ./deploy.sh', 'curl x'], 'own asked'],
    ['a script of its own', ['/bin/bash ./deploy.sh', '/bin/sh ./lib/fetch.sh', 'curl x'], 'own own asked'],
    ['Python and Node', ['/bin/sh ./deploy.sh', '/usr/bin/python3 fetch.py', 'curl x'], 'own own asked'],
    ['code on a command line', ['/bin/bash deploy.sh', '/bin/sh -c foo', 'curl x'], 'own own asked'],
    ['code from standard input', ['/bin/bash deploy.sh', '/bin/bash -s', 'curl x'], 'own own asked'],
    ['a tool', ['/bin/bash deploy.sh', '/usr/bin/git pull', 'git-remote-https x'], 'own asked inner'],
    [
      'a tool that is a script',
      ['/bin/bash deploy.sh', '/bin/bash /usr/bin/ctl up', 'curl x'],
      'own asked inner',
    ],
    ['a module', ['/bin/bash deploy.sh', '/usr/bin/python3 -m pip install', 'git x'], 'own asked inner'],
    [
      'what a tool starts that starts',
      ['/bin/bash d.sh', '/usr/bin/make', '/bin/sh -c x', 'curl'],
      'own asked inner inner',
    ],
    ['sudo', ['/bin/bash d.sh', 'sudo -u x curl y', 'curl y'], 'own asked asked'],
    [
      'sudo and a script',
      ['/bin/bash d.sh', 'sudo ./x.sh a', '/bin/bash ./x.sh a', 'curl'],
      'own asked own asked',
    ],
    [
      'sudo and a tool',
      ['/bin/bash d.sh', 'sudo ctl up', '/bin/bash /usr/bin/ctl up', 'curl'],
      'own asked asked inner',
    ],
    ['xargs', ['/bin/bash d.sh', 'xargs -n1 curl -s', 'curl -s url'], 'own asked asked'],
    [
      'a wrapper of its name',
      ['/bin/bash d.sh', '/bin/sh /usr/bin/tool a b', '/usr/lib/tool/real a b', 'curl'],
      'own asked asked inner',
    ],
    ['a command that is a tool', ['/bin/bash /usr/bin/ctl up', 'curl x'], 'own asked'],
    ['a command that is a program', ['/usr/bin/curl x'], 'asked'],
    ['a command that is make', ['/usr/bin/make deploy', '/bin/sh -c x', 'curl x'], 'asked inner inner'],
    ['sudo as the command', ['sudo ./deploy.sh', '/bin/bash ./deploy.sh', 'curl x'], 'asked own asked'],
    ['sudo as the command, of a tool', ['sudo ctl', '/bin/bash /usr/bin/ctl', 'curl x'], 'asked own asked'],
    [
      'env as interpreter',
      ['/bin/bash d.sh', image('/usr/bin/env python3 ./x.py'), image('python3 ./x.py', '/usr/bin/python3')],
      'own asked own',
    ],
  ] as const)('%s', (_, lines, expected) => {
    expect(origins(...lines)).toBe(expected);
  });

  test('a program without a command line is nobody’s script', () => {
    expect(origins('/bin/bash d.sh', { ...image('x'), argv: null, exe: null })).toBe('own asked');
  });
});
