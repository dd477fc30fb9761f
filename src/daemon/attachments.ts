import { callsBefore } from '../guard/established.ts';
import type { LoadedPolicy } from '../guard/policy-files.ts';
import { type AskedRun, planRun } from '../guard/run-plan.ts';
import { resolveTarget } from '../guard/target.ts';
import { type Cgroup, isThere, ownCgroup } from '../kernel/cgroup.ts';
import { findCgroup2 } from '../kernel/mounts.ts';
import { NO_LIMITS } from '../model/limits.ts';
import type { AttachedCgroup, EstablishedConnection } from '../model/summary.ts';
import { formatEstablished } from '../model/target.ts';
import type { Mode } from '../model/verdict.ts';
import type { Attachment } from './answers.ts';
import type { CreateAttachmentBody } from './contract.ts';
import { type Guard, HostedRun, type Shared } from './hosted-run.ts';
import { refuseNested } from './nesting.ts';
import { Refusal } from './refusal.ts';
import { keepPolicy } from './run-record.ts';
import { type SwapResult, swapEach } from './swap.ts';

/** Existing cgroups that are guarded at once. */
const MOST_ATTACHED = 1000;

interface Held {
  readonly run: HostedRun;
  readonly cgroup: Cgroup;
  readonly target: string;
  readonly established: readonly EstablishedConnection[];
}

