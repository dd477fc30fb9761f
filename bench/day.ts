import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { subtree } from '../src/kernel/cgroup.ts';
import { findCgroup2 } from '../src/kernel/mounts.ts';
import { native } from '../src/kernel/native.ts';
import { pinDirectory } from '../src/kernel/pins.ts';
import { type Hosted, untilIdle } from '../test/daemon/host.ts';
import { descriptors, residentMiB } from './daemon-process.ts';
import { UPSTREAM } from './dns.ts';
import { each, holdRun } from './held.ts';

const SAMPLES = 20;
/** Runs at a time. */
const LANES = 8;
/** BPF_MAP_TYPE_…: hashes, tries and the table of sockets, of which a run is to leave nothing; those by age are bounded. */
const COUNTED: ReadonlySet<number> = new Set([1, 11, 18]);
const HEAP_PROGRAM = fileURLToPath(new URL('heap-program.ts', import.meta.url));

/** Two lookups, a call to what they led to, one by an address rule, and one that is denied. `$1`: load.c; `$2`: a port. */
const SCRIPT = [
  `"$1" lookup ${UPSTREAM} 53 2`,
  '"$1" connect 10.77.0.0 80 1',
  '"$1" connect 127.0.0.1 "$2" 1',
  '"$1" connect 127.9.0.1 "$2" 1',
  'echo done',
].join(' >/dev/null; ');
const CALLS = 5;

/** What there is of a daemon, and of what its runs leave. */
interface Sample {
  readonly runs: number;
  /** MiB. */
  readonly resident: number;
  readonly heap: number;
  readonly descriptors: number;
  readonly entries: number;
  readonly cgroups: number;
  /** Cgroups that are removed, and that something in the kernel still holds. */
  readonly dying: number;
  readonly pins: number;
  readonly files: number;
  /** Milliseconds by the clock for one run, since the sample before. */
  readonly took: number;
}

/** One run as a script that deploys has it: everything that is kept of one is there once. */
export async function oneRun(hosted: Hosted, load: string, port: number): Promise<void> {
  const run = await holdRun(hosted, SCRIPT, [load, String(port)]);
  const line = await run.work();
  const summary = await run.end();
  const right = summary?.calls === CALLS && summary.denials === 1 && summary.exit.command === 0;
  if (line !== 'done' || !right || Object.keys(summary.lost).length > 0)
    throw new Error(`not the run that was to be measured: ${line}, ${JSON.stringify(summary)}`);
}

/** Rows of a table: a day's worth of runs, and what is there after each part of them. */
export async function* benchDay(
  hosted: Hosted,
  load: string,
  port: number,
  runs: number,
): AsyncGenerator<string> {
  const heap = openHeap(hosted);
  const samples: Sample[] = [];
  const part = Math.ceil(runs / SAMPLES);
  yield '| runs | resident | heap in use | descriptors | entries of maps | cgroups | dying | pins | files | a run |';
  yield '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |';
  for (let done = part; done <= runs; done += part) {
    const start = performance.now();
    await each(part, LANES, () => oneRun(hosted, load, port));
    const took = (performance.now() - start) / part;
    await untilIdle(hosted);
    const sample = { runs: done, took, heap: await heap.read(), ...look(hosted) };
    samples.push(sample);
    yield row(sample);
  }
  heap.close();
  const later = samples.slice(samples.length >> 1);
  for (const key of ['resident', 'heap'] as const)
    yield `\n${key}: ${slope(later, key).toFixed(3)} MiB for a thousand runs, in the second half`;
}

function look(hosted: Hosted): Omit<Sample, 'runs' | 'heap' | 'took'> {
  const pid = hosted.pid();
  const root = findCgroup2();
  const [, dying = '0'] =
    /^nr_dying_descendants (\d+)$/m.exec(readFileSync(`${root}/cgroup.stat`, 'utf8')) ?? [];
  return {
    ...{ resident: residentMiB(pid), descriptors: descriptors(pid), entries: entries() },
    cgroups: subtree(root).filter((path) => path.includes('/acyclic-')).length,
    ...{ dying: Number(dying), pins: filesBelow(join(pinDirectory('engine'), '..')) },
    files: filesBelow(hosted.state) + filesBelow('/run/acyclic'),
  };
}

/** Entries of all maps of the daemon's engine together. */
function entries(): number {
  const directory = join(pinDirectory('engine'), 'maps');
  return readdirSync(directory).reduce((sum, name) => {
    const map = native().mapOpenPinned(join(directory, name));
    const { type, keySize } = native().mapInfo(map);
    const count = COUNTED.has(type) ? native().mapKeys(map, 1 << 20).length / keySize : 0;
    native().mapClose(map);
    return sum + count;
  }, 0);
}

function filesBelow(directory: string): number {
  const all = readdirSync(directory, { recursive: true, withFileTypes: true });
  return all.filter((entry) => !entry.isDirectory()).length;
}

/** What JavaScript keeps of the daemon, in MiB, by its inspector: as it is, no daemon made for it. */
function openHeap(hosted: Hosted): { read(): Promise<number>; close(): void } {
  process.kill(hosted.pid(), 'SIGUSR1');
  const child: ChildProcess = hosted.place.start([process.execPath, HEAP_PROGRAM], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  if (!child.stdout) throw new Error('no standard output');
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    async read() {
      child.stdin?.write('\n');
      return Number((await lines.next()).value) / (1 << 20);
    },
    close: () => child.stdin?.end(),
  };
}

/** Of the line of least squares, a thousand runs. */
function slope(samples: readonly Sample[], key: 'resident' | 'heap'): number {
  const mean = (of: (sample: Sample) => number) =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [runs, value] = [mean((sample) => sample.runs), mean((sample) => sample[key])];
  const over = mean((sample) => (sample.runs - runs) * (sample[key] - value));
  return (1000 * over) / mean((sample) => (sample.runs - runs) ** 2);
}

function row(sample: Sample): string {
  const { runs, resident, heap, descriptors, entries, cgroups, dying, pins, files, took } = sample;
  const cells = [
    ...[runs, `${resident.toFixed(1)} MiB`, `${heap.toFixed(2)} MiB`, descriptors, entries, cgroups],
    ...[dying, pins, files, `${took.toFixed(1)} ms`],
  ];
  return `| ${cells.join(' | ')} |`;
}
