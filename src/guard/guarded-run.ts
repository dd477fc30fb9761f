import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Mask } from '../audit/mask.ts';
import type { RunFailures } from '../dns/hooks.ts';
import type { Cgroup } from '../kernel/cgroup.ts';
import { readConnections } from '../kernel/connections.ts';
import type { EscapeRecord, KernelRecord } from '../kernel/records.ts';
import type { AuditEvent } from '../model/event.ts';
import { LookupCache } from '../policy/lookup-cache.ts';
import { mentions, readHabits } from './asker.ts';
import { Calls } from './calls.ts';
import type { ClosedSockets } from './closed-sockets.ts';
import type { Dependencies } from './dependency.ts';
import { type Engine, type EngineRun, serversAt } from './engine.ts';
import { eventIds, steadyEventIds } from './event-ids.ts';
import type { FactChange, FactFile } from './fact-file.ts';
import { Facts } from './facts.ts';
import { parseHosts } from './hosts-file.ts';
import { keepLapsing } from './lapsing.ts';
import type { LeaseSettings } from './lease-settings.ts';
import { LookupBook } from './lookup-book.ts';
import { type LookupNote, type RunLookups, readReply } from './lookups.ts';
import type { ProcessSnapshot, ProcessTable } from './processes.ts';
import { readIfThere } from './readable.ts';
import { type Era, type Recorded, Recorder } from './recorder.ts';
import { type PolicyRows, type Reign, type RunPolicy, type Tabled, writePolicy } from './reign.ts';
import type { Rejudging } from './rejudging.ts';
import { endSilentSocket } from './silent-socket.ts';
import { atOnce, whileWanted } from './slices.ts';
import { isFull } from './table-full.ts';

/** A policy that was in force, and what the kernel has its tables under. */
export interface PastPolicy extends RunPolicy {
  readonly generation: number;
}

/** What lets another process take a run over. */
export interface Outliving {
  /** The wall clock's distance from CLOCK_MONOTONIC when the run began, nanoseconds: ids of its events are made by it. */
  readonly offset: bigint;
  readonly facts: FactFile;
  /** Called before a policy is put in force under a generation. */
  onGeneration(generation: number, policyId: string | null): void;
  /** Called when what the process before it had in its hands was told again. */
  onResumed?(): void;
  /** What the process before it left; null: the run begins. */
  readonly adopt: {
    readonly facts: Iterable<FactChange>;
    /** Of records that are still to be read. */
    readonly policies: readonly PastPolicy[];
  } | null;
}

export interface GuardedRunOptions extends RunPolicy {
  /** What its tables say, where several runs share that. */
  readonly rows?: PolicyRows;
  readonly cgroup: Cgroup;
  /** UNIX sockets that are closed to it; null: none can be. */
  readonly sockets: ClosedSockets | null;
  readonly common: Pick<AuditEvent, 'host' | 'deployment' | 'attached'> & { readonly run: string };
  readonly processes: ProcessTable;
  readonly dependencies: Dependencies;
  readonly mask: Mask;
  readonly leases: LeaseSettings;
  /** False: a record is to be passed over. */
  readonly admit: (record: KernelRecord) => boolean;
  /** Without: the run ends with this process. */
  readonly outliving?: Outliving;
  /** Whether how system calls return is told. */
  readonly syscalls: boolean;
  /** Told at once: denied calls before they return, denied lookups before their answer leaves. */
  readonly onDenied: (recorded: Recorded) => void;
  /** Lets who waits for a denial to be told go on; without, that is at once. */
  readonly told?: (ticket: number) => void;
  /** Every event, when it is over; of a lookup, when its resolver is done. */
  readonly onEvent: (recorded: Recorded) => void;
  readonly onCarried: (recorded: Recorded) => void;
}

type RunNote = LookupNote | { readonly do: 'processes'; readonly lives: ProcessSnapshot };

/** Nobody is moved twice within that. */
const TWICE_NS = 1_000_000n;
const HOSTS = '/etc/hosts';
/** How long connections that end with the command are waited for, so that what they carried is known. */
const LAST_OUTCOMES_MS = 30;
/** A program that read the number of a policy has long looked up its tables; records of it have been read, too. */
const PAST_MS = 10_000;

