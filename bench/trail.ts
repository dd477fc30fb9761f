/** What the audit trail takes: how fast it records, how soon it answers, how much memory it needs. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TrailReader } from '../src/audit/reader.ts';
import { countDestinations } from '../src/audit/stats.ts';

const MILLION = 1_000_000;
const FLOODED = 500_000;
const QUESTIONS = 5;
const run = promisify(execFile);

/** What bench/record.ts prints. */
interface Recorded {
  readonly perSecond: number;
  readonly lost: number;
  readonly peakMiB: number;
  readonly workerUs: number;
}

/** Rows of a table: what, figure, target. */
export async function benchTrail(directory: string, acyclic: string): Promise<string[]> {
  const state = join(directory, 'trail');
  const { perSecond, lost, workerUs } = await record(state, MILLION, 'max');
  const query = await medianOf(async () => ask(state));
  const command = await medianOf(async () => {
    const start = performance.now();
    await run(acyclic, ['audit', 'stats', '--json', '--state', state]);
    return performance.now() - start;
  });
  const flood = await record(join(directory, 'flood'), FLOODED, 'flood');
  const idle = await record(state, FLOODED, 'none');
  return [
    row(
      'events recorded to disk',
      `${perSecond} a second, ${lost} lost`,
      'at least 50,000 a second, none lost',
    ),
    row("the writer's processor time for one", `${workerUs.toFixed(1)} µs`, ''),
    row('calls by destination, over a million events', `${query.toFixed(0)} ms`, 'under 300 ms'),
    row('the same as `acyclic audit stats --json`', `${command.toFixed(0)} ms`, ''),
    row(
      'memory of the writer and its queue, flooded',
      `${(flood.peakMiB - idle.peakMiB).toFixed(0)} MiB`,
      'under 150 MiB',
    ),
  ];
}

async function record(state: string, events: number, rate: string): Promise<Recorded> {
  const program = join(import.meta.dirname, 'record.ts');
  const { stdout } = await run(process.execPath, [
    ...['--disable-warning=ExperimentalWarning', program, state, String(events), rate],
  ]);
  return JSON.parse(stdout) as Recorded;
}

function ask(state: string): number {
  const reader = new TrailReader(state);
  const start = performance.now();
  const counts = countDestinations(reader, {}, (_, { names, address }) => names[0] ?? address ?? '');
  const took = performance.now() - start;
  reader.close();
  const calls = counts.reduce((sum, count) => sum + count.calls, 0);
  if (calls !== MILLION) throw new Error(`${calls} calls were counted, not a million`);
  return took;
}

async function medianOf(measure: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < QUESTIONS; i++) values.push(await measure());
  return values.sort((a, b) => a - b)[QUESTIONS >> 1] ?? Number.NaN;
}

function row(what: string, figure: string, target: string): string {
  return `| ${what} | ${figure} | ${target} |`;
}
