/**
 * What a daemon takes of the host: idle, at a start, and with many runs. Prints tables. usage: daemon.ts [PART…], all but
 * `day` without any: see PARTS. `--runs N`: of a day, 20,000 without; `--rounds N`: with a crowd, 9 without.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Hosted, openHost, untilIdle } from '../test/daemon/host.ts';
import { type Comparison, difference, medians, type Pair, takeTurns } from './comparison.ts';
import { descriptors, mappedMapsMiB, processorNs, residentMiB } from './daemon-process.ts';
import { benchDay, oneRun } from './day.ts';
import { answering, startNameServer, UPSTREAM, writeNames } from './dns.ts';
import { each, type Held, holdAttached, holdRun } from './held.ts';

const STARTS = 15;
const CONNECTS = 10_000;
/** Runs, and as many attached cgroups. */
const HALF = 100;
const WAVES = 4;
const IDLE_MS = 60_000;
/** An idle daemon gives memory back after ten seconds. */
const SETTLE_MS = 12_000;
const PORT = 18_573;

const ASK_PROGRAM = join(import.meta.dirname, 'ask-program.ts');
const COMPARED =
  '| the daemon | bare | guarded | ratio or difference | target |\n| --- | --- | --- | --- | --- |';

const root = fileURLToPath(new URL('..', import.meta.url));

/** A daemon, and in its network namespace a server and a name server. */
interface Stage {
  readonly hosted: Hosted;
  /** load.c, compiled. */
  readonly load: string;
  close(): Promise<void>;
}

interface Amounts {
  readonly runs: number;
  readonly rounds: number;
}

