import type { DelegateName } from '../model/delegate.ts';
import type { AuditEvent } from '../model/event.ts';
import type { Name } from '../model/name.ts';
import { AskedNames } from './asked.ts';
import { foldEchoes } from './echo.ts';
import { judgeWork, takerOf } from './handed-on.ts';
import { readHost } from './pattern.ts';
import type { PortSpec } from './ports.ts';
import { isFault } from './problem.ts';
import { isExempt, judgeQuestion, type Question, questionOf } from './question.ts';
import { rulesFor } from './suggest-rules.ts';
import type { Closed, LeftOut, Suggestion, SuggestOptions, Target, Use } from './suggestion.ts';

/** Learns from recorded events, one after the other, and suggests rules. */
export class Suggester {
  readonly #options: SuggestOptions;
  readonly #asked = new AskedNames();
  readonly #targets = new Map<string, Target>();
  /** What the policy there is denies by a rule, and what no policy can speak of. */
  readonly #leftOut = new Map<string, LeftOut>();
  readonly #closed = new Map<string, Closed>();
  readonly #runs = new Set<string>();
  #calls = 0;
  #first: string | null = null;
  #last: string | null = null;

  constructor(options: SuggestOptions) {
    this.#options = options;
  }

  add(event: AuditEvent): void {
    const question = questionOf(event);
    const taker = takerOf(event, this.#options.delegateAt);
    if (!question && !taker) return;
    this.#runs.add(event.run);
    this.#calls += event.count;
    if (this.#first === null || event.time < this.#first) this.#first = event.time;
    if (this.#last === null || event.time > this.#last) this.#last = event.time;
    if (question) this.#learn(event, question);
    else if (taker) this.#handedOn(event, taker);
  }

  #learn(event: AuditEvent, question: Question): void {
    if (question.kind === 'lookup') this.#asked.remember(event, question.names[0] ?? '');
    const targets = this.#targetsOf(event, question);
    const refused = this.#refusal(event);
    const decision = judgeQuestion(this.#options.policy, question);
    if (!refused && decision.answer === 'deny' && decision.rule.kind !== 'default') {
      const { port } = useOf(question);
      for (const target of targets) this.#closed.set(JSON.stringify([target, port]), { ...target, port });
      const { kind, source } = decision.rule;
      this.#leaveOut(event, `the policy denies it: ${kind} (${source})`, decision.cycle);
      return;
    }
    const held = decision.answer !== 'deny' || isExempt(event);
    if (targets.length === 0 && !(held && !refused))
      this.#leaveOut(event, refused?.why ?? 'a policy cannot speak of such a name', refused?.cycle ?? null);
    for (const target of targets) this.#use(target, event, question, refused, held);
  }

  result(): Suggestion {
    const targets = [...this.#targets.values()];
    const refused = targets.flatMap(({ about, text, uses }) =>
      [...uses.values()].flatMap(({ port, refused: why }) => (why ? { about, text, port, why } : [])),
    );
    const merged = new Map(this.#leftOut);
    for (const { why } of refused) merged.set(JSON.stringify([why.destination, why.why]), why);
    return {
      rules: rulesFor(targets, [...this.#closed.values(), ...refused], this.#options),
      leftOut: foldEchoes([...merged.values()], ({ why }) => why).sort((x, y) => y.count - x.count),
      runs: this.#runs.size,
      calls: this.#calls,
      first: this.#first,
      last: this.#last,
    };
  }

  /** Work that nobody denies goes through without a rule; of what was denied it is said why, and by whom. */
  #handedOn(event: AuditEvent, taker: DelegateName): void {
    const { answer, rule } = judgeWork(this.#options.policy, taker);
    const refused = this.#refusal(event);
    if (rule.source !== null && answer === 'deny')
      this.#leaveOut(event, `the policy denies it: ${rule.kind} (${rule.source})`, null);
    else if (rule.source === null && refused) this.#leaveOut(event, `${refused.why}; see \`delegate\``, null);
  }

  /** Why a call is not to be allowed by what was recorded of it: it was denied, or would have been by a rule. */
  #refusal(event: AuditEvent): LeftOut | null {
    const { verdict, rule, dependency, count } = event;
    const ruled = rule !== null && rule.kind !== 'default' && rule.kind !== 'audit';
    if (verdict !== 'deny' && !(verdict === 'would-deny' && ruled)) return null;
    const where = rule?.source ? ` (${rule.source})` : '';
    const why = `${verdict === 'deny' ? 'was denied' : 'would have been denied'}: ${rule?.kind}${where}`;
    const destination = this.#options.target(event);
    const cycle = rule?.kind === 'circular' ? (dependency?.path ?? null) : null;
    return { destination, count, why, cycle, example: event };
  }

  #leaveOut(event: AuditEvent, why: string, cycle: readonly string[] | null): void {
    const destination = this.#options.target(event);
    const key = JSON.stringify([destination, why]);
    const count = (this.#leftOut.get(key)?.count ?? 0) + event.count;
    this.#leftOut.set(key, { destination, count, why, cycle, example: event });
  }

  /** The names the call meant; its address where policy can speak of none, which for a lookup leaves nothing. */
  #targetsOf(event: AuditEvent, question: Question): Pick<Target, 'about' | 'text'>[] {
    const lookup = question.kind === 'lookup';
    const names = lookup ? question.names.slice(0, 1) : this.#asked.meant(event, question.destination.names);
    const hosts = names.filter(isSpeakable).map((text) => ({ about: 'host' as const, text }));
    if (hosts.length > 0) return hosts;
    return lookup ? [] : [{ about: 'address', text: question.destination.address ?? '' }];
  }

  /** `held`: a rule allows it already, so that nothing need be added for it. */
  #use(
    { about, text }: Pick<Target, 'about' | 'text'>,
    event: AuditEvent,
    question: Question,
    refused: LeftOut | null,
    held: boolean,
  ): void {
    const target = this.#targets.get(text) ?? { about, text, uses: new Map() };
    const { key, port } = useOf(question);
    const before = target.uses.get(key);
    // Runs need not come in their order; what was tried last counts.
    const latest = before === undefined || event.time >= before.latest;
    if (held && !refused) {
      // What was denied once and is allowed by now is neither left out nor to be allowed anew.
      if (before && latest) before.refused = null;
      return;
    }
    const use: Use = before ?? { port, count: 0, probe: true, callers: new Map(), refused: null, latest: '' };
    use.probe &&= question.kind === 'call' && question.probe;
    if (latest) {
      use.refused = refused && { ...refused, count: (use.refused?.count ?? 0) + event.count };
      use.latest = event.time;
    }
    if (!refused) {
      const caller = this.#options.caller(event);
      use.count += event.count;
      use.callers.set(caller, (use.callers.get(caller) ?? 0) + event.count);
    }
    target.uses.set(key, use);
    this.#targets.set(text, target);
  }
}

function useOf(question: Question): { key: string; port: PortSpec | null } {
  if (question.kind === 'lookup') return { key: 'lookup', port: null };
  const { port, protocol } = question.destination;
  if (protocol === 'other') return { key: 'portless', port: null };
  return { key: `${port}/${protocol}`, port: { protocol, from: port, to: port } };
}

function isSpeakable(name: Name): boolean {
  const host = readHost(name);
  return !isFault(host) && host.kind === 'exact' && host.text === name;
}
