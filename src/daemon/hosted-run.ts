import { hostname } from 'node:os';
import { basename } from 'node:path';
import { ownIdentity } from '../audit/liveness.ts';
import type { AuditTrail } from '../audit/trail.ts';
import { closedTo } from '../guard/closed-sockets.ts';
import type { Engine } from '../guard/engine.ts';
import { FactFile, readFacts } from '../guard/fact-file.ts';
import type { Outliving, PastPolicy } from '../guard/guarded-run.ts';
import type { Recorded } from '../guard/recorder.ts';
import { isAlive } from '../guard/registry.ts';
import type { PolicyRows } from '../guard/reign.ts';
import { type Finished, guardRun, type RunGuard } from '../guard/run-guard.ts';
import { type RunPlan, sessionPlan } from '../guard/run-plan.ts';
import { exitStatus, type Outcome, summarize } from '../guard/run-summary.ts';
import { Tally } from '../guard/tally.ts';
import { UndoList } from '../guard/undo.ts';
import { type Cgroup, heldByRoot, isThere, processesIn } from '../kernel/cgroup.ts';
import { findCgroup2 } from '../kernel/mounts.ts';
import type { AttachedCgroup, RunSummary } from '../model/summary.ts';
import { formatTarget } from '../model/target.ts';
import { presentTime } from '../model/time.ts';
import type { LiveEntry } from '../policy/live.ts';
import type { Guarded, RunState, StreamMessage, Told } from './answers.ts';
import type { HostedRunOptions } from './hosted-options.ts';
import type { Hub } from './hub.ts';
import type { DenialLog } from './journald.ts';
import type { Log } from './log.ts';
import type { Guards } from './nesting.ts';
import { RunFile } from './run-file.ts';
import { factsPath, type RunRecord } from './run-record.ts';
import type { Tallies } from './tallies.ts';

/** What all runs of a daemon share. */
export interface Shared {
  readonly engine: Engine;
  readonly trail: AuditTrail;
  readonly hub: Hub;
  readonly log: Log;
  /** Puts what is in force now in force for a run that is held since: it may have changed while the run was set up. */
  readonly catchUp: (run: HostedRun) => Promise<void>;
  /** What is guarded now. */
  readonly guards: () => Guards;
  /** Live entries, as they are now. */
  readonly live: () => readonly LiveEntry[];
  readonly tallies: Tallies;
  readonly denials: DenialLog;
  /** Every event of every run. */
  readonly count: (recorded: Recorded) => void;
}

/** What a daemon that is gone left of a run. */
export interface LeftRun {
  readonly record: RunRecord;
  readonly cgroup: Cgroup;
  readonly policies: readonly PastPolicy[];
  /** What of it is on record, counted. */
  readonly tally: Tally;
  /** Whether an event is among that. */
  readonly isRecorded: (id: string) => boolean;
}

/** As what a cgroup is guarded. */
export type Guard = Pick<Guarded, 'run' | 'deployment' | 'mode'>;

/** How a run ended. */
export interface RunEnd {
  /** Of the command, 128+n for signal n; null: it was never started, or nobody knows. */
  readonly status: number | null;
  readonly timedOut: boolean;
}

const GUARD_LOST = 125;
/** A denial is with the client by then, and on its terminal: who was denied goes on, and tells it in its own way. */
const TELLING_MS = 10;

/** One run in the daemon's engine, or an existing cgroup that is guarded as one. */
export class HostedRun {
  readonly options: HostedRunOptions;
  readonly started: string;
  /** What cannot be watched here. */
  readonly unwatched: string[] = [];
  readonly #shared: Shared;
  /** Of the cgroup tree; whoever asks for a run has every other one's place looked at. */
  readonly #root = findCgroup2();
  readonly #tally: Tally;
  readonly #file: RunFile;
  readonly #left: LeftRun | null;
  /** As it is now: a change of policy changes it. */
  #plan: RunPlan;
  /** The live entries it is planned by. */
  #live: readonly LiveEntry[];
  #guard: RunGuard | null = null;
  #ending: Promise<RunSummary> | null = null;

