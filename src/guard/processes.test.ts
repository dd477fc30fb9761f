import { describe, expect, test } from 'vitest';
import type { ExecRecord } from '../kernel/records.ts';
import { Clock } from './clock.ts';
import type { FoundProcess } from './found-process.ts';
import { ProcessTable } from './processes.ts';

const clock = new Clock(() => ({ monotonic: 0n, realtime: 1_000_000_000_000_000_000n }));

function fork(time: number, pid: number, parent: number) {
  return { type: 'fork', time: BigInt(time), pid, parent, uid: 0, comm: 'bash' } as const;
}

function exec(time: number, pid: number, argv: string[], parent = 1): ExecRecord {
  const [exe = ''] = argv;
  return { type: 'exec', time: BigInt(time), pid, parent, uid: 0, comm: exe, exe, argv, truncated: false };
}

describe('ProcessTable', () => {
  test('names the caller by the program it ran at that time, with its ancestry', () => {
    const table = new ProcessTable(clock);
    table.apply(exec(1, 100, ['/bin/bash', 'deploy.sh']));
    table.apply(fork(2, 101, 100));
    table.apply(exec(4, 101, ['/usr/bin/curl', 'https://github.com/']));
    expect(table.at(101, 3n)).toMatchObject({ exe: '/bin/bash', ancestry: [{ pid: 100, exe: '/bin/bash' }] });
    expect(table.at(101, 5n)).toMatchObject({
      exe: '/usr/bin/curl',
      argv: ['/usr/bin/curl', 'https://github.com/'],
      start: '2001-09-09T01:46:40.000000002Z',
    });
  });

  test('a pid used again is another process, before and after', () => {
    const table = new ProcessTable(clock);
    table.apply(fork(1, 7, 1));
    table.apply(exec(2, 7, ['/bin/one']));
    table.apply({ type: 'exit', time: 3n, pid: 7 });
    table.apply(fork(4, 7, 1));
    table.apply(exec(5, 7, ['/bin/two']));
    expect(table.at(7, 2n)?.exe).toBe('/bin/one');
    expect(table.at(7, 6n)?.exe).toBe('/bin/two');
  });

  test('ancestors that have exited are still named', () => {
    const table = new ProcessTable(clock);
    table.apply(exec(1, 10, ['/bin/parent']));
    table.apply(fork(2, 11, 10));
    table.apply({ type: 'exit', time: 3n, pid: 10 });
    table.apply(exec(4, 11, ['/bin/child']));
    table.apply({ type: 'exit', time: 60_000_000_000n, pid: 11 });
    expect(table.at(11, 5n)?.ancestry).toMatchObject([{ pid: 10, exe: '/bin/parent' }]);
  });

  test('no command line is kept with its secrets', () => {
    const table = new ProcessTable(clock);
    table.apply(exec(1, 20, ['/usr/bin/mysql', '-ps3cret']));
    table.apply({ ...exec(2, 21, ['/usr/bin/curl', '-u', 'joe:s3c'], 20), truncated: true });
    expect(table.at(21, 3n)).toMatchObject({
      argv: ['/usr/bin/curl', '-u', 'joe:***'],
      ancestry: [{ argv: ['/usr/bin/mysql', '-p***'] }],
    });
  });

  test('the lineage of a process has every program on the way, also those that became another', () => {
    const table = new ProcessTable(clock);
    table.apply(fork(1, 100, 1));
    table.apply(exec(2, 100, ['/bin/bash', 'deploy.sh']));
    table.apply(fork(3, 101, 100));
    table.apply(exec(4, 101, ['/usr/bin/env', 'tool']));
    table.apply(exec(5, 101, ['/usr/bin/tool']));
    table.apply(exec(6, 100, ['/bin/later']));
    table.apply(fork(7, 102, 101));
    table.apply(exec(9, 102, ['/usr/bin/curl', 'x']));
    const programs = (pid: number, time: bigint) =>
      table.lineage(pid, time).map(({ argv }) => argv?.join(' '));
    const before = ['/bin/bash deploy.sh', '/usr/bin/env tool', '/usr/bin/tool'];
    expect(programs(102, 9n)).toEqual([...before, '/usr/bin/curl x']);
    expect(programs(102, 8n)).toEqual(before);
    expect(programs(101, 4n)).toEqual(before.slice(0, 2));
    expect(programs(100, 6n)).toEqual(['/bin/bash deploy.sh', '/bin/later']);
    expect(programs(99, 9n)).toEqual([]);
  });

  test('one that was there before is taken up with those that led to it, and what it is told to run later is its own', () => {
    const table = new ProcessTable(clock);
    const found: Record<number, FoundProcess> = {
      30: {
        parent: 1,
        start: 1n,
        uid: 7,
        comm: 'nginx',
        exe: '/bin/nginx',
        argv: ['nginx', '--token=s3cret'],
      },
      31: {
        parent: 30,
        start: 2n,
        uid: 7,
        comm: 'nginx',
        exe: '/bin/nginx',
        argv: ['nginx', '--token=s3cret'],
      },
      32: { parent: 31, start: 3n, uid: 8, comm: 'hook', exe: '/bin/hook', argv: ['hook'] },
    };
    const read = (pid: number) => found[pid] ?? null;
    expect(table.adopt(32, 9n, read)).toBe(true);
    expect(table.adopt(32, 9n, read)).toBe(false);
    expect(table.at(32, 9n)).toMatchObject({
      ...{ exe: '/bin/hook', uid: 8, start: '2001-09-09T01:46:40.000000003Z' },
      ancestry: [{ pid: 31 }, { pid: 30, argv: ['nginx', '--token=***'] }],
    });
    expect(table.lineage(32, 9n).map(({ comm }) => comm)).toEqual(['nginx', 'hook']);
    table.apply(fork(10, 33, 32));
    table.apply(exec(11, 33, ['/bin/curl']));
    expect(table.at(33, 12n)?.ancestry).toMatchObject([{ pid: 32 }, { pid: 31 }, { pid: 30 }]);
  });

  test('a process that started after the call is not the one that called, nor is one that had ended', () => {
    const table = new ProcessTable(clock);
    const born = (start: bigint) => () => ({
      ...{ parent: 0, start, uid: 0, comm: 'later', exe: '/bin/later', argv: null },
    });
    expect(table.adopt(40, 5n, born(6n))).toBe(false);
    table.apply(fork(1, 41, 1));
    table.apply({ type: 'exit', time: 3n, pid: 41 });
    expect(table.adopt(41, 9n, born(4n))).toBe(true);
    expect(table.at(41, 9n)?.comm).toBe('later');
  });

  test('who was never seen is unknown', () => {
    expect(new ProcessTable(clock).at(5, 1n)).toBeNull();
  });
});