/** What to guard an existing cgroup as. */
export interface AskedAttachment {
  readonly cgroup: Cgroup;
  /** As it was asked for: `unit:mysql.service`. */
  readonly target: string;
  /** Null: it is watched, by no policy. */
  readonly deployment: string | null;
  /** Null: the policy's. */
  readonly mode: Mode | null;
  /** The uid of who asked; null: the policy did. */
  readonly owner: number | null;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Existing cgroups that the daemon guards or observes until somebody ends that, or they are gone. */
export class Attachments {
  readonly #shared: Shared;
  readonly #held = new Map<string, Held>();
  /** Cgroups that are being attached to, and the policy each is to be under. */
  readonly #coming = new Map<bigint, string | null>();

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  get all(): Attachment[] {
    return [...this.#held.values()].map(describe);
  }

  /** As HostedRuns.guards. */
  get guards(): [string, Guard][] {
    return [...this.#held.values()].flatMap(({ run }) => run.guard);
  }

  /** As HostedRuns.policies. */
  get policies(): readonly (string | null)[] {
    return [...this.#coming.values(), ...[...this.#held.values()].flatMap(({ run }) => run.keptPolicies)];
  }

  /** Events lost, by cause, of each alone. */
  get lost(): readonly Readonly<Record<string, number>>[] {
    return [...this.#held.values()].map(({ run }) => run.lost);
  }

  /** Throws Refusal, SetupFailure. */
  async create(
    owner: number,
    { target, deployment, mode }: CreateAttachmentBody,
    loaded: LoadedPolicy | null,
  ): Promise<Attachment> {
    const text = textOf(target);
    const cgroup = await resolveTarget({ by: target.kind, text });
    return await this.attach({ cgroup, deployment, mode, owner, target: `${target.kind}:${text}` }, loaded);
  }

  /** Guards a cgroup. Throws Refusal, SetupFailure. */
  async attach(asked: AskedAttachment, loaded: LoadedPolicy | null): Promise<Attachment> {
    const { cgroup, target, deployment } = asked;
    this.#refuse(asked, loaded);
    this.#coming.set(cgroup.id, loaded?.id ?? null);
    try {
      const request: AskedRun = {
        ...{ deployment, mode: asked.mode, now: new Date(), allow: [], deny: [], default: null },
        ...{ limits: NO_LIMITS, live: this.#shared.live() },
      };
      if (loaded && deployment !== null) keepPolicy(loaded);
      const plan = planRun(deployment === null ? null : loaded, request, () => {});
      const run = await HostedRun.begin(
        {
          asked: { ...request, mode: plan.policy.mode },
          ...{ plan, owner: asked.owner, client: null, given: null, command: null, seen: null },
          ...{ labels: asked.labels ?? {}, failOn: 'never', leftover: 'release', syscalls: true },
          starter: { pid: process.pid, cgroup: ownCgroup() },
          attach: this.onCgroup(plan.id, cgroup, target),
        },
        this.#shared,
      );
      const established = callsBefore(cgroup, plan.policy);
      const held = { run, cgroup, target, established };
      this.#held.set(run.id, held);
      await this.#shared.catchUp(run);
      return { ...describe(held), established: established.map(formatEstablished) };
    } finally {
      this.#coming.delete(cgroup.id);
    }
  }

  /** How an attachment of that id is on its cgroup. */
  onCgroup(id: string, cgroup: Cgroup, target: string) {
    return { cgroup, target, service: null, onGone: () => void this.#endUnasked(id, 'gone') };
  }

  /** Has one among those there are. What was connected before it, an earlier daemon has listed. */
  hold(run: HostedRun, cgroup: Cgroup, target: string): void {
    this.#held.set(run.id, { run, cgroup, target, established: [] });
  }

  /** Takes the guard off; what is in the cgroup goes on. */
  async remove(id: string): Promise<void> {
    if (!this.#held.has(id))
      throw new Refusal('not-found', `there is no attachment ${id}`, 'see acyclic status');
    await this.#end(id, 'asked');
  }

  /** The one of a cgroup, by the cgroup's id. */
  at(cgroup: bigint): Attachment | undefined {
    const held = this.#at(cgroup);
    return held && describe(held);
  }

  /** Takes the guard off a cgroup that the policy asked for, and no longer does; one that somebody asked for stays. */
  async release(cgroup: bigint): Promise<void> {
    const held = this.#at(cgroup);
    if (held?.run.options.owner === null)
      await this.#end(held.run.id, isThere(held.cgroup) ? 'asked' : 'gone');
  }

  /** As HostedRuns.swapAll. */
  swapAll(loaded: LoadedPolicy): Promise<SwapResult> {
    return swapEach(
      [...this.#held.values()].map(({ run }) => run),
      loaded,
      this.#shared.live(),
    );
  }

  #refuse({ cgroup, deployment }: AskedAttachment, loaded: LoadedPolicy | null): void {
    const same = this.#at(cgroup.id);
    if (same || this.#coming.has(cgroup.id))
      throw new Refusal(
        'conflict',
        `${cgroup.path} is guarded already${same ? `, as attachment ${same.run.id}` : ''}`,
        'end that one first: acyclic detach',
      );
    refuseNested(cgroup.path.slice(findCgroup2().length), this.#shared.guards());
    if (this.#held.size + this.#coming.size >= MOST_ATTACHED)
      throw new Refusal(
        'conflict',
        `${MOST_ATTACHED} cgroups are guarded, and no more are taken`,
        'detach some',
      );
    if (deployment !== null && !loaded)
      throw new Refusal(
        'bad-request',
        `there is no policy, so no deployment '${deployment}'`,
        'have a policy installed, or name no deployment to observe',
      );
  }

  #at(cgroup: bigint): Held | undefined {
    return [...this.#held.values()].find((held) => held.cgroup.id === cgroup);
  }

  /** Where nobody waits to be told what went wrong, the log is. */
  async #endUnasked(id: string, ended: AttachedCgroup['ended']): Promise<void> {
    try {
      await this.#end(id, ended);
    } catch (error) {
      this.#shared.log.error(
        { run: id, error: (error as Error).message },
        'an attachment could not be ended',
      );
    }
  }

  async #end(id: string, ended: AttachedCgroup['ended']): Promise<void> {
    const held = this.#held.get(id);
    if (!held) return;
    const { run, cgroup, established } = held;
    try {
      await run.end(
        { status: null, timedOut: false },
        { ...{ cgroup: cgroup.path, service: null }, ended, established },
      );
    } finally {
      this.#held.delete(id);
    }
  }
}

function textOf(target: CreateAttachmentBody['target']): string {
  switch (target.kind) {
    case 'cgroup':
      return target.path;
    case 'pid':
      return String(target.pid);
    case 'unit':
      return target.unit;
    case 'container':
      return target.id;
  }
}

function describe({ run, cgroup, target }: Held): Attachment {
  const { id, deployment, policy, calls, denials, would_deny, started } = run.state;
  return {
    ...{ id, target, cgroup: cgroup.path, deployment, policy, mode: run.plan.policy.mode, since: started },
    ...{ established: [], calls, denials, would_deny },
  };
}
