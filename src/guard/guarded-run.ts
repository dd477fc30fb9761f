import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Mask } from '../audit/mask.ts';
import type { Cgroup } from '../kernel/cgroup.ts';
import { readConnections } from '../kernel/connections.ts';
import type { KernelRecord } from '../kernel/records.ts';
import type { Tables } from '../kernel/tables.ts';
import type { AuditEvent } from '../model/event.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { addressTable, segmentsOfPrefix } from '../policy/flatten.ts';
import { nameTable } from '../policy/flatten-names.ts';
import { LookupCache } from '../policy/lookup-cache.ts';
import { AliasTable } from './alias-table.ts';
import { mentions, readHabits } from './asker.ts';
import { Calls } from './calls.ts';
import type { ClosedSockets } from './closed-sockets.ts';
import type { Dependencies } from './dependency.ts';
import type { Engine, EngineRun } from './engine.ts';
import { eventIds } from './event-ids.ts';
import { FactTable } from './fact-table.ts';
import { Facts } from './facts.ts';
import { parseHosts } from './hosts-file.ts';
import { keepLapsing } from './lapsing.ts';
import type { LeaseSettings } from './lease-settings.ts';
import { Listeners } from './listeners.ts';
import { LookupBook } from './lookup-book.ts';
import { type RunLookups, readReply } from './lookups.ts';
import type { ProcessTable } from './processes.ts';
import { readIfThere } from './readable.ts';
import { type Era, type Recorded, Recorder, type StagedRun } from './recorder.ts';
import { endSilentSocket } from './silent-socket.ts';
import { isFull } from './table-full.ts';

/** A policy for a run, compiled. */
export interface RunPolicy {
  readonly policy: CompiledPolicy;
  /** Compiled as from another network namespace, where this host's addresses are not the socket's own. */
  readonly policyElsewhere: CompiledPolicy;
  /** Null: there is none, the run is observed. */
  readonly policyId: string | null;
  readonly staged: StagedRun | null;
}

export interface GuardedRunOptions extends RunPolicy {
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
  /** Whether how system calls return is told. */
  readonly syscalls: boolean;
  /** Told at once: denied calls before they return, denied lookups before their answer leaves. */
  readonly onDenied: (recorded: Recorded) => void;
  /** Every event, when it is over; of a lookup, when its resolver is done. */
  readonly onEvent: (recorded: Recorded) => void;
  readonly onCarried: (recorded: Recorded) => void;
}

