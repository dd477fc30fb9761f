import type { AuditTrail } from '../audit/trail.ts';
import type { Recorded } from '../guard/recorder.ts';
import type { ReportFile } from '../guard/report.ts';
import type { Swept } from '../guard/sweep.ts';
import { Tally } from '../guard/tally.ts';
import type { AuditEvent } from '../model/event.ts';
import { createFold, type Fold } from './fold.ts';
import { type DenialView, formatDenial, formatTarget } from './message.ts';
import { harmless, type Output } from './output.ts';

/** Puts every event into the report and the tally, and tells the denied ones at once, repeats folded. */
export class Teller {
  readonly tally = new Tally();
  readonly fold: Fold = createFold();
  /** What only the summary tells: calls that went through and a rule would deny. */
  readonly wouldDeny: Fold = createFold();
  readonly #output: Output;
  readonly #report: ReportFile | null;
  readonly #trail: AuditTrail;
  readonly #more: (id: string) => string;

  /** `more` gives the command that shows an event again. */
  constructor(output: Output, report: ReportFile | null, trail: AuditTrail, more: (id: string) => string) {
    this.#output = output;
    this.#report = report;
    this.#trail = trail;
    this.#more = more;
  }

  tell(recorded: Recorded): void {
    this.#say(recorded);
    this.#trail.record(recorded.event);
  }

  #say(recorded: Recorded): void {
    const { event, rule, cycle, saw } = recorded;
    this.#report?.write(event);
    this.tally.add(event, formatTarget(event));
    if (event.kind === 'escape') {
      const who = event.process ? `${event.process.comm}[${event.process.pid}]` : 'a process';
      this.#output.say(
        'denial',
        [`acyclic: ${who} left the run's cgroup: what it calls from now on is not guarded`],
        event,
      );
      return;
    }
    if (event.verdict === null || event.verdict === 'allow' || rule === null) return;
    const view: DenialView = {
      event,
      rule,
      cycle,
      dependency: event.dependency,
      saw: saw ?? '',
      lineage: [...(event.process?.ancestry ?? [])].reverse(),
      instead: rule.instead,
      repeats: 0,
      more: this.#more(event.id),
    };
    if (event.verdict === 'would-deny') this.wouldDeny.first(view, performance.now());
    else if (this.fold.first(view, performance.now()))
      this.#output.say('denial', formatDenial(view, this.#output.width), event);
  }

  /** Goes once through what a denial needs: code that has never run takes the milliseconds a caller waits. */
  warm(): void {
    const event: AuditEvent = {
      ...{
        v: 1,
        id: '',
        time: '',
        host: '',
        run: '',
        deployment: null,
        policy: null,
        count: 1,
        kind: 'connect',
      },
      ...{
        destination: null,
        process: null,
        verdict: 'deny',
        rule: null,
        dependency: null,
        outcome: null,
        hook: null,
      },
    };
    const rule = {
      kind: 'default',
      source: null,
      id: null,
      service: null,
      reason: null,
      owner: null,
      instead: null,
    } as const;
    const view: DenialView = {
      ...{ event, rule, cycle: ['a', 'b', 'a'], dependency: null, saw: '', lineage: [], instead: null },
      ...{ repeats: 0, more: null },
    };
    formatDenial(view, this.#output.width);
    createFold().first(view, 0);
    harmless(formatTarget(event));
  }

  tellRepeats(): void {
    for (const line of this.fold.due(performance.now())) this.#output.say('denial', [line]);
  }
}

/** What was found of runs whose Acyclic was killed. */
export function tellSwept(output: Output, { id, state, processes }: Swept): void {
  const pids = processes.join(', ');
  const said = {
    cleared: `cleared what run ${id} left when Acyclic was killed${pids ? `; it left running: ${pids}` : ''}`,
    guarded: `run ${id} lost Acyclic and goes on under its last policy, without names: ${pids}`,
    stuck: `run ${id} lost Acyclic, and its cgroup cannot be cleared: ${pids}`,
  }[state];
  output.say(state === 'cleared' ? 'info' : 'warning', [`acyclic: ${said}`]);
}
