import {
  type Answer,
  type Attempt,
  Attempts,
  type Outlook,
  type Question,
  type Say,
} from '../dns/attempts.ts';
import type { Habits } from '../dns/search-list.ts';
import type { Name } from '../model/name.ts';
import type { ObservedLookup, Recorded } from './recorder.ts';

/** Who asked, and when. */
export interface Asker {
  readonly pid: number;
  /** CLOCK_MONOTONIC nanoseconds. */
  readonly time: bigint;
}

/** What the book needs of its composer. */
export interface BookMeans {
  /** Lookups come through the proxy, each before its answer leaves. */
  readonly enforced: boolean;
  /** What policy says of a name, or of a name and its aliases. */
  say(names: readonly Name[]): Say;
  /** How a living process's resolver makes names. */
  habits(pid: number): Habits;
  /** Whether the command line of a process has a name, whole. */
  mentions(asker: Asker, name: Name): boolean;
  /** Makes an event of a lookup. `names` is what is known of the attempt, the name asked for first. */
  event(lookup: ObservedLookup, names: readonly Name[]): Recorded;
  /** CLOCK_MONOTONIC, milliseconds. */
  now(): number;
  /** Reads what the kernel has told of processes so far. */
  catchUp(): void;
  /** What is to be told at once: a denial before its answer leaves. */
  tell(recorded: Recorded): void;
  /** The event of an attempt that is over, or that found something. */
  record(recorded: Recorded): void;
}

/** How long after its last answer an attempt may go on: far above what a resolver takes to ask for the next name. */
const WINDOW_MS = 2000;
const LOOK_EVERY_MS = 250;
/** Questions of a process may still be waiting to be read when it has ended: it asked several servers at once. */
const LAST_QUESTIONS_MS = 250;

/** Lookups of a run, folded into attempts: each is told and recorded once, whatever names its resolver made of it. */
export class LookupBook {
  readonly #means: BookMeans;
  readonly #attempts = new Attempts<ObservedLookup>(WINDOW_MS);
  readonly #told = new Map<Attempt<ObservedLookup>, Recorded>();
  /** Ends of the names that this process's own search list makes. */
  #own: readonly string[] | null = null;
  readonly #leaving: { readonly pid: number; readonly until: number }[] = [];
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(means: BookMeans) {
    this.#means = means;
  }

  /** Called for every question before it is judged. */
  question({ pid }: Asker, question: Question): Attempt<ObservedLookup> {
    return this.#attempts.question(pid, question, this.#means.now());
  }

  /** What may come of a question that is denied. */
  outlook(attempt: Attempt<ObservedLookup>, asker: Asker, name: Name): Outlook {
    this.#means.catchUp();
    this.#attempts.read(attempt, () => this.#means.habits(asker.pid));
    const say = (each: Name): Say => this.#means.say([each]);
    return this.#attempts.outlook(attempt, name, say, (each) => this.#means.mentions(asker, each));
  }

  /**
   * The names that led to an address, with what the process may have asked for to get to the first: a client that
   * asks for `api` speaks of `api` to the server it finds, whatever its search list made of that.
   */
  withShortNames(asker: Asker, names: readonly Name[]): readonly Name[] {
    const [name = ''] = names;
    const attempt = this.#attempts.find(asker.pid, name, null);
    if (!attempt || !this.#mayBeExpansion(name, attempt)) return names;
    this.#means.catchUp();
    this.#attempts.read(attempt, () => this.#means.habits(asker.pid));
    return [
      ...this.#attempts.shortNames(attempt, name, (each) => this.#means.mentions(asker, each)),
      ...names,
    ];
  }

  /** Takes an answer in, whether its question was seen or not; a denial is told before this returns. */
  answered(lookup: ObservedLookup): void {
    if (this.#closed) return;
    const { pid, names, type, outcome, provisional } = lookup;
    const [name = '', ...aliases] = names;
    this.#means.catchUp();
    const known = this.#attempts.find(pid, name, type);
    const attempt = known ?? this.question(lookup, { name, type, id: NO_ID });
    if (outcome !== 'found') this.#attempts.read(attempt, () => this.#means.habits(pid));
    const say = lookup.enforced && !lookup.denied ? ALLOWED : this.#means.say(names);
    const answer: Answer<ObservedLookup> = { name, type, aliases, outcome, say, provisional, lookup };
    const turn = this.#attempts.answered(attempt, answer, this.#means.now());
    if (turn === 'record') this.#tellAndRecord(this.#means.event(lookup, names));
    if (turn === 'tell') this.#tell(attempt);
    for (const over of this.#attempts.due(this.#means.now())) this.#record(over);
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  /** A process has ended: what it asked for is soon over. Lookups read in passing may be unread for longer. */
  ended(pid: number): void {
    if (!this.#means.enforced || !this.#attempts.has(pid)) return;
    this.#leaving.push({ pid, until: this.#means.now() + LAST_QUESTIONS_MS });
  }

  /** Records what is open, as it is by now. */
  settle(): void {
    for (const attempt of this.#attempts.end(null)) this.#record(attempt);
  }

  /** Records what is open. Later answers are nobody's. */
  close(): void {
    this.#closed = true;
    if (this.#timer) clearInterval(this.#timer);
    this.settle();
  }

  /** Told without a look at the process: most names are below no search domain, and nothing came before them. */
  #mayBeExpansion(name: Name, { names }: Attempt<ObservedLookup>): boolean {
    this.#own ??= this.#means.habits(process.pid).search.map((domain) => `.${domain}`);
    return names.length > 1 || this.#own.some((end) => name.endsWith(end));
  }

  #look(): void {
    while ((this.#leaving[0]?.until ?? Infinity) <= this.#means.now()) {
      for (const attempt of this.#attempts.end(this.#leaving.shift()?.pid ?? 0)) this.#record(attempt);
    }
    for (const attempt of this.#attempts.due(this.#means.now())) this.#record(attempt);
    if (this.#attempts.size + this.#leaving.length > 0 || !this.#timer) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #tell(attempt: Attempt<ObservedLookup>): void {
    const { deciding } = attempt;
    if (!deciding) return;
    const recorded = this.#means.event(deciding.lookup, namesOf(attempt, deciding));
    this.#told.set(attempt, recorded);
    this.#means.tell(recorded);
  }

  #tellAndRecord(recorded: Recorded): void {
    this.#means.tell(recorded);
    this.#means.record(recorded);
  }

  /** The one event of an attempt that nothing was found for. */
  #record(attempt: Attempt<ObservedLookup>): void {
    const { deciding } = attempt;
    if (!deciding) return;
    const told = this.#told.get(attempt);
    this.#told.delete(attempt);
    const names = namesOf(attempt, deciding);
    if (told) {
      const destination = told.event.destination && { ...told.event.destination, names };
      this.#means.record({ ...told, event: { ...told.event, destination } });
    } else {
      this.#tellAndRecord(this.#means.event(deciding.lookup, names));
    }
  }
}

/** Of a question that was never judged: no message has it. */
const NO_ID = -1;

const ALLOWED: Say = { denied: false, byRule: false };

/** What was asked for first, then the name that decided with its aliases, then what else was made of it. */
function namesOf({ asked, names }: Attempt<unknown>, { name, aliases }: Answer<unknown>): Name[] {
  return [...new Set([asked ?? name, name, ...aliases, ...names])];
}
