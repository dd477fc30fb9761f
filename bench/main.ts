/**
 * `make bench`: the guarded call against the bare one, in turns in the same run, so that a drifting machine
 * shows in both. Prints a table of medians and ratios; figures worth keeping go to bench/README.md by hand.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Comparison, compare, difference, figure, outputOf, ratio } from './comparison.ts';
import { openDnsBench } from './dns.ts';
import { lintComparison } from './lint.ts';
import { benchTrail } from './trail.ts';

const ROUNDS = 9;
const CONNECTS = 10_000;
const BULK_MIB = 2048;
const STARTS = 15;
const OPEN_PORT = 18_571;
const CLOSED_PORT = 18_572;

const root = fileURLToPath(new URL('..', import.meta.url));
const acyclic = join(root, 'bin/acyclic');
const policy = join(root, 'bench/policy.yaml');
const guarded = (argv: readonly string[]) => [acyclic, 'run', '--quiet', '-p', policy, '--', ...argv];

async function elapsedMs(argv: readonly string[]): Promise<number> {
  const start = performance.now();
  await outputOf(argv);
  return performance.now() - start;
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-bench-'));
  // Guarded runs record into a trail of their own, and leave the host's as it is.
  process.env.ACYCLIC_STATE = join(directory, 'state');
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
        value: difference,
      },
      lintComparison(directory, acyclic, policy),
    ];
    const lines = [
      `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}`,
      '',
      '| what | bare | guarded | ratio or difference | target |',
      '| --- | --- | --- | --- | --- |',
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
    for (const comparison of comparisons) process.stdout.write(`${await compare(comparison)}\n`);
    const dns = await openDnsBench(load, directory);
    try {
      for (const comparison of dns.comparisons) process.stdout.write(`${await compare(comparison)}\n`);
    } finally {
      dns.close();
    }
    process.stdout.write('\n| the audit trail | figure | target |\n| --- | --- | --- |\n');
    for (const line of await benchTrail(directory, acyclic)) process.stdout.write(`${line}\n`);
    process.stdout.write('\n');
    for (const program of ['daemon.ts', 'graph.ts'])
      execFileSync(process.execPath, [join(root, 'bench', program)], { stdio: 'inherit' });
  } finally {
    server.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  }
}

await main();