async function openStage(directory: string): Promise<Stage> {
  const load = join(directory, 'load');
  execFileSync('cc', ['-O2', '-pthread', '-o', load, join(root, 'bench/load.c')]);
  const hosted = await openHost(readFileSync(join(root, 'bench/daemon.yaml'), 'utf8'));
  const inside = (argv: readonly string[]) => [
    ...['nsenter', `--net=/run/netns/${hosted.place.namespace}`, '--', ...argv],
  ];
  const server = hosted.place.start([load, 'serve', String(PORT)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const nameServer = startNameServer(inside, writeNames(directory).hosts);
  const close = async () => {
    server.kill('SIGKILL');
    nameServer.kill('SIGKILL');
    await hosted.close();
  };
  try {
    if (server.stdout) await once(server.stdout, 'data');
    await answering(inside([load, 'lookup', UPSTREAM, '53', '1']));
    return { hosted, load, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The share of one processor that the daemon takes while nothing is asked of it, and what it keeps. */
async function idleFigures({ hosted }: Stage, ms: number): Promise<{ percent: number; resident: number }> {
  const [pid, start] = [hosted.pid(), performance.now()];
  const before = processorNs(pid);
  await sleep(ms);
  const percent = (processorNs(pid) - before) / 1e4 / (performance.now() - start);
  return { percent, resident: residentMiB(pid) };
}

async function* benchIdle(stage: Stage): AsyncGenerator<string> {
  for (let i = 0; i < 2; i++) stage.hosted.acyclic(['run', '--quiet', '--', 'true']);
  await sleep(SETTLE_MS);
  const first = residentMiB(stage.hosted.pid());
  const { percent, resident } = await idleFigures(stage, IDLE_MS);
  yield '| a daemon that guards nothing | figure | target |\n| --- | --- | --- |';
  yield `| of one processor, over ${IDLE_MS / 1000} s | ${percent.toFixed(3)} % | under 0.2 % |`;
  yield `| resident after ten idle seconds | ${first.toFixed(1)} MiB | under 90 MiB |`;
  yield `| resident after the minute | ${resident.toFixed(1)} MiB | under 90 MiB |`;
  yield `| of that maps of the kernel | ${mappedMapsMiB(stage.hosted.pid()).toFixed(1)} MiB | |`;
}

async function* benchStart({ hosted }: Stage): AsyncGenerator<string> {
  const comparison: Comparison = {
    ...{ what: '`acyclic run true` through the daemon against `true`, the difference', unit: 'ms' },
    ...{ target: 'at most 100 ms', rounds: STARTS, value: difference },
    bare: async () => hosted.place.bare(['true']).took,
    guarded: async () => hosted.acyclic(['run', '--quiet', '--', 'true']).took,
  };
  const pairs = await takeTurns(comparison);
  const best = (key: 'bare' | 'guarded') => Math.min(...pairs.map((pair) => pair[key]));
  const [bare, guarded] = [best('bare'), best('guarded')];
  const atBest = { bare, guarded, value: guarded - bare };
  yield COMPARED;
  yield medians(comparison, pairs);
  yield medians({ ...comparison, what: 'the same at best', target: '' }, [atBest]);
}

/** Half of them runs, half attached cgroups, each with a process that waits. */
async function gather({ hosted }: Stage): Promise<Held[]> {
  const runs = await each(HALF, 8, () => holdRun(hosted, 'echo'));
  return [...runs, ...(await each(HALF, 8, () => holdAttached(hosted, 'echo')))];
}

/** Each round is measured without anything guarded, in one run, and with all of the others there. */
async function* benchCrowd(stage: Stage, { rounds }: Amounts): AsyncGenerator<string> {
  const { hosted, load } = stage;
  const connects = [load, 'connect', '127.0.0.1', String(PORT), String(CONNECTS)];
  const outside = async () => Number(hosted.place.bare(connects).stdout);
  const pairs: Record<'outside' | 'inside', Pair[]> = { outside: [], inside: [] };
  const figures: string[] = [];
  for (let round = 0; round <= rounds; round++) {
    const none = await outside();
    const run = await holdRun(hosted, '"$@"', connects);
    const inside = async () => Number(await run.work());
    const alone = await inside();
    const crowd = await gather(stage);
    const [among, beside] = [await inside(), await outside()];
    if (round === rounds) {
      await sleep(SETTLE_MS);
      const { percent, resident } = await idleFigures(stage, IDLE_MS / 4);
      figures.push(
        `| of one processor | ${percent.toFixed(2)} % |`,
        `| resident | ${resident.toFixed(1)} MiB |`,
      );
    }
    await each(crowd.length, 8, async (i) => crowd[i]?.end());
    await run.end();
    await untilIdle(hosted);
    // The first round warms caches up.
    if (round === 0) continue;
    pairs.inside.push({ bare: alone, guarded: among, value: among / alone });
    pairs.outside.push({ bare: none, guarded: beside, value: beside / none });
  }
  const many = `${HALF} runs and ${HALF} attached cgroups`;
  const common = { unit: 'µs', target: 'at most 1.05×' };
  yield COMPARED;
  yield medians(
    { ...common, what: `connect+close in a run, with ${many} besides against none, p50` },
    pairs.inside,
  );
  yield medians({ ...common, what: `connect+close outside, with ${many} against none, p50` }, pairs.outside);
  yield `\n| ${many} that do nothing | figure |\n| --- | --- |`;
  yield* figures;
}

/** Runs all at once, several times over: what the first leaves is caches, and what each leaves is a leak. */
async function* benchWaves({ hosted, load }: Stage): AsyncGenerator<string> {
  const figures = () => `${descriptors(hosted.pid())} | ${residentMiB(hosted.pid()).toFixed(1)} MiB`;
  yield '| | descriptors | resident, after ten idle seconds | longest answer meanwhile |\n| --- | --- | --- | --- |';
  await sleep(SETTLE_MS);
  yield `| before | ${figures()} | |`;
  for (let wave = 1; wave <= WAVES; wave++) {
    const asking = askOn(hosted);
    await each(2 * HALF, 2 * HALF, () => oneRun(hosted, load, PORT));
    const longest = await asking.stop();
    await untilIdle(hosted);
    await sleep(SETTLE_MS);
    yield `| after ${2 * HALF} runs at once, ${wave} | ${figures()} | ${longest} ms |`;
  }
}

/** Asks a daemon again and again, in a process that does nothing else. */
function askOn(hosted: Hosted): { /** Milliseconds. */ stop(): Promise<number> } {
  const child = hosted.place.start([process.execPath, ASK_PROGRAM, hosted.socket], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout?.on('data', (data) => {
    output += data;
  });
  return {
    async stop() {
      child.stdin?.end();
      await once(child, 'close');
      return Number(output);
    },
  };
}

const PARTS: Readonly<Record<string, (stage: Stage, amounts: Amounts) => AsyncGenerator<string>>> = {
  idle: benchIdle,
  start: benchStart,
  crowd: benchCrowd,
  waves: benchWaves,
  day: ({ hosted, load }, { runs }) => benchDay(hosted, load, PORT, runs),
};

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '20000' },
      rounds: { type: 'string', default: '9' },
    },
  });
  const amounts = { runs: Number(values.runs), rounds: Number(values.rounds) };
  const parts = positionals.length > 0 ? positionals : Object.keys(PARTS).filter((name) => name !== 'day');
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-bench-'));
  try {
    const stage = await openStage(directory);
    try {
      for (const name of parts) {
        const part = PARTS[name];
        if (!part) throw new Error(`no part \`${name}\`: the parts are ${Object.keys(PARTS).join(', ')}`);
        const before = loadavg()[0];
        for await (const line of part(stage, amounts)) say(line);
        say(`\nat a load of ${before?.toFixed(1)} to ${loadavg()[0]?.toFixed(1)}\n`);
      }
    } finally {
      await stage.close();
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}

await main();