/** One run in an engine: its policy in the kernel, what it knows of addresses, and its calls until they are events. */
export class GuardedRun implements EngineRun {
  readonly run: bigint;
  readonly level: number;
  readonly #engine: Engine;
  readonly #options: GuardedRunOptions;
  readonly #facts: Facts;
  readonly #recorder: Recorder;
  readonly #calls: Calls;
  readonly #book: LookupBook;
  readonly #stopLapsing: () => void;
  /** What is known is to be put on file anew. */
  #rewrites = false;
  /** The latest told of. */
  #escaped: EscapeRecord | null = null;
  readonly #failures: RunFailures = { overloaded: 0, unlearned: 0, internal: 0 };
  #reign: Reign;
  /** Policies that were in force, and may still be read by a program or meant by a record. */
  readonly #past: { readonly reign: Reign; readonly until: number }[] = [];
  /** What is under way: one policy after the other is put in force, and those that were are cleared. */
  #swapping: Promise<unknown> = Promise.resolve();
  #clearing: Promise<void> = Promise.resolve();
  /** It ends: no other policy is put in force any more. */
  #isOver = false;

  /**
   * Publishes the policy, once its tables are written: from then on the kernel decides by it, for whoever is in the
   * cgroup and guarded.
   */
  static async begin(engine: Engine, options: GuardedRunOptions): Promise<GuardedRun> {
    const { tables } = engine;
    const generation = engine.nextGeneration();
    try {
      const tabled = await engine.slices.run(
        writePolicy(tables, options.cgroup.id, generation, options, options.rows),
      );
      return new GuardedRun(engine, options, tabled);
    } catch (error) {
      await engine.slices.run(tables.removePolicy(generation));
      throw error;
    }
  }

