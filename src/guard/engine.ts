import { readFileSync } from 'node:fs';
import type { HeldListener } from '../dns/bind.ts';
import type { Server } from '../dns/exchange.ts';
import { type Proxy as DnsProxy, startProxy } from '../dns/proxy.ts';
import { parseResolvConf } from '../dns/resolv.ts';
import { ClientTable } from '../kernel/clients.ts';
import { openDatagrams } from '../kernel/datagrams.ts';
import { SetupFailure } from '../kernel/failure.ts';
import { clearLeft, type Numbers } from '../kernel/garbage.ts';
import { closeLosses, openLosses, readLosses, readRunLosses } from '../kernel/losses.ts';
import { native } from '../kernel/native.ts';
import type { Programs } from '../kernel/programs.ts';
import type { KernelRecord, TakeRecord } from '../kernel/records.ts';
import { RecordStream } from '../kernel/stream.ts';
import { Tables } from '../kernel/tables.ts';
import { openAllSockets } from '../kernel/unix-connect.ts';
import { EngineWords } from '../kernel/words.ts';
import type { Address } from '../model/address.ts';
import type { Clock } from './clock.ts';
import { Keeper } from './keeper.ts';
import { Listeners } from './listeners.ts';
import { lookupLosses, proxyHooks, type RunLookups } from './lookups.ts';
import { Packages } from './packages.ts';
import { Slices } from './slices.ts';

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
  /** Takes all it has in the tables out of them. Nothing reads them any more. */
  clear(): Promise<void>;
  /** Takes in again what an earlier process noted of it. */
  recall(note: unknown): void;
  /** What another process must know of it beside the records, as JSON can hold it. */
  recollection(): unknown;
  /** All was told again that there was. */
  resumed(): void;
  /** Records what began before that time, CLOCK_MONOTONIC nanoseconds, as it is known by now. */
  settle(before: bigint): void;
}

/** Where the DNS proxy of runs listens. */
export const PROXY_ADDRESSES = ['127.86.0.1', '::1'] as const;
const HEARTBEAT_MS = 500;
/** Programs on system calls that are attached anew right after they were taken off wait up to 350 ms for the kernel. */
const LINGER_MS = 5000;
/** A program that read the number of a policy has long looked up its tables. */
const PAST_MS = 10_000;
const RESOLV_CONF = '/etc/resolv.conf';
const DNS_PORT = 53;

/** What an engine that outlives its runs is given. */
export interface EngineOptions {
  /** Sockets for the DNS proxy that are bound already; without, it binds its own. */
  readonly held?: readonly HeldListener[];
  /**
   * Resolves when all that was recorded so far is on disk; false: that cannot be said. With it the engine outlives its
   * process: its programs are pinned, nothing is read before `resume`, and what is read is kept until it is on disk.
   */
  readonly flushed?: () => Promise<boolean>;
}

/** What runs share: loaded programs and their tables, the stream of what they tell, the DNS proxy, the heartbeat. */
export class Engine {
  readonly programs: Programs;
  readonly words: EngineWords;
  readonly tables: Tables;
  readonly clock: Clock;
  readonly stream: RecordStream;
  readonly listeners = new Listeners();
  readonly packages = new Packages();
  /** Work on the tables of all runs. */
  readonly slices = new Slices();
  readonly #clients: ClientTable;
  readonly #held: readonly HeldListener[] | null;
  readonly #runs = new Map<bigint, EngineRun>();
  /** Runs that want to know how system calls return. */
  readonly #watching = new Set<string>();
  /** How many runs there have been. */
  #added = 0;
  readonly #keeper: Keeper | null;
  /** Runs that are guarded, and not this engine's. */
  #others: readonly Pick<EngineRun, 'run' | 'level'>[] = [];
  /** Numbers that an earlier engine gave out. */
  readonly #before: Numbers;
  /** Runs of an earlier engine are guarded that are not added yet. */
  #adopting: boolean;
  /** Name servers of runs that wait for `resume`; null: nobody waits. */
  #deferred: (readonly Address[] | null)[] | null;
  /** When what is told again was first told. */
  #then: number | null = null;
  #collecting: NodeJS.Timeout | null = null;
  /** Records of runs that nobody took over. */
  #unclaimed = 0;
  #proxy: DnsProxy | null = null;
  #heart: NodeJS.Timeout | null = null;
  #lingering: NodeJS.Timeout | null = null;

