import { readFileSync } from 'node:fs';
import { type Proxy as DnsProxy, startProxy } from '../dns/proxy.ts';
import { parseResolvConf } from '../dns/resolv.ts';
import { ClientTable } from '../kernel/clients.ts';
import { openDatagrams } from '../kernel/datagrams.ts';
import { SetupFailure } from '../kernel/failure.ts';
import { readLosses, readLostEnds } from '../kernel/losses.ts';
import { native } from '../kernel/native.ts';
import type { Programs } from '../kernel/programs.ts';
import type { TakeRecord } from '../kernel/records.ts';
import { RecordStream } from '../kernel/stream.ts';
import { Tables } from '../kernel/tables.ts';
import { EngineWords } from '../kernel/words.ts';
import type { Address } from '../model/address.ts';
import type { Clock } from './clock.ts';
import { lookupLosses, proxyHooks, type RunLookups } from './lookups.ts';

/** A run, as its engine knows it. */
export interface EngineRun {
  /** The id of its cgroup. */
  readonly run: bigint;
  /** The depth of its cgroup. */
  readonly level: number;
  /** Takes in what the kernel tells of it. */
  readonly take: TakeRecord;
  /** Called twice a second. */
  beat(): void;
  /** What the DNS proxy asks of it. */
  readonly lookups: RunLookups;
}

/** Where the DNS proxy of runs listens. */
export const PROXY_ADDRESSES = ['127.86.0.1', '::1'] as const;
const HEARTBEAT_MS = 500;
const RESOLV_CONF = '/etc/resolv.conf';
const DNS_PORT = 53;

/** What runs share: loaded programs and their tables, the stream of what they tell, the DNS proxy, the heartbeat. */
export class Engine {
  readonly programs: Programs;
  readonly words: EngineWords;
  readonly tables: Tables;
  readonly clock: Clock;
  readonly stream: RecordStream;
  readonly #clients: ClientTable;
  readonly #runs = new Map<bigint, EngineRun>();
  /** Runs that want to know how system calls return. */
  readonly #watching = new Set<string>();
  #facts = 0;
  #generations = 0;
  #proxy: DnsProxy | null = null;
  #heart: NodeJS.Timeout | null = null;

  constructor(programs: Programs, clock: Clock) {
    this.programs = programs;
    this.clock = clock;
    this.words = new EngineWords(programs.map('engine'));
    this.words.setNetns(native().netnsCookie());
    this.tables = new Tables(programs);
    this.#clients = new ClientTable(programs.map('clients'));
    this.stream = new RecordStream(
      { events: programs.map('events'), processes: programs.map('processes') },
      this.words,
      (record, run) => this.#runs.get(run)?.take(record, run),
    );
  }

  /** A number that no fact of any run has. */
  readonly nextFact = (): number => ++this.#facts;

  /** A number that no tables of any run are under. */
  nextGeneration(): number {
    this.#generations += 1;
    return this.#generations;
  }

  /** Before its programs are attached. Throws SetupFailure `levels`, and nothing is added. */
  add(run: EngineRun): void {
    this.#runs.set(run.run, run);
    try {
      this.#tellRuns();
    } catch (error) {
      this.#runs.delete(run.run);
      throw new SetupFailure(
        'levels',
        `runs are in progress at too many depths of the cgroup tree: ${(error as Error).message}`,
        'wait for one of them to end, or start this one from a cgroup at the depth of another',
        { cause: error },
      );
    }
  }

  /** Once its programs are taken off. Twice is no error. */
  remove(run: EngineRun): void {
    if (this.#runs.delete(run.run)) this.#tellRuns();
  }

  #tellRuns(): void {
    this.words.setLevels([...this.#runs.values()].map(({ level }) => level));
    const [only, ...others] = this.#runs.keys();
    this.words.setRun(only !== undefined && others.length === 0 ? only : 0n);
  }

  /** Watches how system calls return, for as long as a run wants it. False: this host has no tracefs for that. */
  watchSyscalls(run: string): boolean {
    if (this.#watching.size === 0 && !this.programs.watchSyscalls(run)) return false;
    this.#watching.add(run);
    return true;
  }

  /** A run no longer wants it. */
  unwatchSyscalls(run: string): void {
    if (this.#watching.delete(run) && this.#watching.size === 0) this.programs.unwatchSyscalls();
  }

  /** Begins to guard; nothing is turned to the DNS proxy before there is one. */
  start(): void {
    this.words.beat();
    this.programs.watch();
    this.#heart = setInterval(() => this.#beat(), HEARTBEAT_MS);
  }

  /**
   * Starts the DNS proxy. `servers`: asked in place of those of resolv.conf. Rejects with SetupFailure `dns-proxy`.
   */
  async startDns(servers: readonly Address[] | null): Promise<void> {
    if (this.#proxy) return;
    try {
      this.#proxy = await startProxy({
        addresses: PROXY_ADDRESSES,
        servers:
          servers?.map((address) => ({ address, port: DNS_PORT })) ??
          parseResolvConf(readFileSync(RESOLV_CONF, 'utf8')).servers,
        hooks: proxyHooks(this.#clients, (run) => this.#runs.get(run)?.lookups ?? null),
        openDatagrams,
      });
    } catch (error) {
      throw new SetupFailure(
        'dns-proxy',
        `the DNS proxy cannot start: ${(error as Error).message}`,
        'name servers under `dns` in the policy, or in /etc/resolv.conf, and check that lo is up',
        { cause: error },
      );
    }
    this.words.setProxy(this.#proxy.port);
  }

  /** What was lost, by cause; causes that never struck are left out. */
  get lost(): Record<string, number> {
    const lost = readLosses(this.programs.map('losses'));
    if (this.stream.faults > 0) lost['decode error'] = this.stream.faults;
    return { ...lost, ...(this.#proxy ? lookupLosses(this.#proxy.counters) : {}) };
  }

  /** Records of how calls ended that were lost. */
  get lostEnds(): number {
    return readLostEnds(this.programs.map('losses'));
  }

  async close(): Promise<void> {
    if (this.#heart) clearInterval(this.#heart);
    this.#heart = null;
    await this.#proxy?.close();
    this.#proxy = null;
    this.stream.close();
    this.programs.close();
  }

  #beat(): void {
    this.words.beat();
    this.clock.refresh();
    for (const run of this.#runs.values()) run.beat();
  }
}