  private constructor(options: HostedRunOptions, shared: Shared, left: LeftRun | null = null) {
    this.options = options;
    this.#plan = options.plan;
    this.#live = options.asked.live ?? [];
    this.#shared = shared;
    this.#left = left;
    this.started = left?.record.started ?? presentTime();
    this.#file = new RunFile(left?.record ?? null);
    this.#tally = left?.tally ?? new Tally({ staged: options.plan.staged?.id ?? null, seen: options.seen });
    shared.tallies.add(this.id, this.#tally);
  }

  /** Guards a new run, all or nothing. Throws SetupFailure. */
  static async begin(options: HostedRunOptions, shared: Shared): Promise<HostedRun> {
    const run = new HostedRun(options, shared);
    const undo = new UndoList();
    undo.add('tally', () => shared.tallies.remove(run.id));
    try {
      run.#guard = await run.#setUp(undo);
    } catch (error) {
      await undo.run();
      throw error;
    }
    run.#recordStart();
    run.#publish({ kind: 'started', run: run.state });
    return run;
  }

  /**
   * Goes on with a run that another daemon has left guarded. Throws SetupFailure, and RangeError where the tables have
   * no room: then it is as it was, guarded under its last policy, and not among this daemon's. `rows`: what its tables
   * say, where several runs share that.
   */
  static async takeOver(
    left: LeftRun,
    options: HostedRunOptions,
    shared: Shared,
    rows?: PolicyRows,
  ): Promise<HostedRun> {
    const run = new HostedRun(options, shared, left);
    const undo = new UndoList();
    try {
      run.#guard = await run.#setUp(undo, rows);
    } catch (error) {
      await undo.letGo();
      throw error;
    }
    run.#recordStart();
    return run;
  }

  get id(): string {
    return this.options.plan.id;
  }

  get plan(): RunPlan {
    return this.#plan;
  }

  get state(): RunState {
    const { owner, labels, command } = this.options;
    const { id, deployment, policyId, policy } = this.#plan;
    const { calls, denials, wouldDeny } = this.#tally;
    return {
      ...{ id, deployment, policy: policyId, mode: policy.mode, labels, uid: owner, started: this.started },
      ...{ comm: command?.[0] === undefined ? null : basename(command[0]), command },
      ...{ calls, denials, would_deny: wouldDeny },
    };
  }

  /** Where it guards, and as what; nothing once it has ended. */
  get guard(): [place: string, Guard][] {
    // Another cgroup may be in its place by now.
    if (!this.#guard || this.#ending || !isThere(this.#guard.cgroup)) return [];
    const { deployment, policy } = this.#plan;
    const place = this.#guard.cgroup.path.slice(this.#root.length);
    return [[place, { run: this.id, deployment, mode: policy.mode }]];
  }

  /** Policies that its record names. */
  get keptPolicies(): readonly (string | null)[] {
    return this.#file.policies;
  }

  /** Whether it goes by that policy, with those live entries. */
  isPlannedBy(policy: string, live: readonly LiveEntry[]): boolean {
    const ids = (entries: readonly LiveEntry[]) => entries.map(({ id }) => id).join();
    return this.#plan.policyId === policy && ids(this.#live) === ids(live);
  }

  /** Whether it ends or has ended: no other policy is put in force for it. */
  get isEnding(): boolean {
    return this.#ending !== null;
  }

  /** Events lost of it, by cause; what its engine lost is left out. */
  get lost(): Readonly<Record<string, number>> {
    return this.#guard?.run.lost ?? {};
  }

  /** Whether nobody will end it who could: its client is dead, and no process is left in it. */
  get isAbandoned(): boolean {
    const { client, attach } = this.options;
    if (this.#ending || attach || !this.#guard || (client && isAlive(client))) return false;
    return processesIn(this.#guard.cgroup.path).length === 0;
  }

  /** False: that process is gone, or was another one. */
  moveIn(pid: number, stillSame: () => boolean): boolean {
    return (!this.#ending && this.#guard?.moveIn(pid, stillSame)) ?? false;
  }

  /**
   * Puts another policy in force for it, with the live entries it is planned by. False: there is no room for its tables,
   * or the run ends, and the one before stays. `rows` as in GuardedRun.swap.
   */
  async swap(next: RunPlan, live: readonly LiveEntry[], rows: PolicyRows): Promise<boolean> {
    const { policy, elsewhere: policyElsewhere, policyId, staged } = next;
    if (this.#ending || !this.#guard) return false;
    if (!(await this.#guard.run.swap({ policy, policyElsewhere, policyId, staged }, rows))) return false;
    this.#plan = { ...next, id: this.id };
    this.#live = live;
    return true;
  }

  /** Ends it: what the command left is dealt with, and all is recorded. Twice gives the same summary. */
  end(end: RunEnd, attached?: AttachedCgroup): Promise<RunSummary> {
    this.#ending ??= this.#end(end, attached);
    return this.#ending;
  }

  async #setUp(undo: UndoList, rows?: PolicyRows): Promise<RunGuard> {
    const { plan, owner, starter, attach, given, leftover, syscalls } = this.options;
    const { engine, trail, tallies, hub, count } = this.#shared;
    const closed = await closedTo(plan.policy);
    const options = {
      ...sessionPlan(plan),
      ...(rows && { rows }),
      ...{ leftover, starter, syscalls, limits: plan.limits },
      ...(owner !== 0 && !attach && !this.#left && { parent: heldByRoot(starter.cgroup) }),
      ...(this.#left && !attach && { left: this.#left.cgroup }),
      outliving: (cgroup: Cgroup, onResumed: () => void) => this.#outliving(cgroup, onResumed),
      ...(attach && { attach }),
      ...(given && { command: given }),
      onDenied: (recorded: Recorded) => this.#tellDenied(recorded),
      ...(this.options.client && {
        told: (ticket: number) => void setTimeout(() => engine.words.told(ticket), TELLING_MS),
      }),
      onEvent: (recorded: Recorded) => {
        if (this.#left?.isRecorded(recorded.event.id)) return;
        trail.record(recorded.event);
        this.#tally.add(recorded.event, formatTarget(recorded.event));
        tallies.recorded(recorded.event.id);
        count(recorded);
        this.#publish({ kind: 'event', ...told(recorded) });
      },
      onCarried: ({ event }: Recorded) => this.#tally.carry(event, formatTarget(event)),
      onUnwatched: (what: string) => this.unwatched.push(what),
      onLost: () => hub.publish(plan.id, this.#message({ kind: 'guard-lost', run: plan.id }, null)),
    };
    return await guardRun(options, closed, async () => engine, undo);
  }

  /** What another process needs to go on with it, kept as it changes. */
  #outliving(cgroup: Cgroup, onResumed: () => void): Outliving {
    const file = this.#file.begin(this.options, cgroup, this.started);
    const path = factsPath(this.id);
    const facts = this.#left ? readFacts(path) : [];
    return {
      offset: BigInt(file.offset),
      facts: new FactFile(path),
      onGeneration: (generation, policy) => this.#file.put(generation, policy),
      onResumed,
      adopt: this.#left && { facts, policies: this.#left.policies },
    };
  }

  async #end({ status, timedOut }: RunEnd, attached?: AttachedCgroup): Promise<RunSummary> {
    const { trail, hub, log } = this.#shared;
    const finished = (await this.#guard?.finish()) ?? NOTHING_FINISHED;
    const own = status === null ? 0 : exitStatus({ status, timedOut }, this.options.failOn, this.#tally);
    for (const failure of finished.failures)
      log.error({ run: this.id, failure }, 'something of a run is left behind');
    await trail.flushed();
    const outcome: Outcome = {
      ...{ mode: this.#plan.policy.mode, labels: this.options.labels, finished },
      exit: { command: status, acyclic: finished.guardLost ? GUARD_LOST : own },
      durationMs: Date.now() - Date.parse(this.started),
      ...(attached && { attached }),
    };
    const summary = summarize(this.#plan, this.#tally, trail, outcome);
    trail.record(summary);
    await trail.flushed();
    this.#publish({ kind: 'ended', summary });
    hub.forget(this.id);
    this.#shared.tallies.remove(this.id);
    this.#file.remove();
    return summary;
  }

  /** What nobody started has nobody to tell but the journal. */
  #tellDenied(recorded: Recorded): void {
    this.#publish({ kind: 'denied', ...told(recorded) });
    const { attach } = this.options;
    if (attach) this.#shared.denials.tell(recorded.event, attach.cgroup.path);
  }

  #recordStart(): void {
    const { id: run, deployment, policyId, policy } = this.#plan;
    const { labels, command } = this.options;
    this.#shared.trail.record({
      ...{ v: 1, kind: 'run', time: this.started, host: hostname(), run, deployment, policy: policyId },
      ...{ mode: policy.mode, labels, command: command ?? [], engine: ownIdentity() },
    });
    // A short run that calls nothing has then but its summary to wait for at its end.
    this.#shared.trail.hurry();
  }

  #publish(message: StreamMessage): void {
    const id = message.kind === 'event' ? message.event.id : null;
    this.#shared.hub.publish(this.id, this.#message(message, id));
  }

  #message(message: StreamMessage, id: string | null) {
    return { id, owner: this.options.owner, message };
  }
}

/** Of a run that was not guarded to its end. */
export const NOTHING_FINISHED: Finished = {
  ...{ leftover: [], limits: null, lost: {}, lostEnds: 0, guardLost: false, failures: [] },
};

function told({ event, rule, cycle, saw }: Recorded): Told {
  return { event, rule, cycle, saw };
}
