import type { AuditEvent } from '../model/event.ts';
import type { Answer } from '../model/verdict.ts';
import type { CompiledPolicy } from './compile.ts';
import { type Counted, foldEchoes } from './echo.ts';
import type { Decision } from './evaluate.ts';
import { type DelegateAt, judgeWork, takerOf } from './handed-on.ts';
import { answerOf, isExempt, judgeQuestion, questionOf } from './question.ts';

/** What a policy makes of recorded calls, repeats counted. */
export interface Replay {
  readonly runs: number;
  readonly calls: number;
  readonly same: number;
  /** Differences, most calls first; those that deny what was allowed before all others. */
  readonly differences: readonly Difference[];
  /** Calls that went through only because nothing was enforced, and that the policy denies as the old one did. */
  readonly unenforced: number;
  /** Calls of deployments the policy does not have, by deployment. */
  readonly unknown: ReadonlyMap<string, number>;
}

/** Calls to one destination that are decided differently in one way, with the lookups made for them. */
export interface Difference extends Counted {
  /** As messages have it. */
  readonly destination: string;
  readonly deployment: string | null;
  readonly before: Answer;
  readonly after: Decision;
}

export interface ReplayOptions {
  /** The policy for a deployment; null where it has none of that name. */
  readonly policyFor: (deployment: string | null) => CompiledPolicy | null;
  /** A destination as messages have it. */
  readonly target: (event: AuditEvent) => string;
  readonly delegateAt: DelegateAt;
}

function wayOf({ deployment, before, after }: Difference): string {
  return JSON.stringify([deployment, before, after.answer, after.rule]);
}

/** Whether a call that the rules allowed would be denied, or a run could not start. */
export function breaks({ differences, unknown }: Replay): boolean {
  return unknown.size > 0 || differences.some(isBreaking);
}

/** An `audit` rule allows too. */
export function isBreaking({ before, after }: Difference): boolean {
  return before !== 'deny' && after.answer === 'deny';
}

/** Judges recorded calls by another policy, one event after the other. */
export class Replayer {
  readonly #options: ReplayOptions;
  readonly #runs = new Set<string>();
  readonly #differences = new Map<string, Difference>();
  readonly #unknown = new Map<string, number>();
  #calls = 0;
  #same = 0;
  #unenforced = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  add(event: AuditEvent): void {
    const { deployment, count, verdict } = event;
    const question = questionOf(event);
    const taker = takerOf(event, this.#options.delegateAt);
    if (verdict === null) return;
    const judge = question
      ? (policy: CompiledPolicy) => judgeQuestion(policy, question)
      : taker && ((policy: CompiledPolicy) => judgeWork(policy, taker));
    if (!judge) return;
    this.#runs.add(event.run);
    this.#calls += count;
    const policy = this.#options.policyFor(deployment);
    if (!policy) {
      const name = deployment ?? '';
      this.#unknown.set(name, (this.#unknown.get(name) ?? 0) + count);
      return;
    }
    const before = answerOf(verdict, event.rule?.kind ?? null, event.kind);
    const after = judge(policy);
    const exempt = after.rule.kind === 'default' && isExempt(event);
    if (before !== after.answer && !exempt) this.#differ(event, before, after);
    else {
      this.#same += count;
      if (verdict === 'would-deny' && after.verdict === 'deny') this.#unenforced += count;
    }
  }

  result(): Replay {
    const rank = (difference: Difference) => (isBreaking(difference) ? 1 : 0);
    return {
      runs: this.#runs.size,
      calls: this.#calls,
      same: this.#same,
      differences: foldEchoes([...this.#differences.values()], wayOf).sort(
        (a, b) => rank(b) - rank(a) || b.count - a.count || (a.destination < b.destination ? -1 : 1),
      ),
      unenforced: this.#unenforced,
      unknown: this.#unknown,
    };
  }

  #differ(event: AuditEvent, before: Answer, after: Decision): void {
    const { deployment, count } = event;
    const destination = this.#options.target(event);
    const key = JSON.stringify([deployment, destination, before, after.answer, after.rule]);
    const same = this.#differences.get(key);
    this.#differences.set(key, {
      ...{ destination, deployment, before, after },
      count: (same?.count ?? 0) + count,
      example: event,
    });
  }
}
