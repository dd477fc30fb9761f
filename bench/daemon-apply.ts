/**
 * What a change of a policy of ten thousand rules costs a daemon with runs in progress: how long it takes, with nothing
 * else to do; and, where it has, the longest that a lookup of a guarded run, and a request to the daemon, wait meanwhile.
 * usage: daemon-apply.ts [RUNS ...]. Needs root, dnsmasq and python3.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Begun, type Hosted, openHost, untilIdle } from '../test/daemon/host.ts';

const RULES = 10_000;
const SERVER = '127.53.0.1';
/** Past policies are cleared ten seconds after. */
const CLEARED_MS = 13_000;
const QUIET_MS = 3000;
/** How often it is measured with nothing else to do. */
const ROUNDS = 5;

/** Half of the rules name hosts, half addresses; with another `mark` they name others. */
function policyOf(rules: number, mark: number): string {
  const lines = Array.from({ length: rules }, (_, i) =>
    i % 2 === 0
      ? `      - { address: 10.${i >> 8}.${i & 255}.${mark}/32, ports: [${1000 + (i % 40)}/tcp] }`
      : `      - { host: h${i}-${mark}.svc${i % 97}.example, ports: [443/tcp, ${8000 + (i % 50)}/tcp] }`,
  );
  return `version: 1
services:
  mysql: { addresses: [127.1.0.1] }
  github: { addresses: [127.2.0.0/16], depends_on: [mysql] }
deployments:
  mysql:
    mode: enforce
    default: deny
    dns: { servers: [${SERVER}] }
    allow:
      - { host: "*.lab.test" }
${lines.join('\n')}
`;
}

/** Looks a name up every five milliseconds, each a new one in ten, and says when it asked and how long that took. */
const PROBE = `import os, socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.connect(('${SERVER}', 53))
n = 0
while not os.path.exists('stop'):
    label = b'n%d' % (n // 10)
    q = struct.pack('>HHHHHH', n % 65536, 256, 1, 0, 0, 0) + bytes([len(label)]) + label + b'\\3lab\\4test\\0\\0\\1\\0\\1'
    asked = time.time(); a = time.monotonic()
    s.send(q)
    try: r = s.recv(512); rcode = r[3] & 15
    except Exception: rcode = 'none'
    print('%.3f %.3f %s' % (asked * 1000, (time.monotonic() - a) * 1000, rcode), flush=True)
    n += 1
    time.sleep(0.005)
`;

const tell = (line: string) => process.stdout.write(`${line}\n`);

interface Sample {
  readonly at: number;
  readonly ms: number;
}

const longest = (samples: readonly Sample[], from: number, to: number) =>
  Math.max(0, ...samples.filter(({ at, ms }) => at + ms >= from && at <= to).map(({ ms }) => ms));

/** Asks for the daemon's health at a steady pace, until it is stopped. */
function watchStatus(hosted: Hosted): { samples: Sample[]; stop(): Promise<void> } {
  const samples: Sample[] = [];
  let stopped = false;
  const watching = (async () => {
    while (!stopped) {
      const [at, start] = [Date.now(), performance.now()];
      await hosted.status();
      samples.push({ at, ms: performance.now() - start });
      await sleep(20);
    }
  })();
  return {
    samples,
    stop() {
      stopped = true;
      return watching;
    },
  };
}

async function applied(hosted: Hosted, file: string): Promise<number> {
  const start = performance.now();
  const { status, stderr } = await hosted.begin(['policy', 'apply', file]).ended;
  if (status !== 0) throw new Error(`acyclic policy apply: ${status} ${stderr}`);
  return performance.now() - start;
}

/** Of `policy apply` as a whole, with one run in progress that does nothing. */
async function benchAlone(): Promise<void> {
  const hosted = await openHost(policyOf(1, 1));
  const { place } = hosted;
  try {
    const run = hosted.begin([
      'run',
      '--quiet',
      '-d',
      'mysql',
      '--',
      'sh',
      '-c',
      'until [ -e stop ]; do sleep 0.2; done',
    ]);
    while ((await hosted.status()).runs.length < 1) await sleep(50);
    const took: Record<'one' | 'others', number[]> = { one: [], others: [] };
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, before] of (['one', 'others', null] as const).entries()) {
        const file = place.file('next.yaml', policyOf(before ? RULES : 1, 2 + 3 * round + i));
        if (before) await sleep(CLEARED_MS);
        const ms = await applied(hosted, file);
        if (before) took[before].push(ms);
      }
    }
    place.file('stop', '');
    await run.ended;
    tell('| `policy apply` of 10,000 rules | median | least | most |\n| --- | --- | --- | --- |');
    for (const [before, list] of Object.entries(took)) {
      const sorted = list.sort((a, b) => a - b);
      const cells = [sorted[ROUNDS >> 1], sorted[0], sorted.at(-1)].map((ms) => `${ms?.toFixed(0)} ms`);
      tell(`| in place of ${before} | ${cells.join(' | ')} |`);
    }
  } finally {
    await hosted.close();
  }
}