  constructor(programs: Programs, clock: Clock, { held, flushed }: EngineOptions = {}) {
    this.programs = programs;
    this.#held = held ?? null;
    this.clock = clock;
    this.words = new EngineWords(programs.map('engine'));
    this.words.setNetns(native().netnsCookie());
    this.tables = new Tables(programs);
    this.#clients = new ClientTable(programs.map('clients'));
    this.#before = {
      generations: this.words.latest('generations'),
      profiles: this.words.latest('profiles'),
      places: this.words.latest('places'),
    };
    this.#adopting = programs.adopted;
    this.#deferred = flushed ? [] : null;
    this.#keeper = flushed
      ? new Keeper({ map: programs.map('journal'), now: this.now, runs: () => this.#runs.values(), flushed })
      : null;
    this.stream = new RecordStream(
      { events: programs.map('events'), processes: programs.map('processes') },
      this.words,
      (record, run) => this.#take(record, run),
      this.#keeper,
    );
  }

  /** CLOCK_MONOTONIC, milliseconds; while records are told again, when they were first. */
  readonly now = (): number => this.#then ?? Number(process.hrtime.bigint()) / 1e6;

  /** Takes a run out that could not be taken over: in the kernel it goes on. Before `resume`, which is told of it. */
  leave(run: EngineRun): void {
    this.#runs.delete(run.run);
  }

  /**
   * Every run that can be taken over is added: what an earlier process had in its hands is told again, to each. Then
   * records are read from where it left off. What comes of it is recorded under the ids it had.
   * Rejects with SetupFailure `dns-proxy`; all else is done then. `others`: runs that cannot be taken over, and go on as they are; what is there of any other run is removed.
   */
  async resume(others: readonly Pick<EngineRun, 'run' | 'level'>[] = []): Promise<void> {
    this.#others = others;
    this.stream.resume((entry) => {
      this.#then = entry.time;
      if (entry.kind === 'note') this.#recall(entry.bytes);
    });
    this.#then = null;
    this.#adopting = false;
    this.#tellRuns();
    for (const run of this.#runs.values()) run.resumed();
    this.programs.settle();
    // An earlier engine may have let them linger.
    if (this.#watching.size === 0) this.programs.unwatchSyscalls();
    this.#collecting = setTimeout(() => this.#collect(), PAST_MS).unref();
    const deferred = this.#deferred ?? [];
    this.#deferred = null;
    const failures: unknown[] = [];
    for (const addresses of deferred) await this.startDns(addresses).catch((error) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }

  /** Whether records are told again that an earlier process may have told. */
  get repeats(): boolean {
    return this.#then !== null;
  }

  /** Keeps what a run took in beside records, for whoever takes it over. */
  note(run: bigint, note: unknown): void {
    if (!this.repeats) this.#keeper?.note(run, note);
  }

  #recall(bytes: Buffer): void {
    const { run, note } = JSON.parse(bytes.toString()) as { run: string; note: unknown };
    this.#runs.get(BigInt(run))?.recall(note);
  }

  /** Of a run that has ended there may be more: what it left open ends, or its records are told again. */
  #take(record: KernelRecord, run: bigint): void {
    const of = this.#runs.get(run);
    if (of) of.take(record, run);
    else if (this.#others.some((other) => other.run === run)) this.#unclaimed += 1;
  }

  /** What nothing reads any more: programs that had looked a policy up have long returned. */
  #collect(): void {
    const others = new Set(this.#others.map(({ run }) => run));
    void this.slices.run(clearLeft(this.programs, this.#before, { own: this.#runs, others }));
  }

  /** What is on file of runs that are still to be added has these numbers, and so has nothing else. */
  passOver(on: { readonly generations: number; readonly facts: number }): void {
    this.words.passOver('generations', on.generations);
    this.words.passOver('facts', on.facts);
  }

  /** A number that no fact of any run has. */
  readonly nextFact = (): number => this.words.next('facts');

  /** A number that no tables of any run are under. */
  nextGeneration(): number {
    return this.words.next('generations');
  }

  /** Before its programs are attached. Throws SetupFailure `levels`, and nothing is added. */
  add(run: EngineRun): void {
    this.#runs.set(run.run, run);
    try {
      this.#tellRuns();
      openLosses(this.programs.map('run_losses'), run.run);
      this.#added += 1;
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

  /** Once its programs are taken off: nothing of it is left in the kernel's tables. Twice is no error. */
  async remove(run: EngineRun): Promise<void> {
    if (!this.#runs.delete(run.run)) return;
    this.#tellRuns();
    this.tables.withdraw(run.run);
    this.#clients.forget(run.run);
    openAllSockets(this.programs.map('closed_sockets'), run.run);
    closeLosses(this.programs.map('run_losses'), run.run);
    await run.clear();
  }

  /** Until all are added, runs of an earlier engine are where it said. */
  #tellRuns(): void {
    const runs = [...this.#runs.values(), ...this.#others];
    const levels = runs.map(({ level }) => level);
    this.words.setLevels(this.#adopting ? [...levels, ...this.words.levels] : levels);
    if (this.#adopting) return;
    const [only, ...more] = runs;
    this.words.setRun(only && more.length === 0 ? only.run : 0n);
  }

  /** Watches how system calls return, for as long as a run wants it. False: this host has no tracefs for that. */
  watchSyscalls(run: string): boolean {
    const isWatching = this.#watching.size > 0 || this.#lingering !== null;
    if (!isWatching && !this.programs.watchSyscalls(run)) return false;
    if (this.#lingering) clearTimeout(this.#lingering);
    this.#lingering = null;
    this.#watching.add(run);
    return true;
  }

  /** A run no longer wants it. Of an engine that goes on, the programs stay for a while: another run may come. */
  unwatchSyscalls(run: string): void {
    if (!this.#watching.delete(run) || this.#watching.size > 0) return;
    // One that nobody takes over has its pins by run, and they go with it.
    if (!this.#keeper) this.programs.unwatchSyscalls();
    else
      this.#lingering = setTimeout(() => {
        this.#lingering = null;
        this.programs.unwatchSyscalls();
      }, LINGER_MS).unref();
  }

  /** Begins to guard; nothing is turned to the DNS proxy before there is one. */
  start(): void {
    this.words.beat();
    this.programs.watch();
    this.#heart = setInterval(() => this.#beat(), HEARTBEAT_MS);
  }

  /**
   * Starts the DNS proxy, where it is not started yet, for a run that asks these servers; null: those of resolv.conf.
   * Rejects with SetupFailure `dns-proxy`. Before `resume` it waits for that: who asks is not known yet.
   */
  async startDns(addresses: readonly Address[] | null): Promise<void> {
    if (this.#deferred) {
      this.#deferred.push(addresses);
      return;
    }
    try {
      const servers = serversAt(addresses) ?? parseResolvConf(readFileSync(RESOLV_CONF, 'utf8')).servers;
      if (this.#proxy) {
        this.#proxy.check(servers);
        return;
      }
      this.#proxy = await startProxy({
        addresses: PROXY_ADDRESSES,
        ...(this.#held && { held: this.#held }),
        servers,
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

  /** What was lost of all runs, by cause; causes that never struck are left out. */
  get lost(): Record<string, number> {
    return {
      ...readLosses(this.programs.map('losses')),
      ...(this.#proxy ? lookupLosses(this.#proxy.counters) : {}),
      ...this.#unread(),
    };
  }

  /** What was lost of one run, by cause. What cannot be said of any run is of the only one there ever was. */
  lostOf(run: EngineRun): Record<string, number> {
    const { unread = 0, unsent = 0 } = this.#proxy?.counters ?? {};
    return {
      ...readRunLosses(this.programs.map('run_losses'), run.run).lost,
      ...lookupLosses(run.lookups.failures),
      ...(this.#added === 1 ? { ...lookupLosses({ unread, unsent }), ...this.#unread() } : {}),
    };
  }

  /** Records of how calls of a run ended that were lost. */
  lostEndsOf({ run }: EngineRun): number {
    return readRunLosses(this.programs.map('run_losses'), run).lostEnds;
  }

  #unread(): Record<string, number> {
    return {
      ...(this.stream.faults > 0 ? { 'decode error': this.stream.faults } : {}),
      ...(this.#unclaimed > 0 ? { 'of runs nobody took over': this.#unclaimed } : {}),
    };
  }

  async close(): Promise<void> {
    if (this.#heart) clearInterval(this.#heart);
    this.#heart = null;
    if (this.#collecting) clearTimeout(this.#collecting);
    if (this.#lingering) clearTimeout(this.#lingering);
    this.packages.close();
    await this.#proxy?.close();
    this.#proxy = null;
    this.stream.close();
    this.programs.close();
  }

  #beat(): void {
    this.words.beat();
    this.clock.refresh();
    for (const run of this.#runs.values()) run.beat();
    this.#keeper?.beat();
  }
}

/** Name servers at these addresses. */
export function serversAt(addresses: readonly Address[] | null): readonly Server[] | null {
  return addresses?.map((address) => ({ address, port: DNS_PORT })) ?? null;
}
