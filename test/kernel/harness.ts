import { randomUUID } from 'node:crypto';
import { constants } from 'node:os';
import { AliasTable } from '../../src/guard/alias-table.ts';
import { Clock } from '../../src/guard/clock.ts';
import { Dependencies } from '../../src/guard/dependency.ts';
import { FactTable } from '../../src/guard/fact-table.ts';
import { Facts } from '../../src/guard/facts.ts';
import type { LeaseSettings } from '../../src/guard/lease-settings.ts';
import { Packages } from '../../src/guard/packages.ts';
import { ProcessTable } from '../../src/guard/processes.ts';
import { type Recorded, Recorder } from '../../src/guard/recorder.ts';
import { addressRows } from '../../src/guard/reign.ts';
import { atOnce } from '../../src/guard/slices.ts';
import type { BpfMap } from '../../src/kernel/binding.ts';
import { type Cgroup, createCgroup, ownCgroup, removeCgroup } from '../../src/kernel/cgroup.ts';
import { readConnections } from '../../src/kernel/connections.ts';
import * as layout from '../../src/kernel/layout.gen.ts';
import { readLosses } from '../../src/kernel/losses.ts';
import { ensureBpffs } from '../../src/kernel/mounts.ts';
import { native } from '../../src/kernel/native.ts';
import { loadPrograms, type Programs } from '../../src/kernel/programs.ts';
import type { AttemptRecord, KernelRecord, OpeningRecord } from '../../src/kernel/records.ts';
import { RecordStream } from '../../src/kernel/stream.ts';
import { Tables } from '../../src/kernel/tables.ts';
import { EngineWords } from '../../src/kernel/words.ts';
import type { Address } from '../../src/model/address.ts';
import type { Name } from '../../src/model/name.ts';
import type { CompiledPolicy } from '../../src/policy/compile.ts';
import { nameTable } from '../../src/policy/flatten-names.ts';
import { LookupCache } from '../../src/policy/lookup-cache.ts';
import { until } from './fixtures/fixture.ts';
import { type Attempt, type Dialler, type Ground, KINDS } from './harness-dial.ts';
import type { Speaker, Speech, Spoken } from './harness-speak.ts';

/** What to put in force, as the guard does. */
export interface Installation {
  readonly policy: CompiledPolicy;
  /** Compiled without this host's addresses: what holds in other network namespaces. */
  readonly policyElsewhere: CompiledPolicy;
  /** What is learned, in this order. */
  readonly learned: readonly (readonly [Address, readonly Name[]])[];
  /** Whether the caller is in the engine's network namespace. */
  readonly here: boolean;
  /** How long what is learned holds; default: the product's. */
  readonly leases?: LeaseSettings;
}

/** One attempt, as its caller and as the record saw it. */
export interface Seen {
  readonly record: AttemptRecord;
  readonly recorded: Recorded;
}

/** A connection whose first bytes were judged, as the record saw it. */
export interface Heard {
  readonly record: OpeningRecord;
  readonly recorded: Recorded;
}

/** The real programs on a throw-away cgroup, and a child in it that makes attempts where nothing can leave. */
export class Harness {
  readonly run: Cgroup;
  readonly words: EngineWords;
  readonly dialler: Dialler;
  readonly #programs: Programs;
  readonly #tables: Tables;
  readonly #stream: RecordStream;
  readonly #clock = new Clock(() => native().clocks());
  readonly #processes = new ProcessTable(this.#clock);
  readonly #ground: Ground;
  readonly #seen: Seen[] = [];
  readonly #heard: Heard[] = [];
  #speaker: Speaker | null = null;
  #hurried = false;
  readonly #undo: (() => void | Promise<void>)[];
  #generation = 0;
  #latestFact = 0;
  #facts: Facts | null = null;
  #recorder: Recorder | null = null;

