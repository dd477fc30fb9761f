import { hostname } from 'node:os';
import { ulid } from 'ulid';
import manifest from '../../package.json' with { type: 'json' };
import { spoolDirectories, waitingIn } from '../audit/spool.ts';
import type { PlacedCgroup } from '../guard/cgroup-watch.ts';
import { waiversOf } from '../guard/installed-status.ts';
import type { LoadedPolicy } from '../guard/policy-files.ts';
import type { Recorded } from '../guard/recorder.ts';
import { sweep } from '../guard/sweep.ts';
import { ownCgroup } from '../kernel/cgroup.ts';
import { type Features, readFeatures } from '../kernel/features.ts';
import { findCgroup2 } from '../kernel/mounts.ts';
import { isPinned, runsOfOtherLayouts } from '../kernel/pins.ts';
import { presentTime } from '../model/time.ts';
import { type Matched, patternsIn } from '../policy/match.ts';
import type * as answers from './answers.ts';
import { Attachments } from './attachments.ts';
import type * as bodies from './contract.ts';
import { EarlierRecords } from './earlier-records.ts';
import { Entries } from './entries.ts';
import type { Act, Host, HostMessage, Measures, Peer } from './host-interface.ts';
import type { HostedRun, Shared } from './hosted-run.ts';
import { HostedRuns } from './hosted-runs.ts';
import { Hub } from './hub.ts';
import type { IdleMemory } from './idle-memory.ts';
import { DenialLog } from './journald.ts';
import { MatchedCgroups } from './matched-cgroups.ts';
import { Permissions } from './permissions.ts';
import { type Change, changeEvent } from './policy-event.ts';
import { PolicyKeeper } from './policy-keeper.ts';
import { Refusal } from './refusal.ts';
import { prunePolicies, removeRecord } from './run-record.ts';
import { swapEach } from './swap.ts';
import { takeOver } from './take-over.ts';
import { Tallies } from './tallies.ts';
import { Units } from './units.ts';
import { whoOf } from './who.ts';

/** How often it is looked for runs that were not taken over and have ended. */
const SWEEP_MS = 2000;

/** What the trail has of no run: of the daemon itself. */
const OF_NO_RUN = { host: hostname(), run: ulid() };

export interface HostOptions
  extends Omit<Shared, 'hub' | 'tallies' | 'denials' | 'count' | 'live' | 'guards' | 'catchUp'> {
  readonly memory: IdleMemory;
  /** The state directory. */
  readonly state: string;
  /** The policy directory, or a policy file. */
  readonly policy: string;
}

/** What the daemon does, for its server: one engine, and the runs in it. */
export class DaemonHost implements Host {
  readonly #options: HostOptions;
  readonly #shared: Shared;
  readonly #runs: HostedRuns;
  readonly #attachments: Attachments;
  readonly #matched: MatchedCgroups;
  readonly #units: Units;
  readonly #hub = new Hub();
  readonly #started = presentTime();
  readonly #keeper: PolicyKeeper;
  readonly #entries: Entries;
  readonly #calls = { allow: 0, deny: 0, 'would-deny': 0 };
  #features: Features | null = null;
  /** What is guarded and could not be taken over: the id of the run, and what it is told as. */
  #untaken: ReadonlyMap<string, string> = new Map();
  /** The policies it is under. */
  #untakenPolicies: readonly (string | null)[] = [];
  #sweeping: NodeJS.Timeout | null = null;
  #earlier: EarlierRecords | null = null;
  /** Null: it is not begun yet. */
  #permissions: Permissions | null = null;
  /** What could not be put in force for runs in progress, for people. */
  #behind: readonly string[] = [];
  /** The policy that all that is guarded goes by; null: none. */
  #inForce: LoadedPolicy | null = null;
  /** What is put in force, one thing after the other: the policy, live entries, and both for a run that is new. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: HostOptions) {
    this.#options = options;
    const { engine, trail, log, state, policy } = options;
    const count = (recorded: Recorded) => this.#count(recorded);
    const record = (change: Change, id: string) => trail.record(changeEvent(change, OF_NO_RUN, id));
    const common = { state, log, record, recorded: () => trail.flushed() };
    this.#keeper = new PolicyKeeper({
      ...{ ...common, policy, change: (loaded) => this.#inTurn(() => this.#putInForce(loaded)) },
      doubts: (loaded) => this.#entries.doubts(loaded.policy),
    });
    this.#entries = new Entries({
      ...{
        ...common,
        policy: () => this.#keeper.loaded,
        change: async () => void (await this.#inTurn(() => this.#swap())),
      },
    });
    const live = () => this.#entries.live();
    const guards = () => new Map([...this.#runs.guards, ...this.#attachments.guards]);
    const catchUp = (run: HostedRun) => this.#inTurn(() => this.#catchUp(run));
    const tallies = new Tallies(state, () => trail.flushed());
    const denials = new DenialLog(log);
    const shared = { engine, trail, tallies, denials, log, count, live, guards, catchUp, hub: this.#hub };
    this.#shared = shared;
    this.#runs = new HostedRuns(shared, state);
    this.#attachments = new Attachments(shared);
    const root = findCgroup2();
    this.#matched = new MatchedCgroups({
      ...{ root, own: ownCgroup().path.slice(root.length), log },
      guard: (cgroup, by) => this.#guardMatched(cgroup, by),
      release: (id) => this.#attachments.remove(id),
      others: guards,
    });
    this.#units = new Units(this.#attachments, log);
  }

  get policyId(): string | null {
    return this.#keeper.loaded?.id ?? null;
  }

  /** Whether nothing is guarded. */
  get isIdle(): boolean {
    return this.#runs.size === 0 && this.#attachments.all.length === 0 && this.#guardedUntaken.length === 0;
  }

