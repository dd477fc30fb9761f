/**
 * `make bench`: the guarded call against the bare one, in turns in the same run, so that a drifting machine
 * shows in both. Prints a table of medians and ratios; figures worth keeping go to bench/README.md by hand.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROUNDS = 9;
const CONNECTS = 10_000;
const BULK_MIB = 2048;
const STARTS = 15;
const OPEN_PORT = 18_571;
const CLOSED_PORT = 18_572;

const root = fileURLToPath(new URL('..', import.meta.url));
const acyclic = join(root, 'bin/acyclic');
const policy = join(root, 'bench/policy.yaml');
const run = promisify(execFile);

const guarded = (argv: readonly string[]) => [acyclic, 'run', '--quiet', '-p', policy, '--', ...argv];

async function figure([file = '', ...args]: readonly string[]): Promise<number> {
  const { stdout } = await run(file, args);
  return Number(stdout);
}

async function elapsedMs([file = '', ...args]: readonly string[]): Promise<number> {
  const start = performance.now();
  await run(file, args);
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

interface Comparison {
  readonly what: string;
  readonly unit: string;
  readonly target: string;
  readonly rounds: number;
  readonly bare: () => Promise<number>;
  readonly guarded: () => Promise<number>;
  /** What the target speaks of. */
  readonly value: (bare: number, guarded: number) => number;
}

/** A B A B …, and the median of the pairs' values. */
async function compare(comparison: Comparison): Promise<string> {
  const pairs: { bare: number; guarded: number; value: number }[] = [];
  for (let round = 0; round <= comparison.rounds; round++) {
    const bare = await comparison.bare();
    const guardedFigure = await comparison.guarded();
    // The first pair warms caches up.
    if (round > 0) pairs.push({ bare, guarded: guardedFigure, value: comparison.value(bare, guardedFigure) });
  }
  const column = (key: 'bare' | 'guarded' | 'value') => median(pairs.map((pair) => pair[key]));
  const { what, unit, target } = comparison;
  return `| ${what} | ${column('bare').toFixed(1)} ${unit} | ${column('guarded').toFixed(1)} ${unit} | ${column('value').toFixed(2)} | ${target} |`;
}

const ratio = (bare: number, other: number) => other / bare;

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-bench-'));
  const load = join(directory, 'load');
  execFileSync('cc', ['-O2', '-pthread', '-o', load, join(root, 'bench/load.c')]);
  const server = spawn(load, ['serve', String(OPEN_PORT)], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(server.stdout, 'data');
    const connect = [load, 'connect', '127.0.0.1', String(OPEN_PORT), String(CONNECTS)];
    const refused = [load, 'connect', '127.0.0.1', String(CLOSED_PORT), String(CONNECTS)];
    const denied = [load, 'connect', '127.9.0.1', String(OPEN_PORT), String(CONNECTS)];
    const bulk = [load, 'bulk', '127.0.0.1', String(OPEN_PORT), String(BULK_MIB)];
    const comparisons: Comparison[] = [
      {
        what: 'connect+close on loopback, allowed by an address rule, p50',
        unit: 'µs',
        target: 'at most 1.10×',
        rounds: ROUNDS,
        bare: () => figure(connect),
        guarded: () => figure(guarded(connect)),
        value: ratio,
      },
      {
        what: 'bulk TCP on loopback',
        unit: 'MiB/s',
        target: 'at least 0.97×',
        rounds: ROUNDS,
        bare: () => figure(bulk),
        guarded: () => figure(guarded(bulk)),
        value: ratio,
      },
      {
        what: 'a denied connect against a bare refused one, p50',
        unit: 'µs',
        target: 'at most 2×',
        rounds: ROUNDS,
        bare: () => figure(refused),
        guarded: () => figure(guarded(denied)),
        value: ratio,
      },
      {
        what: '`acyclic run true` against `true`, the difference',
        unit: 'ms',
        target: 'at most 300 ms',
        rounds: STARTS,
        bare: () => elapsedMs(['true']),
        guarded: () => elapsedMs(guarded(['true'])),
        value: (bare, other) => other - bare,
      },
    ];
    const lines = [
      `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}`,
      '',
      '| what | bare | guarded | ratio or difference | target |',
      '| --- | --- | --- | --- | --- |',
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
    for (const comparison of comparisons) process.stdout.write(`${await compare(comparison)}\n`);
    process.stdout.write('\n');
    execFileSync(process.execPath, [join(root, 'bench/graph.ts')], { stdio: 'inherit' });
  } finally {
    server.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  }
}

await main();