  private constructor(options: {
    run: Cgroup;
    programs: Programs;
    dialler: Dialler;
    words: EngineWords;
    ground: Ground;
    undo: (() => void | Promise<void>)[];
  }) {
    const { programs } = options;
    this.#ground = options.ground;
    this.run = options.run;
    this.words = options.words;
    this.dialler = options.dialler;
    this.#programs = programs;
    this.#undo = options.undo;
    this.#tables = new Tables(programs);
    this.#stream = new RecordStream(
      { events: programs.map('events'), processes: programs.map('processes') },
      this.words,
      (record) => this.#take(record),
    );
  }

  static async start(ground: Ground): Promise<Harness> {
    const undo: (() => void | Promise<void>)[] = [];
    try {
      ensureBpffs();
      const name = `acyclic-test-${randomUUID().slice(0, 8)}`;
      const run = createCgroup(ownCgroup(), name);
      undo.push(() => until(() => removeCgroup(run.path), `${run.path} to be empty`));
      const programs = await loadPrograms(['enforce']);
      undo.push(() => programs.close());
      const words = new EngineWords(programs.map('engine'));
      words.setLevels([run.level]);
      words.beat();
      programs.watch();
      programs.attach(run, name, { modes: ['enforce'], closes: false });
      const dialler = await ground.dialler(run.path);
      undo.push(() => dialler.close());
      const beating = setInterval(() => words.beat(), 500);
      undo.push(() => clearInterval(beating));
      return new Harness({ run, programs, dialler, words, ground, undo });
    } catch (error) {
      await undoAll(undo);
      throw error;
    }
  }

  /** The next generation: tables first, then what is known, then the one word that publishes it. */
  install({ policy, policyElsewhere, learned, here, leases }: Installation): void {
    this.#generation++;
    this.#forgetFacts();
    this.words.setNetns(here ? this.dialler.netns : this.dialler.netns + 1n);
    atOnce(this.#tables.installPolicy(this.#generation, addressRows(policy, policyElsewhere)));
    atOnce(this.#tables.installNames(this.#generation, nameTable(policy)));
    const [run, generation] = [this.run.id, this.#generation];
    const facts = new Facts({
      table: new FactTable({ tables: this.#tables, policy, policyElsewhere, run, generation }),
      aliases: new AliasTable({ tables: this.#tables, policy, run, generation }),
      policy,
      run,
      connections: () => readConnections(this.#programs),
      nextFact: () => ++this.#latestFact,
      ...(leases && { settings: leases }),
    });
    this.#facts = facts;
    for (const [address, chain] of learned) facts.learn(address, chain, 60);
    this.#recorder = new Recorder({
      era: {
        ...{ generation, policy, elsewhere: policyElsewhere, policyId: null, staged: null },
        lookups: new LookupCache(policy, (address) => facts.chainsAt(address)),
      },
      clock: this.#clock,
      processes: this.#processes,
      facts,
      dependencies: new Dependencies({
        ...{ policy, processes: this.#processes, command: null },
        packages: new Packages(),
      }),
      common: { host: 'test', run: 'test', deployment: policy.deployment },
      idOf: () => '',
    });
    this.#publish(policy);
  }

  /** The next generation with no tables at all, as if they had been lost. */
  installNothing(policy: CompiledPolicy): void {
    this.#generation++;
    this.#publish(policy);
  }

  #publish(policy: CompiledPolicy): void {
    this.#tables.publish(this.run.id, this.#generation, {
      mode: policy.mode,
      errno: constants.errno[policy.onDeny],
      defaultDeny: policy.fallback.answer === 'deny',
      reads: policy.denies,
    });
  }

  /** Makes the attempts; `seen` is every attempt recorded meanwhile. */
  async dial(attempts: readonly Attempt[]): Promise<{ errnos: number[]; seen: Seen[] }> {
    this.#stream.drain();
    this.#seen.length = 0;
    const errnos = await this.dialler.dial(attempts);
    this.#stream.drain();
    return { errnos, seen: [...this.#seen] };
  }

  /** No denial waits until it is told, from now on. */
  hurry(): void {
    this.#hurried = true;
    this.words.told(0x7fffffff);
  }

  /** Connects and speaks; `heard` is every connection whose first bytes were judged meanwhile, `seen` every call. */
  async speak(speeches: readonly Speech[]): Promise<{ spoken: Spoken[]; heard: Heard[]; seen: Seen[] }> {
    if (!this.#speaker) {
      const speaker = await this.#ground.speaker(this.run.path);
      this.#undo.push(() => speaker.close());
      this.#speaker = speaker;
    }
    this.#stream.drain();
    this.#seen.length = 0;
    this.#heard.length = 0;
    const spoken = await this.#speaker.say(speeches);
    this.#stream.drain();
    return { spoken, heard: [...this.#heard], seen: [...this.#seen] };
  }

  /** What is known since the latest `install`. Nothing lapses by itself. */
  get facts(): Facts {
    if (!this.#facts) throw new Error('nothing is installed');
    return this.#facts;
  }

  /** A map of the programs. */
  map(name: string): BpfMap {
    return this.#programs.map(name);
  }

  /** What the run's sockets are connected to. */
  connections(): Address[] {
    return readConnections(this.#programs).map(({ address }) => address);
  }

  /** Kinds of attempts this kernel has; those it lacks were named on standard error. */
  get kinds(): string[] {
    return Object.keys(KINDS).filter((kind) => !this.dialler.missing.has(kind));
  }

  get disagreements(): number {
    return this.#recorder?.disagreements ?? 0;
  }

  /** By cause; empty when nothing was lost. */
  get lost(): Record<string, number> {
    const faults: Record<string, number> = this.#stream.faults > 0 ? { faults: this.#stream.faults } : {};
    return { ...readLosses(this.#programs.map('losses')), ...faults };
  }

  async stop(): Promise<void> {
    this.#stream.close();
    await undoAll(this.#undo);
  }

  #take(record: KernelRecord): void {
    if (record.type === 'fork' || record.type === 'exec' || record.type === 'exit')
      this.#processes.apply(record);
    if (!this.#recorder) return;
    if (record.type === 'opening') {
      const { attempt, says } = record;
      this.#heard.push({ record, recorded: this.#recorder.opened(attempt, says) });
      this.#told(attempt.ticket);
    }
    if (record.type !== 'attempt') return;
    this.#seen.push({ record, recorded: this.#recorder.attempt(record) });
    this.#told(record.ticket);
  }

  #told(ticket: number): void {
    if (ticket !== 0 && !this.#hurried) this.words.told(ticket);
  }

  /** The guard keeps facts for a whole run; here each generation begins with none. */
  #forgetFacts(): void {
    const tables: [BpfMap, number][] = [
      [this.#programs.map('facts'), layout.factKey.size],
      [this.#programs.map('fact_entries'), layout.factEntryKey.size],
      [this.#programs.map('chains'), layout.chainKey.size],
    ];
    for (const [map, size] of tables) {
      const keys = native().mapKeys(map, 1 << 20);
      if (keys.length > 0) native().mapDeleteBatch(map, keys, keys.length / size);
    }
  }
}

/** Last first; one that fails does not keep the others from being done. */
async function undoAll(steps: (() => void | Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps.reverse()) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'the harness could not be cleared away');
}
