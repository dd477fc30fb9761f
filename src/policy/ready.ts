import type { AuditEvent } from '../model/event.ts';
import type { PastRun } from '../model/past.ts';
import type { CompiledPolicy } from './compile.ts';
import { type Counted, foldEchoes } from './echo.ts';
import type { Decision } from './evaluate.ts';
import { type DelegateAt, judgeWork, takerOf } from './handed-on.ts';
import { isExempt, judgeQuestion, questionOf } from './question.ts';

/** Whether a deployment can go from audit to enforce. */
export interface Readiness {
  readonly ready: boolean;
  readonly runs: number;
  /** How many runs were asked for. */
  readonly wanted: number;
  /** Destinations only the default answers: nobody decided on them. Most calls first. */
  readonly undecided: readonly DecidedCalls[];
  /** Destinations a rule denies: enforced, these calls fail. Most calls first. */
  readonly denied: readonly DecidedCalls[];
  /** Runs of which events were lost, so that what they called is not all known. */
  readonly incomplete: readonly string[];
}

/** Calls to one destination, by the policy as it is now, with the lookups made for them. */
export interface DecidedCalls extends Counted {
  /** As messages have it. */
  readonly destination: string;
  readonly decision: Decision;
  readonly runs: number;
}

/** Looks through the runs of a deployment by its policy of today, one event after the other. */
export class ReadinessCheck {
  readonly #policy: CompiledPolicy;
  readonly #target: (event: AuditEvent) => string;
  readonly #wanted: number;
  readonly #delegateAt: DelegateAt;
  readonly #runs = new Set<string>();
  readonly #incomplete: string[] = [];
  readonly #calls = new Map<string, { first: DecidedCalls; count: number; runs: Set<string> }>();

  constructor(options: {
    /** With a default of deny, whatever it says itself: what only the default answers is undecided. */
    policy: CompiledPolicy;
    /** A destination as messages have it. */
    target: (event: AuditEvent) => string;
    wanted: number;
    /** Who takes work at a UNIX socket. */
    delegateAt: DelegateAt;
  }) {
    this.#policy = options.policy;
    this.#target = options.target;
    this.#wanted = options.wanted;
    this.#delegateAt = options.delegateAt;
  }

  addRun({ run, lost }: PastRun): void {
    this.#runs.add(run);
    if (Object.keys(lost).length > 0) this.#incomplete.push(run);
  }

  add(event: AuditEvent): void {
    const decision = this.#judge(event);
    if (!decision) return;
    const { rule, answer } = decision;
    if (answer !== 'deny' || (rule.kind === 'default' && isExempt(event))) return;
    const destination = this.#target(event);
    const key = JSON.stringify([destination, answer, rule]);
    const same = this.#calls.get(key);
    this.#calls.set(key, {
      first: { destination, decision, example: event, count: 0, runs: 0 },
      count: (same?.count ?? 0) + event.count,
      runs: (same?.runs ?? new Set()).add(event.run),
    });
  }

  /** Null: it is nothing that could be denied. */
  #judge(event: AuditEvent): Decision | null {
    const question = questionOf(event);
    if (question) return judgeQuestion(this.#policy, question);
    const taker = takerOf(event, this.#delegateAt);
    // What no rule denies goes through, whether or not anybody decided on it.
    const decision = taker && judgeWork(this.#policy, taker);
    return decision?.answer === 'deny' ? decision : null;
  }

  result(): Readiness {
    const all = [...this.#calls.values()].map(({ first, count, runs }) => ({
      ...first,
      count,
      runs: runs.size,
    }));
    const calls = foldEchoes(all, ({ decision }) => JSON.stringify([decision.answer, decision.rule])).sort(
      (a, b) => b.count - a.count || (a.destination < b.destination ? -1 : 1),
    );
    const undecided = calls.filter(({ decision }) => decision.rule.kind === 'default');
    const denied = calls.filter(({ decision }) => decision.rule.kind !== 'default');
    const runs = this.#runs.size;
    const enough = runs >= this.#wanted;
    return {
      ready: enough && undecided.length === 0 && this.#incomplete.length === 0,
      runs,
      wanted: this.#wanted,
      undecided,
      denied,
      incomplete: this.#incomplete,
    };
  }
}
