import { pastOfTrail } from '../audit/past.ts';
import { destinationsSeen, noEarlierRun } from '../guard/earlier.ts';
import { heldSockets, type InheritedSocket, inheritedSocket } from '../guard/inherited.ts';
import type { LoadedPolicy } from '../guard/policy-files.ts';
import { identify } from '../guard/registry.ts';
import { type AskedRun, planRun, type RunPlan } from '../guard/run-plan.ts';
import { cgroupAt, cgroupOf } from '../kernel/cgroup.ts';
import { findCgroup2 } from '../kernel/mounts.ts';
import { NO_LIMITS } from '../model/limits.ts';
import type { RunSummary } from '../model/summary.ts';
import { formatProblem } from '../policy/problem.ts';
import type { SeenDestinations } from '../policy/seen.ts';
import type { CreatedRun, RunState } from './answers.ts';
import { readAsked, refuseLoosening, requireEnforce } from './asked-run.ts';
import { recordBrokenGlass } from './break-glass.ts';
import type { CreateRunBody, EndRunBody } from './contract.ts';
import type { Peer } from './host-interface.ts';
import { type Guard, HostedRun, type Shared } from './hosted-run.ts';
import { refuseMore } from './most-runs.ts';
import { refuseInner } from './nesting.ts';
import { Refusal } from './refusal.ts';
import { keepPolicy } from './run-record.ts';
import { type SwapResult, swapEach } from './swap.ts';

/** How often it is looked for runs whose client died. */
const LOOK_MS = 500;

interface Coming {
  readonly owner: number;
  readonly policy: string | null;
}

/** The runs of a daemon, from who asks for one to its end. */
export class HostedRuns {
  readonly #shared: Shared;
  readonly #state: string;
  readonly #runs = new Map<string, HostedRun>();
  /** Runs that are being set up. */
  readonly #coming = new Set<Coming>();
  #timer: NodeJS.Timeout | null = null;

  /** `state`: the state directory. */
  constructor(shared: Shared, state: string) {
    this.#shared = shared;
    this.#state = state;
  }

