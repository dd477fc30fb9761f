import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Comparison, difference, figure, outputOf, ratio } from './comparison.ts';

const LOOKUPS = 5000;
const LATENCY_ROUNDS = 9;
const LOAD_SECONDS = 4;
const LOAD_ROUNDS = 5;
/** `host1.bench.internal` and so on; as many as load.c asks for. */
const NAMES = 1000;
/** The server asked, and a plain forwarder to it; bench/dns.yaml names the first. */
export const UPSTREAM = '127.53.0.1';
const FORWARDER = '127.53.0.2';

const root = fileURLToPath(new URL('..', import.meta.url));

export interface DnsBench {
  readonly comparisons: readonly Comparison[];
  close(): void;
}

/**
 * Lookups through the guard against lookups without, in a network namespace with a name server and a forwarder,
 * both dnsmasq. `load` is load.c, compiled; `directory` is for its files.
 */
export async function openDnsBench(load: string, directory: string): Promise<DnsBench> {
  const namespace = `acyclic-bench-${process.pid}`;
  const inside = (argv: readonly string[]) => ['nsenter', `--net=/run/netns/${namespace}`, '--', ...argv];
  const guarded = (argv: readonly string[]) =>
    inside([join(root, 'bin/acyclic'), 'run', '--quiet', '-p', join(root, 'bench/dns.yaml'), '--', ...argv]);
  const servers: ChildProcess[] = [];
  const close = () => {
    for (const server of servers) server.kill('SIGKILL');
    execFileSync('ip', ['netns', 'del', namespace]);
  };
  execFileSync('ip', ['netns', 'add', namespace]);
  try {
    execFileSync('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
    const { hosts, names } = writeNames(directory);
    servers.push(startNameServer(inside, hosts));
    servers.push(startDnsmasq(inside, [`--listen-address=${FORWARDER}`, `--server=${UPSTREAM}`]));
    await answering(inside([load, 'lookup', FORWARDER, '53', '1']));
    const lookup = (server: string) => [load, 'lookup', server, '53', String(LOOKUPS)];
    const perf = (server: string) => ['dnsperf', '-s', server, '-d', names, '-l', String(LOAD_SECONDS)];
    const direct = () => figure(inside(lookup(UPSTREAM)));
    const latency = { unit: 'µs', rounds: LATENCY_ROUNDS, bare: direct, value: difference };
    const comparisons: Comparison[] = [
      {
        ...latency,
        what: 'one lookup, against asking the same server directly, p50, the difference',
        target: 'at most 150 µs',
        guarded: () => figure(guarded(lookup(UPSTREAM))),
      },
      {
        ...latency,
        what: 'the same with dnsmasq as a plain forwarder in place of the guard',
        target: 'for comparison',
        guarded: () => figure(inside(lookup(FORWARDER))),
      },
      {
        what: 'lookups a second with dnsperf, against dnsmasq as a plain forwarder',
        unit: '/s',
        target: 'at least 0.5×',
        rounds: LOAD_ROUNDS,
        bare: () => answersASecond(inside(perf(FORWARDER))),
        guarded: () => answersASecond(guarded(perf(UPSTREAM))),
        value: ratio,
      },
    ];
    return { comparisons, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Nothing of the host's configuration, and no cache: each lookup is asked. */
const DNSMASQ = [
  '--keep-in-foreground',
  '--conf-file=/dev/null',
  '--no-resolv',
  '--no-hosts',
  '--bind-interfaces',
  '--cache-size=0',
  '--pid-file=',
  '--user=root',
];

type Inside = (argv: readonly string[]) => string[];

function startDnsmasq(inside: Inside, options: readonly string[]): ChildProcess {
  const [file = '', ...args] = inside(['dnsmasq', ...DNSMASQ, ...options]);
  return spawn(file, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Answers at UPSTREAM, in the network namespace that `inside` enters, for what `writeNames` wrote. */
export function startNameServer(inside: Inside, hosts: string): ChildProcess {
  return startDnsmasq(inside, [`--listen-address=${UPSTREAM}`, `--addn-hosts=${hosts}`]);
}

/** The files of names that the name server and dnsperf read. */
export function writeNames(directory: string): { hosts: string; names: string } {
  const all = Array.from({ length: NAMES }, (_, i) => ({
    name: `host${i + 1}.bench.internal`,
    address: `10.77.${i >> 8}.${i & 255}`,
  }));
  const hosts = join(directory, 'hosts');
  const names = join(directory, 'names');
  writeFileSync(hosts, all.map(({ name, address }) => `${address} ${name}\n`).join(''));
  writeFileSync(names, all.map(({ name }) => `${name} A\n`).join(''));
  return { hosts, names };
}

/** Waits until a command succeeds, five seconds at most. */
export async function answering(argv: readonly string[]): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await outputOf(argv);
      return;
    } catch (error) {
      if (tries === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** The figure counts only if every question was answered, with an address. */
async function answersASecond(argv: readonly string[]): Promise<number> {
  const output = await outputOf(argv);
  const value = (pattern: RegExp) => Number(pattern.exec(output)?.[1]);
  const answered = value(/NOERROR \d+ \(([\d.]+)%\)/);
  if (value(/Queries lost:\s+(\d+)/) !== 0 || answered !== 100) throw new Error(`dnsperf: ${output}`);
  return value(/Queries per second:\s+([\d.]+)/);
}
