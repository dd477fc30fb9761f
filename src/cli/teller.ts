import type { AuditTrail } from '../audit/trail.ts';
import type { Recorded } from '../guard/recorder.ts';
import type { ReportFile } from '../guard/report.ts';
import type { Swept } from '../guard/sweep.ts';
import type { Tally } from '../guard/tally.ts';
import type { AuditEvent } from '../model/event.ts';
import { formatTarget } from '../model/target.ts';
import { createFold, type Fold } from './fold.ts';
import { type DenialView, formatDenial } from './message.ts';
import { harmless, type Output } from './output.ts';

/** Tells what is denied at once, repeats folded, and puts every event into the report and the tally when it is over. */
export class Teller {
  readonly tally: Tally;
  readonly fold: Fold = createFold();
  /** What only the summary tells: calls that went through and a rule would deny. */
  readonly wouldDeny: Fold = createFold();
  readonly #output: Output;
  readonly #report: ReportFile | null;
  readonly #trail: AuditTrail | null;
  readonly #more: (id: string) => string;

  /** `trail`: null where another keeps it. `more` gives the command that shows an event again. */
  constructor(options: {
    output: Output;
    report: ReportFile | null;
    trail: AuditTrail | null;
    tally: Tally;
    more: (id: string) => string;
  }) {
    this.tally = options.tally;
    this.#output = options.output;
    this.#report = options.report;
    this.#trail = options.trail;
    this.#more = options.more;
  }

  /** What is to be told at once. */
  tell(recorded: Recorded): void {
    const view = this.#viewOf(recorded);
    if (view && view.event.verdict === 'deny' && this.fold.first(view, performance.now()))
      this.#output.say('denial', formatDenial(view, this.#output.width), view.event);
  }

  /** An event that is over. */
  record(recorded: Recorded): void {
    const { event } = recorded;
    this.#trail?.record(event);
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
    const view = this.#viewOf(recorded);
    if (view && event.verdict === 'would-deny') this.wouldDeny.first(view, performance.now());
  }

  /** What was recorded while it went on has ended. */
  carried(event: AuditEvent): void {
    this.tally.carry(event, formatTarget(event));
  }

  /** What there is to say of a call that was, or would be, denied; null of others. */
  #viewOf({ event, rule, cycle, saw }: Recorded): DenialView | null {
    if (event.verdict === null || event.verdict === 'allow' || rule === null) return null;
    return {
      ...{ event, rule, cycle, saw: saw ?? '' },
      dependency: event.dependency,
      lineage: [...(event.process?.ancestry ?? [])].reverse(),
      instead: rule.instead,
      repeats: 0,
      more: this.#more(event.id),
    };
  }

  /** Goes once through what a denial needs: code that has never run takes the milliseconds a caller waits. */
  static warm({ width }: Output): void {
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
    formatDenial(view, width);
    createFold().first(view, 0);
    harmless(formatTarget(event));
  }

  tellRepeats(): void {
    for (const line of this.fold.due(performance.now())) this.#output.say('denial', [line]);
  }
}

/** What was found of runs whose Acyclic was killed. */
export function tellSwept(output: Output, { id, state, processes, attached }: Swept): void {
  const pids = processes.join(', ');
  const what = attached ? 'attach' : 'run';
  const lift = attached ? `; acyclic detach ${id} lifts it` : '';
  const said = {
    cleared: `cleared what ${what} ${id} left when Acyclic was killed${pids ? `; it left running: ${pids}` : ''}`,
    guarded: `${what} ${id} lost Acyclic and goes on under its last policy, without names: ${pids}${lift}`,
    unguarded: `${what} ${id} goes on without a guard${pids ? `: ${pids}` : ''}`,
    stuck: `${what} ${id} lost Acyclic, and its cgroup cannot be cleared: ${pids}`,
  }[state];
  output.say(state === 'cleared' ? 'info' : 'warning', [`acyclic: ${said}`]);
}