  get states(): RunState[] {
    return [...this.#runs.values()].map(({ state }) => state);
  }

  /** What is guarded, by its place in the cgroup tree. */
  get guards(): [string, Guard][] {
    return [...this.#runs.values()].flatMap(({ guard }) => guard);
  }

  get size(): number {
    return this.#runs.size;
  }

  /** Policies that runs go by, or records of theirs may still mean; those of runs that are being set up, too. */
  get policies(): readonly (string | null)[] {
    const held = [...this.#runs.values()].flatMap((run) => run.keptPolicies);
    return [...held, ...[...this.#coming].map(({ policy }) => policy)];
  }

  /** Events lost of runs in progress, by cause, each run's alone. */
  get lost(): readonly Readonly<Record<string, number>>[] {
    return [...this.#runs.values()].map(({ lost }) => lost);
  }

  /** Whether units that this run sets going are to be audited. */
  observesUnits(id: string): boolean {
    return this.#runs.get(id)?.plan.policy.observeUnits ?? false;
  }

  ownerOf(id: string): number | null | undefined {
    return this.#runs.get(id)?.options.owner;
  }

  /**
   * `present` throws when the peer is no longer there, `check` when it may not deploy that. Throws Refusal,
   * SetupFailure, PolicyFailure.
   */
  async create(
    peer: Peer,
    body: CreateRunBody,
    loaded: LoadedPolicy | null,
    { present, check }: { present: () => void; check: (deployment: string | null) => void },
  ): Promise<CreatedRun> {
    const known = [...this.#coming, ...[...this.#runs.values()].map(({ options }) => options)];
    refuseMore(
      peer.uid,
      known.map(({ owner }) => owner),
    );
    const coming = { owner: peer.uid, policy: loaded?.id ?? null };
    this.#coming.add(coming);
    try {
      return await this.#begin(peer, body, loaded, { present, check });
    } finally {
      this.#coming.delete(coming);
    }
  }

  async #begin(
    peer: Peer,
    body: CreateRunBody,
    loaded: LoadedPolicy | null,
    { present, check }: { present: () => void; check: (deployment: string | null) => void },
  ): Promise<CreatedRun> {
    const place = cgroupOf(peer.pid);
    const starter = { pid: peer.pid, cgroup: cgroupAt(findCgroup2(), place) };
    refuseInner(place, this.#shared.guards());
    const client = identify(peer.pid);
    present();
    const warnings: string[] = [];
    const asked = { ...readAsked(body, new Date()), live: this.#shared.live() };
    const plan = this.#plan(peer, body, asked, loaded, warnings);
    check(plan.deployment);
    const seen = body.failOn === 'new' ? await this.#seen(plan.deployment, warnings) : null;
    if (loaded) keepPolicy(loaded);
    const run = await HostedRun.begin(
      {
        asked: { ...asked, deployment: plan.deployment, mode: plan.policy.mode },
        ...{ plan, client, starter, seen, owner: peer.uid, command: plan.mask.argv(body.command) },
        // The files it names are read only for who could read them anyway.
        given: peer.uid === 0 ? givenCommand(body) : null,
        ...{ labels: body.labels, failOn: body.failOn, leftover: body.leftover, syscalls: body.syscalls },
        allowInherited: body.allowInherited,
      },
      this.#shared,
    );
    this.hold(run);
    await this.#shared.catchUp(run);
    if (body.breakGlass !== null) await recordBrokenGlass(this.#shared, peer, plan, body);
    return {
      ...{ id: run.id, deployment: plan.deployment, mode: plan.policy.mode, policy: plan.policyId },
      ...{ staged: plan.staged?.id ?? null, warnings, unwatched: run.unwatched },
    };
  }

  /** Has a run among those in progress. */
  hold(run: HostedRun): void {
    this.#runs.set(run.id, run);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
  }

  /** Moves a process in, as the run's command. Throws Refusal when it is gone, SetupFailure `inherited-socket`. */
  move(id: string, pid: number, stillSame: () => boolean): void {
    const run = this.#held(id);
    const guards = run.plan.policy.mode === 'enforce' && !run.options.allowInherited;
    let outbound: readonly InheritedSocket[] = [];
    // Looked at once it is in: what it opens from then on is the run's.
    const mayStay = () => {
      if (!stillSame()) return false;
      outbound = guards ? heldSockets(pid).filter((socket) => socket.outbound) : [];
      return outbound.length === 0;
    };
    if (run.moveIn(pid, mayStay)) return;
    if (outbound.length > 0) throw inheritedSocket(outbound);
    throw new Refusal('conflict', `process ${pid} is gone, or run ${id} has ended`);
  }

  async end(id: string, { status, timedOut }: EndRunBody): Promise<RunSummary> {
    return await this.#end(this.#held(id), { status, timedOut });
  }

  /** Puts a policy in force for every run that had one. */
  swapAll(loaded: LoadedPolicy): Promise<SwapResult> {
    return swapEach(this.#runs.values(), loaded, this.#shared.live());
  }

  #plan(
    peer: Peer,
    body: CreateRunBody,
    asked: AskedRun,
    loaded: LoadedPolicy | null,
    warnings: string[],
  ): RunPlan {
    if (!loaded && body.deployment !== null)
      throw new Refusal(
        'bad-request',
        `there is no policy, so no deployment '${body.deployment}'`,
        'have a policy installed, or leave -d out to observe',
      );
    const plan = planRun(loaded, asked, (text) => warnings.push(text));
    const bare = { ...BARE, deployment: plan.deployment, now: asked.now };
    refuseLoosening(peer, body, () => loaded && planRun(loaded, bare, () => {}));
    requireEnforce(body, plan);
    for (const problem of loaded?.problems ?? []) warnings.push(formatProblem(problem));
    return plan;
  }

  async #seen(deployment: string | null, warnings: string[]): Promise<SeenDestinations | null> {
    const seen = await destinationsSeen(pastOfTrail(this.#state), deployment);
    if (!seen) warnings.push(noEarlierRun(deployment));
    return seen;
  }

  #held(id: string): HostedRun {
    const held = this.#runs.get(id);
    if (!held) throw new Refusal('not-found', `there is no run ${id} in progress`);
    return held;
  }

  async #end(run: HostedRun, end: EndRunBody): Promise<RunSummary> {
    try {
      return await run.end(end);
    } finally {
      this.#runs.delete(run.id);
      if (this.#runs.size === 0 && this.#timer) {
        clearInterval(this.#timer);
        this.#timer = null;
      }
    }
  }

  /** Runs whose client died end with their last process. */
  #look(): void {
    for (const run of this.#runs.values()) {
      if (!run.isAbandoned) continue;
      this.#shared.log.info({ run: run.id }, 'a run whose client died has ended');
      this.#end(run, NOBODY_KNOWS).catch((error: Error) =>
        this.#shared.log.error({ run: run.id, error: error.message }, 'a run could not be ended'),
      );
    }
  }
}

const NOBODY_KNOWS = { status: null, timedOut: false } as const;
const BARE = { allow: [], deny: [], default: null, mode: null, limits: NO_LIMITS } as const;

function givenCommand({ file, command, cwd, path, home }: CreateRunBody) {
  return { argv: [file, ...command.slice(1)], cwd, path, home };
}