  /** Takes over what a daemon before this one has left, and begins to guard. */
  async begin(): Promise<void> {
    const { engine, state, log } = this.#options;
    const { loaded } = this.#keeper;
    const [runs, attachments] = [this.#runs, this.#attachments];
    this.#earlier = new EarlierRecords(state, log);
    const taking = { shared: this.#shared, runs, attachments, state, loaded };
    const ofOthers = runsOfOtherLayouts();
    const failed = await takeOver(taking, this.#earlier);
    const own = new Set([...runs.states, ...attachments.all].map(({ id }) => id));
    const others = ofOthers.filter((id) => !own.has(id));
    for (const run of ofOthers.filter((id) => own.has(id)))
      log.warn({ run }, 'of another version: what it had not yet recorded of the run is lost');
    this.#untaken = new Map([
      ...others.map((id) => [id, untaken(id)] as const),
      ...failed.map(({ id, told }) => [id, told] as const),
    ]);
    this.#untakenPolicies = failed.flatMap(({ policies }) => policies);
    this.#forgetPolicies();
    for (const told of this.#guardedUntaken) log.warn({}, told);
    if (this.#untaken.size > 0) this.#sweeping = setInterval(() => void this.#sweepUntaken(), SWEEP_MS);
    try {
      await engine.resume(failed);
    } catch (error) {
      log.error({ error: (error as Error).message }, 'names of runs that were taken over fail');
    }
    engine.start();
    this.#earlier.settle();
    await this.#inTurn(() => this.#putInForce(loaded));
    this.#entries.start();
    this.#keeper.watch();
  }

  /** Stops to look for what is to be guarded, and to change what is in force. What is guarded stays so. */
  async close(): Promise<void> {
    if (this.#sweeping) clearInterval(this.#sweeping);
    this.#units.close();
    this.#earlier?.close();
    await Promise.all([this.#matched.close(), this.#keeper.close(), this.#entries.close()]);
  }

  /** Reads the policy again; one that does not load changes nothing, and is told. */
  async reload(): Promise<void> {
    await this.#keeper.reload(null);
  }

  /** Whether the engine does its work, for the watchdog. */
  get isWell(): boolean {
    return this.#options.engine.programs.intact();
  }

  may(peer: Peer, act: Act): boolean {
    return this.#permissions?.may(peer, act).allowed ?? act.what === 'run';
  }

  ownerOf(run: string): number | null | undefined {
    return this.#runs.ownerOf(run);
  }

  async status(): Promise<answers.Status> {
    this.#features ??= await readFeatures();
    return {
      ...{ version: manifest.version, mode: 'daemon', pid: process.pid, started: this.#started },
      features: Object.entries(this.#features).flatMap(([name, has]) => (has ? [name] : [])),
      ...{
        policies: this.#policies(),
        runs: this.#runs.states,
        attachments: this.#attachments.all,
        lost: this.#lost(),
      },
      ...{ entries: this.#entries.list(), waivers: this.#waivers(), degraded: this.#degraded() },
    };
  }

  measures(): Measures {
    return {
      ...{ runs: this.#runs.size, calls: this.#calls, lost: this.#lost() },
      spooled: waitingIn(spoolDirectories(this.#options.state)).bytes,
      policyErrors: this.#keeper.errors,
      waivers: this.#untils(),
    };
  }

  runs(): readonly answers.RunState[] {
    return this.#runs.states;
  }

  createRun(peer: Peer, body: bodies.CreateRunBody, present: () => void): Promise<answers.CreatedRun> {
    const check = (deployment: string | null) => this.#checkRun(peer, body, deployment);
    return this.#runs.create(peer, body, this.#keeper.loaded, { present, check });
  }

  moveCommand(_peer: Peer, run: string, pid: number, stillSame: () => boolean): void {
    this.#runs.move(run, pid, stillSame);
  }

  async endRun(_peer: Peer, run: string, body: bodies.EndRunBody): Promise<answers.EndedRun> {
    this.#options.memory.used();
    const summary = await this.#runs.end(run, body);
    await this.#units.ended(run);
    return { summary };
  }

  applyPolicy(peer: Peer, { files, reason }: bodies.ApplyPolicyBody): Promise<answers.AppliedPolicy> {
    return this.#keeper.apply(files, whoOf(peer), reason ?? null);
  }

  reloadPolicy(peer: Peer): Promise<answers.AppliedPolicy> {
    return this.#keeper.reload(whoOf(peer));
  }

  rollbackPolicy(peer: Peer, { to, reason }: bodies.RollbackPolicyBody): Promise<answers.AppliedPolicy> {
    return this.#keeper.rollback(to ?? null, whoOf(peer), reason ?? null);
  }

  policy(): answers.PolicyAnswer {
    return { ...this.#keeper.answer(), inForce: this.#policies() };
  }

  policyHistory(): answers.PolicyHistory {
    return this.#keeper.history();
  }

  createEntry(peer: Peer, body: bodies.CreateEntryBody): Promise<answers.Entry> {
    return this.#entries.create(body, whoOf(peer));
  }

  entries(): readonly answers.Entry[] {
    return this.#entries.list();
  }

  removeEntry(peer: Peer, id: string): Promise<void> {
    return this.#entries.remove(id, whoOf(peer));
  }

  createAttachment(peer: Peer, body: bodies.CreateAttachmentBody): Promise<answers.Attachment> {
    return this.#attachments.create(peer.uid, body, this.#keeper.loaded);
  }

  attachments(): readonly answers.Attachment[] {
    return this.#attachments.all;
  }

  removeAttachment(_peer: Peer, id: string): Promise<void> {
    return this.#attachments.remove(id);
  }

  guarded(place: string): answers.Guarded {
    return this.#matched.guarded(place);
  }

  subscribe(
    which: { readonly run: string | null; readonly after: string | null },
    deliver: (message: HostMessage) => void,
  ): () => void {
    return this.#hub.subscribe(which, deliver);
  }

  /** One that was taken up again is guarded already. */
  async #guardMatched(cgroup: PlacedCgroup, { deployment }: Matched) {
    const { loaded } = this.#keeper;
    const asked = { cgroup, target: `match:${cgroup.place}`, deployment, mode: null, owner: null };
    return this.#attachments.at(cgroup.id) ?? (await this.#attachments.attach(asked, loaded));
  }

  /** Of a request that names no deployment it is known only now which one is meant. */
  #checkRun(peer: Peer, { breakGlass }: bodies.CreateRunBody, deployment: string | null): void {
    const what = breakGlass === null ? 'run' : 'break-glass';
    if (peer.uid === 0 || this.may(peer, { what, deployment })) return;
    throw new Refusal(
      'refused',
      `user ${peer.uid} may not ${what} ${deployment ?? ''}`.trim(),
      'see `roles` in the policy',
    );
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** Gives how many runs go by it. */
  async #putInForce(loaded: LoadedPolicy | null): Promise<number> {
    this.#permissions = await Permissions.of(loaded?.policy ?? null);
    this.#inForce = loaded;
    const swapped = await this.#swap();
    this.#matched.replace(patternsIn(loaded?.policy ?? null));
    this.#units.replace(loaded);
    return swapped;
  }

  /** What is in force, with the live entries as they are now, for all that is guarded by it. */
  async #swap(): Promise<number> {
    const loaded = this.#inForce;
    if (!loaded) return 0;
    const results = [await this.#runs.swapAll(loaded), await this.#attachments.swapAll(loaded)];
    this.#behind = results.flatMap(({ failed }) =>
      failed.map(({ id, reason }) => `run ${id} goes by the policy before: ${reason}`),
    );
    for (const told of this.#behind) this.#options.log.error({}, told);
    this.#forgetPolicies();
    return results.reduce((sum, { swapped }) => sum + swapped, 0);
  }

  /** What a daemon that is killed is to find again is what something goes by. */
  #forgetPolicies(): void {
    prunePolicies(new Set([...this.#runs.policies, ...this.#attachments.policies, ...this.#untakenPolicies]));
  }

  /** One that was planned by what is no longer in force is put on what is. */
  async #catchUp(run: HostedRun): Promise<void> {
    const loaded = this.#inForce;
    if (!loaded || run.isPlannedBy(loaded.id, this.#entries.live())) return;
    const { failed } = await swapEach([run], loaded, this.#entries.live());
    for (const { reason } of failed)
      this.#options.log.error({ run: run.id, reason }, 'a run goes by the policy before');
  }

  #untils(): Measures['waivers'] {
    return [...(this.#keeper.loaded?.policy.deployments.values() ?? [])].flatMap(({ name, waivers }) =>
      waivers.map(({ service, until }) => ({ deployment: name, service, until: until.end / 1000 })),
    );
  }

  #lost(): Record<string, number> {
    const { engine, trail } = this.#options;
    const sum = { ...engine.lost };
    for (const lost of [...this.#runs.lost, ...this.#attachments.lost])
      for (const [cause, count] of Object.entries(lost)) sum[cause] = (sum[cause] ?? 0) + count;
    return trail.lost > 0 ? { ...sum, 'store full': trail.lost } : sum;
  }

  #policies(): answers.PolicyInForce[] {
    const { loaded, source } = this.#keeper;
    const applied = this.#keeper.applied ?? this.#started;
    return [...(loaded?.policy.deployments.values() ?? [])].map(({ name, mode }) => ({
      ...{ deployment: name, id: loaded?.id ?? '', source, mode, applied },
    }));
  }

  #waivers(): answers.LapsingWaiver[] {
    const { loaded } = this.#keeper;
    return loaded ? waiversOf(loaded.policy, new Date()) : [];
  }

  #degraded(): string[] {
    const lost = Object.values(this.#lost()).reduce((sum, count) => sum + count, 0);
    const { files, bytes } = waitingIn(spoolDirectories(this.#options.state));
    return [
      ...this.#guardedUntaken,
      ...this.#behind,
      ...this.#keeper.degraded,
      ...this.#entries.degraded,
      ...(this.#permissions?.unknown ?? []).map(
        (name) => `the policy names ${name}, whom this host does not know`,
      ),
      ...this.#matched.troubles,
      ...this.#units.troubles,
      ...(lost > 0 ? [`${lost} events are lost`] : []),
      ...(bytes > 0 ? [`${Math.ceil(bytes / 1024)} KiB of records wait in ${files[0]}`] : []),
      ...(this.#options.engine.programs.intact() ? [] : ['programs on tracepoints were taken off']),
    ];
  }

  get #guardedUntaken(): string[] {
    return [...this.#untaken].flatMap(([id, told]) => (isPinned(id) ? [told] : []));
  }

  /** Those that have ended are cleared: nobody else looks. */
  async #sweepUntaken(): Promise<void> {
    const { log } = this.#options;
    try {
      for (const swept of await sweep('ended', new Set(this.#untaken.keys()))) {
        if (swept.state !== 'cleared') continue;
        removeRecord(swept.id);
        log.info({ ...swept }, 'a run that was not taken over has ended');
      }
    } catch (error) {
      log.error({ error: (error as Error).message }, 'what has ended cannot be cleared');
    }
  }

  #count({ event }: Recorded): void {
    this.#options.memory.used();
    if (this.#runs.observesUnits(event.run)) this.#units.take(event);
    if (event.verdict !== null) this.#calls[event.verdict] += event.count;
  }
}

function untaken(run: string): string {
  return `run ${run} was guarded by another version, and goes on under its last policy until it ends`;
}
