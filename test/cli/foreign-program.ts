import { execFileSync } from 'node:child_process';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { findCgroup2 } from '../../src/kernel/mounts.ts';
import { makePlaces } from '../kernel/fixtures/fixture.ts';

/** Somebody else's eBPF, compiled once; `remove` it after. */
export function foreignProgram() {
  const places = makePlaces();
  /** Its connect4 lets all but one port through. */
  const object = places.compile('native');

  /** A cgroup with a program of somebody else's on it, attached with `flags`; `use` may run commands in it. */
  function withForeignProgram(flags: readonly string[], use: (enter: string, cgroup: string) => void): void {
    const name = `acyclic-foreign-${process.pid}`;
    const cgroup = join(findCgroup2(), name);
    const pin = join('/sys/fs/bpf', name);
    const bpftool = (...args: string[]) =>
      execFileSync('bpftool', args, { env: { PATH: `${process.env.PATH}:/usr/sbin` }, encoding: 'utf8' });
    mkdirSync(cgroup);
    try {
      bpftool('prog', 'loadall', object, pin);
      bpftool('cgroup', 'attach', cgroup, 'cgroup_inet4_connect', 'pinned', join(pin, 'connect4'), ...flags);
      use(`echo $$ > ${join(cgroup, 'cgroup.procs')}; `, cgroup);
    } finally {
      execFileSync('rm', ['-rf', pin]);
      rmdirSync(cgroup);
    }
  }

  return { withForeignProgram, remove: () => places.remove() };
}
