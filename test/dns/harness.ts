import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Fact, Lookup, ProxyHooks, Requester } from '../../src/dns/hooks.ts';
import { type Proxy as DnsProxy, startProxy } from '../../src/dns/proxy.ts';
import type { Patience } from '../../src/dns/upstream.ts';
import { openDatagrams } from '../../src/kernel/datagrams.ts';
import { type DnsServer, type Fault, startDnsServer } from '../lab/dns-server.ts';
import type { Zone } from '../lab/dns-zone.ts';

const run = promisify(execFile);

export interface Dig {
  readonly status: string;
  /** Data of the answer section, a line each. */
  readonly answers: readonly string[];
  readonly text: string;
  readonly ms: number;
}

export interface Bench {
  readonly proxy: DnsProxy;
  readonly servers: readonly DnsServer[];
  /** What happened, in order: `judge a.test b.test`, `learn 192.0.2.1 30 a.test`, `report a.test A NOERROR`. */
  readonly log: string[];
  readonly lookups: Lookup[];
  /** Asks the proxy with the real dig; no retries, four seconds. */
  dig(...args: string[]): Promise<Dig>;
  close(): Promise<void>;
}

export interface BenchOptions {
  readonly zone?: Zone;
  /** One upstream server for each. */
  readonly faults?: readonly Readonly<Record<string, Fault>>[];
  readonly denied?: readonly string[];
  readonly onDeny?: 'nxdomain' | 'refuse' | 'resolve';
  readonly hooks?: Partial<ProxyHooks>;
  readonly patience?: Patience;
  readonly addresses?: readonly string[];
}

export function requester(run: string): Requester {
  return { run, servers: null, failures: { overloaded: 0, unlearned: 0, internal: 0 }, context: null };
}

const REQUESTER = requester('run-1');

/** A proxy between dig and real servers, with a policy of names and a log of its hooks. */
export async function startBench(options: BenchOptions = {}): Promise<Bench> {
  const { zone = {}, faults = [{}], denied = [], onDeny = 'nxdomain' } = options;
  const servers = await Promise.all(
    faults.map((one) => startDnsServer({ address: '127.77.0.1', zone, faults: one })),
  );
  const log: string[] = [];
  const lookups: Lookup[] = [];
  const tell = ({ address, ttl, names }: Fact): string => `learn ${address} ${ttl} ${names.join(' ')}`;
  const hooks: ProxyHooks = {
    identify: () => REQUESTER,
    judge(_, { name: asked }, aliases) {
      const names = [asked, ...aliases];
      log.push(`judge ${names.join(' ')}`);
      return {
        denied: names.some((name) => denied.includes(name)),
        onDeny,
        reason: 'denied by test: a → b → a',
        ...{ provisional: false, later: [] },
      };
    },
    learn(_, facts) {
      log.push(...facts.map(tell));
      return true;
    },
    report(_, lookup) {
      log.push(`report ${lookup.name} ${lookup.type} ${lookup.rcode}`);
      lookups.push(lookup);
    },
    ...options.hooks,
  };
  const proxy = await startProxy({
    addresses: options.addresses ?? ['127.77.0.2'],
    servers: servers.map(({ port }) => ({ address: '127.77.0.1', port })),
    hooks,
    openDatagrams,
    ...(options.patience === undefined ? {} : { patience: options.patience }),
  });
  return {
    proxy,
    servers,
    log,
    lookups,
    dig: (...args) => dig(proxy.addresses[0] ?? '', proxy.port, args),
    async close() {
      await proxy.close();
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

export async function dig(address: string, port: number, args: readonly string[]): Promise<Dig> {
  const began = performance.now();
  const common = [`@${address}`, '-p', String(port), '+tries=1', '+time=5'];
  const { stdout } = await run('dig', [...common, ...args]).catch((error) => error as { stdout: string });
  const ms = performance.now() - began;
  const section = /;; ANSWER SECTION:\n([\s\S]*?)\n\n/.exec(stdout)?.[1] ?? '';
  return {
    status: /status: (\w+)/.exec(stdout)?.[1] ?? 'none',
    answers: section.split('\n').flatMap((line) => line.split(/\s+/).slice(4).join(' ') || []),
    text: stdout,
    ms,
  };
}