async function bench(runs: number): Promise<void> {
  const hosted = await openHost(policyOf(1, 1));
  const { place } = hosted;
  const dns = place.start(
    [
      'dnsmasq',
      '--keep-in-foreground',
      '--no-resolv',
      '--no-hosts',
      '--conf-file=/dev/null',
      '--pid-file=',
      `--listen-address=${SERVER}`,
      '--bind-interfaces',
      '--user=root',
      '--address=/lab.test/127.4.0.1',
    ],
    { stdio: 'ignore' },
  );
  const others: Begun[] = [];
  try {
    await sleep(300);
    const start = ['run', '--quiet', '-d', 'mysql', '--'];
    const probe = hosted.begin([...start, 'python3', '-c', PROBE]);
    for (let i = 1; i < runs; i++)
      others.push(hosted.begin([...start, 'sh', '-c', 'until [ -e stop ]; do sleep 0.2; done']));
    const failed = [probe, ...others].map(async ({ ended }) => {
      const { status: exit, stderr } = await ended;
      if (exit !== 0) throw new Error(`a run ended with ${exit}: ${stderr}`);
    });
    const begun = async () => {
      while ((await hosted.status()).runs.length < runs) await sleep(50);
    };
    await Promise.race([begun(), ...failed]);
    const status = watchStatus(hosted);
    const phases: { what: string; from: number; to: number; took: number }[] = [];
    const phase = async (what: string, work: () => Promise<unknown>) => {
      const from = Date.now();
      await work();
      phases.push({ what, from, to: Date.now(), took: Date.now() - from });
      process.stderr.write(`${what}: ${Date.now() - from} ms\n`);
    };
    const command = async (args: string[]) => {
      const { status: exit, stderr } = await hosted.begin(args).ended;
      if (exit !== 0) throw new Error(`acyclic ${args.join(' ')}: ${exit} ${stderr}`);
    };
    const file = (rules: number, mark: number) => {
      // Of the name it has in the policy directory.
      mkdirSync(join(place.directory, `${mark}`));
      return place.file(`${mark}/acyclic.yaml`, policyOf(rules, mark));
    };
    await phase('nothing', () => sleep(QUIET_MS));
    await phase('apply 10,000 rules', () => command(['policy', 'apply', file(RULES, 1)]));
    await phase('apply 10,000 others', () => command(['policy', 'apply', file(RULES, 2)]));
    await phase('live entry', () => command(['deny', '10.9.9.9', '--for', '1h', '--reason', 'bench']));
    await phase('rollback', () => command(['policy', 'rollback']));
    await phase('watch', async () => {
      const before = (await hosted.status()).policies[0]?.id;
      writeFileSync(join(hosted.policy, 'acyclic.yaml'), policyOf(RULES, 3));
      while ((await hosted.status()).policies[0]?.id === before) await sleep(10);
    });
    await phase('past policies cleared', () => sleep(CLEARED_MS));
    await status.stop();
    place.file('stop', '');
    const { stdout } = await probe.ended;
    await Promise.all(others.map(({ ended }) => ended));
    const lookups = stdout.split('\n').flatMap((line) => {
      const [at, ms, rcode] = line.split(' ');
      return rcode === undefined ? [] : [{ at: Number(at), ms: Number(ms), rcode }];
    });
    const wrong = lookups.filter(({ rcode }) => rcode !== '0').length;
    tell(`\n${runs} runs, ${lookups.length} lookups, ${wrong} not answered as they should be\n`);
    tell('| what | took | longest lookup | longest request |\n| --- | --- | --- | --- |');
    for (const { what, from, to, took } of phases)
      tell(
        `| ${what} | ${took} ms | ${longest(lookups, from, to).toFixed(0)} ms | ${longest(status.samples, from, to).toFixed(0)} ms |`,
      );
    await untilIdle(hosted);
  } finally {
    dns.kill();
    await hosted.close();
  }
}

await benchAlone();
const counts = process.argv.slice(2).map(Number);
for (const runs of counts.length > 0 ? counts : [1, 10]) await bench(runs);
