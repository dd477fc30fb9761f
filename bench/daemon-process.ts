import { readdirSync, readFileSync } from 'node:fs';

/** Processor time of all threads of a process, in nanoseconds, as the scheduler has it: clock ticks are too coarse. */
export function processorNs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
    const [ran = '0'] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
    return sum + Number(ran);
  }, 0);
}

/** MiB. */
export function residentMiB(pid: number): number {
  const [, kib = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}

/** MiB of BPF maps among what is resident: they are there once, in the kernel, however many map them. */
export function mappedMapsMiB(pid: number): number {
  const areas = readFileSync(`/proc/${pid}/smaps`, 'utf8').matchAll(/bpf-map\n(?:.*\n)*?Rss:\s+(\d+) kB$/gm);
  return [...areas].reduce((sum, [, kib]) => sum + Number(kib), 0) / 1024;
}

export function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