  private constructor(engine: Engine, options: GuardedRunOptions, tabled: Tabled) {
    const { cgroup, policy, processes, dependencies, common, mask, leases } = options;
    this.run = cgroup.id;
    this.level = cgroup.level;
    this.#engine = engine;
    this.#options = options;
    this.#reign = { ...this.#eraOf(options, tabled.generation), ...tabled };
    this.#facts = new Facts({
      ...{ table: this.#reign.table, aliases: this.#reign.aliases, policy, run: cgroup.id },
      connections: () => readConnections(engine.programs),
      settings: leases,
      nextFact: engine.nextFact,
      onChange: (change) => this.#keepFact(change),
    });
    const { outliving } = options;
    const left = outliving?.adopt ?? null;
    if (left && !this.#facts.restore(left.facts)) {
      this.#facts.forsake();
      throw new RangeError('there is no room for what the run knew of addresses');
    }
    if (left) outliving?.facts.rewrite(this.#facts.changes());
    knowHosts(this.#facts);
    outliving?.onGeneration(tabled.generation, options.policyId);
    this.#publish();
    this.#stopLapsing = keepLapsing(() => this.#facts.lapse(), leases.every);
    this.#recorder = new Recorder({
      ...{ era: this.#reign, clock: engine.clock, processes, facts: this.#facts },
      ...{ dependencies, common, mask },
      idOf: outliving ? steadyEventIds(common.run, outliving.offset) : eventIds(),
      wentThrough: (path) => options.sockets?.closeLate(path, this.#reign.policy),
    });
    for (const past of left?.policies ?? []) this.#recorder.recall(this.#eraOf(past, past.generation));
    this.#calls = new Calls({
      recorder: this.#recorder,
      listenerOf: (attempt) =>
        engine.listeners.behind(attempt, { cgroup: cgroup.path, own: policy.ownAddresses }),
      syscalls: options.syscalls,
      now: engine.now,
      tell: options.onDenied,
      record: options.onEvent,
      carried: options.onCarried,
    });
    this.#book = new LookupBook({
      enforced: policy.mode === 'enforce',
      say: (names) => {
        const { answer, rule } = this.#reign.lookups.decide(names);
        return { denied: answer === 'deny', byRule: rule.kind !== 'default' };
      },
      habits: readHabits,
      mentions: ({ pid, time }, name) => mentions(processes.at(pid, time)?.argv ?? [], name),
      event: (lookup, names) => this.#recorder.lookup(lookup, names),
      now: engine.now,
      catchUp: () => engine.stream.drainProcesses(),
      tell: options.onDenied,
      record: options.onEvent,
    });
  }

  get lookups(): RunLookups {
    const { policy, lookups } = this.#reign;
    return {
      ...{ id: this.#options.common.run, policy, lookups, facts: this.#facts, book: this.#book },
      ...{ servers: serversAt(policy.dns.servers), failures: this.#failures },
      note: (note) => this.#engine.note(this.run, note),
    };
  }

  /**
   * Puts another policy of the same mode in force, in one step once its tables are written: a call is judged by the one
   * before or by this one. What was learned of addresses stays. False: the tables have no room for it, or the run ends,
   * and the one before stays in force. Rejects with SetupFailure `delegate-open` where it closes sockets and the kernel
   * cannot; then nothing has changed, either. `rows`: what its tables say, where several runs share that.
   */
  swap(next: RunPolicy, rows?: PolicyRows): Promise<boolean> {
    const done = this.#swapping.then(() => this.#swap(next, rows));
    this.#swapping = done.catch(() => {});
    return done;
  }

  async #swap(next: RunPolicy, rows?: PolicyRows): Promise<boolean> {
    if (next.policy.mode !== this.#reign.policy.mode)
      throw new RangeError('the mode of a run does not change');
    const { tables, slices } = this.#engine;
    const generation = this.#engine.nextGeneration();
    let rejudging: Rejudging | null = null;
    let full = false;
    try {
      const wanted = () => !this.#isOver;
      const writing = writePolicy(tables, this.run, generation, next, rows);
      const tabled = await slices.run(whileWanted(wanted, writing));
      if (tabled) {
        rejudging = this.#facts.rejudge({ ...tabled, policy: next.policy });
        const judged = await slices.run(whileWanted(wanted, rejudging.judge()));
        const isWanted = judged !== null && !this.#isOver;
        if (isWanted && judged && this.#takeOver(next, tabled, rejudging)) return true;
        full = isWanted;
      }
    } catch (error) {
      full = isFull(error);
      if (!full) throw error;
    } finally {
      if (this.#reign.generation !== generation) {
        this.#facts.notJudged(full);
        if (rejudging) await slices.run(rejudging.takeBack());
        await slices.run(tables.removePolicy(generation));
      }
    }
    return false;
  }

  /** Puts a policy in force that is written, in one go with the last of what is to be judged by it. False: no room. */
  #takeOver(next: RunPolicy, tabled: Tabled, rejudging: Rejudging): boolean {
    const { outliving, sockets, dependencies } = this.#options;
    const before = this.#reign;
    if (!atOnce(rejudging.judge())) return false;
    // Calls to UNIX sockets have no number of a policy: those so far are by the one before.
    this.#engine.stream.drainAll();
    if (!atOnce(rejudging.judge())) return false;
    const closes = sockets?.plan(next.policy);
    outliving?.onGeneration(tabled.generation, next.policyId);
    try {
      closes?.();
    } catch (error) {
      sockets?.plan(before.policy)();
      throw error;
    }
    this.#facts.judged(rejudging);
    this.#reign = { ...this.#eraOf(next, tabled.generation), ...tabled };
    this.#recorder.begin(this.#reign);
    dependencies.judgeBy(next.policy);
    this.#publish();
    this.#past.push({ reign: before, until: performance.now() + PAST_MS });
    return true;
  }

  take(record: KernelRecord): void {
    const { processes, dependencies, onEvent, admit } = this.#options;
    const { told = (ticket) => this.#engine.words.told(ticket) } = this.#options;
    if (!admit(record)) return;
    switch (record.type) {
      case 'fork':
      case 'exec':
        processes.apply(record);
        if (record.type === 'exec') dependencies.executed(record.pid, record.time);
        break;
      case 'exit':
        processes.apply(record);
        this.#book.ended(record.pid);
        break;
      case 'escape':
        if (!this.#wasTold(record)) onEvent(this.#recorder.escape(record));
        break;
      case 'closed':
        this.#refused(this.#recorder.closed(record));
        break;
      case 'dns-reply':
        readReply(record, this.#facts, this.#book);
        break;
      case 'attempt':
        // The kernel has marked the use, unless it had no fact yet, or was just being given another one.
        if (record.decision !== 'deny') this.#facts.use(record.address, Number(record.time) / 1e6);
        if (record.decision === 'deny') endSilentSocket(record);
        this.#calls.take(record);
        if (record.ticket !== 0) told(record.ticket);
        break;
      case 'opening':
        this.#calls.take(record);
        if (record.attempt.ticket !== 0) told(record.attempt.ticket);
        // Not before: its caller holds it until then. Some clients do not look at what send() says, and would wait.
        if (record.attempt.decision === 'deny') endSilentSocket(record.attempt);
        break;
      case 'opening-piece':
      case 'return':
      case 'outcome':
        this.#calls.take(record);
    }
  }

  /** A call to a socket that is closed: told at once where that was the policy's word. */
  #refused(recorded: Recorded): void {
    if (recorded.event.verdict === 'deny') this.#options.onDenied(recorded);
    this.#options.onEvent(recorded);
  }

  recall(note: unknown): void {
    const known = note as RunNote;
    if (known.do === 'processes') this.#options.processes.restore(known.lives);
    if (known.do === 'question')
      this.#book.question({ pid: known.pid, time: BigInt(known.time) }, known.question);
    if (known.do === 'answer') this.#book.answered({ ...known.lookup, time: BigInt(known.time) });
  }

  recollection(): RunNote {
    return { do: 'processes', lives: this.#options.processes.snapshot() };
  }

  /** Keeps what is known of processes otherwise than by a record. */
  noteProcesses(): void {
    this.#engine.note(this.run, this.recollection());
  }

  resumed(): void {
    this.#options.outliving?.onResumed?.();
  }

  settle(before: bigint): void {
    this.#calls.settle(before);
    this.#book.settle();
  }

  beat(): void {
    this.#calls.flush();
    if (this.#rewrites) this.#options.outliving?.facts.rewrite(this.#facts.changes());
    this.#rewrites = false;
    for (let [first] = this.#past; first && first.until <= performance.now(); [first] = this.#past) {
      this.#past.shift();
      const { reign } = first;
      this.#clearing = this.#clearing.then(() => this.#engine.slices.run(this.#clear(reign)));
      this.#recorder.forget(reign.generation);
    }
  }

  /** What could not be kept or agreed on, by cause. */
  get lost(): Record<string, number> {
    const { disagreements } = this.#recorder;
    return {
      ...this.#facts.lost,
      ...(disagreements > 0 ? { 'kernel and policy disagree': disagreements } : {}),
    };
  }

  /** The command has ended: what is still on its way is read, and what is open is recorded. */
  async finish(): Promise<void> {
    this.#isOver = true;
    const until = performance.now() + LAST_OUTCOMES_MS;
    this.#engine.stream.drainAll();
    while (this.#calls.open > 0 && performance.now() < until) {
      await sleep(2);
      this.#engine.stream.drainAll();
    }
    this.#book.close();
    this.#calls.close();
  }

  /** Stops what runs by the clock. Twice is no error. */
  close(): void {
    this.#stopLapsing();
    this.#book.close();
  }

  async clear(): Promise<void> {
    this.#isOver = true;
    this.close();
    await this.#swapping;
    await this.#clearing;
    for (const { reign } of this.#past.splice(0)) await this.#engine.slices.run(this.#clear(reign));
    await this.#engine.slices.run(this.#facts.clear());
    await this.#engine.slices.run(this.#engine.tables.removePolicy(this.#reign.generation));
    this.#options.outliving?.facts.remove();
  }

  /** Programs of two builds tell the same for a moment, while one takes the other's place. */
  #wasTold(record: EscapeRecord): boolean {
    const before = this.#escaped;
    this.#escaped = record;
    return before?.pid === record.pid && record.time - before.time < TWICE_NS;
  }

  #keepFact(change: FactChange): void {
    // Not now: the kernel is only about to have it, and what is known does not say so yet.
    if (this.#options.outliving?.facts.put(change)) this.#rewrites = true;
  }

  #eraOf({ policy, policyElsewhere, policyId, staged }: RunPolicy, generation: number): Era {
    const lookups = new LookupCache(policy, (address) => this.#facts.chainsAt(address));
    return { policy, elsewhere: policyElsewhere, policyId, staged, generation, lookups };
  }

  #publish(): void {
    const { policy, generation } = this.#reign;
    this.#engine.tables.publish(this.run, generation, {
      mode: policy.mode,
      errno: constants.errno[policy.onDeny],
      defaultDeny: policy.fallback.answer === 'deny',
      reads: policy.mode === 'enforce' && policy.denies,
    });
  }

  *#clear({ generation, table, aliases }: Reign): Generator<void> {
    yield* this.#engine.tables.removePolicy(generation);
    yield* this.#facts.drop(table);
    if (aliases) yield* aliases.clear();
  }
}

/** A hosts file may have a hundred thousand names for one address: they are learned at one stroke. */
function knowHosts(facts: Facts): void {
  const lines = Map.groupBy(parseHosts(readIfThere(HOSTS)), ({ address }) => address);
  for (const [address, of] of lines) {
    const names = of.flatMap((line) => line.names);
    facts.know(address, names);
  }
}