/** A policy in force, with its tables. */
interface Reign extends Era {
  readonly table: FactTable;
  readonly aliases: AliasTable | null;
}

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
  #reign: Reign;
  /** Policies that were in force, and may still be read by a program or meant by a record. */
  readonly #past: { readonly reign: Reign; readonly until: number }[] = [];

  /** Publishes the policy: from then on the kernel decides by it, for whoever is in the cgroup and guarded. */
  constructor(engine: Engine, options: GuardedRunOptions) {
    const { cgroup, policy, processes, dependencies, common, mask, leases } = options;
    this.run = cgroup.id;
    this.level = cgroup.level;
    this.#engine = engine;
    this.#options = options;
    this.#reign = this.#install(options);
    this.#facts = new Facts({
      ...{ table: this.#reign.table, aliases: this.#reign.aliases, policy, run: cgroup.id },
      connections: () => readConnections(engine.programs),
      settings: leases,
      nextFact: engine.nextFact,
    });
    knowHosts(this.#facts);
    this.#publish();
    this.#stopLapsing = keepLapsing(() => this.#facts.lapse(), leases.every);
    this.#recorder = new Recorder({
      ...{ era: this.#reign, clock: engine.clock, processes, facts: this.#facts },
      ...{ dependencies, common, nextId: eventIds(), mask },
      wentThrough: (path) => options.sockets?.closeLate(path, this.#reign.policy),
    });
    this.#calls = new Calls({
      recorder: this.#recorder,
      listeners: new Listeners({ cgroup: cgroup.path, own: policy.ownAddresses }),
      syscalls: options.syscalls,
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
      catchUp: () => engine.stream.drainProcesses(),
      tell: options.onDenied,
      record: options.onEvent,
    });
  }

  get lookups(): RunLookups {
    const { policy, lookups } = this.#reign;
    return { id: this.#options.common.run, policy, lookups, facts: this.#facts, book: this.#book };
  }

  /**
   * Puts another policy of the same mode in force, in one step: a call is judged by the one before or by this one. What
   * was learned of addresses stays. False: the tables have no room for it, and the one before stays in force. Throws
   * SetupFailure `delegate-open` where it closes sockets and the kernel cannot.
   */
  swap(next: RunPolicy): boolean {
    const before = this.#reign;
    if (next.policy.mode !== before.policy.mode) throw new RangeError('the mode of a run does not change');
    const closes = this.#options.sockets?.plan(next.policy);
    let reign: Reign | null = null;
    try {
      reign = this.#install(next);
      if (!this.#facts.rejudge(reign)) {
        this.#engine.tables.removePolicy(reign.generation);
        return false;
      }
    } catch (error) {
      if (!isFull(error)) throw error;
      return false;
    }
    // Calls to UNIX sockets have no number of a policy: those so far are by the one before.
    this.#engine.stream.drainAll();
    this.#reign = reign;
    this.#recorder.begin(reign);
    this.#options.dependencies.judgeBy(reign.policy);
    closes?.();
    this.#publish();
    this.#past.push({ reign: before, until: performance.now() + PAST_MS });
    return true;
  }

  take(record: KernelRecord): void {
    const { processes, dependencies, onEvent, admit } = this.#options;
    const { words } = this.#engine;
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
        onEvent(this.#recorder.escape(record));
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
        if (record.ticket !== 0) words.told(record.ticket);
        break;
      case 'opening':
        this.#calls.take(record);
        if (record.attempt.ticket !== 0) words.told(record.attempt.ticket);
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

  beat(): void {
    this.#calls.flush();
    for (let [first] = this.#past; first && first.until <= performance.now(); [first] = this.#past) {
      this.#past.shift();
      this.#clear(first.reign);
      this.#recorder.forget(first.reign.generation);
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

  /** Writes a policy's tables, which nothing reads yet. */
  #install({ policy, policyElsewhere, policyId, staged }: RunPolicy): Reign {
    const { tables } = this.#engine;
    const generation = this.#engine.nextGeneration();
    if (policy.mode === 'enforce') {
      try {
        installTables(tables, generation, { policy, policyElsewhere });
      } catch (error) {
        tables.removePolicy(generation);
        throw error;
      }
    }
    const of = { tables, policy, run: this.run, generation };
    return {
      ...{ policy, elsewhere: policyElsewhere, policyId, staged, generation },
      lookups: new LookupCache(policy, (address) => this.#facts.chainsAt(address)),
      table: new FactTable({ ...of, policyElsewhere }),
      aliases: policy.mode === 'enforce' ? new AliasTable(of) : null,
    };
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

  #clear({ generation, table, aliases }: Reign): void {
    this.#engine.tables.removePolicy(generation);
    this.#facts.drop(table);
    aliases?.clear();
  }
}

function installTables(
  tables: Tables,
  generation: number,
  { policy, policyElsewhere }: Pick<RunPolicy, 'policy' | 'policyElsewhere'>,
): void {
  tables.installPolicy(
    generation,
    addressTable(policy).map(({ prefix, segments, ownAddress }) => ({
      prefix,
      answers: segments,
      elsewhere: ownAddress ? segmentsOfPrefix(policyElsewhere, prefix) : null,
    })),
  );
  tables.installNames(generation, nameTable(policy));
}

/** A hosts file may have a hundred thousand names for one address: they are learned at one stroke. */
function knowHosts(facts: Facts): void {
  const lines = Map.groupBy(parseHosts(readIfThere(HOSTS)), ({ address }) => address);
  for (const [address, of] of lines) {
    const names = of.flatMap((line) => line.names);
    facts.know(address, names);
  }
}
