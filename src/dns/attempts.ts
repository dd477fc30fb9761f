import type { Name } from '../model/name.ts';
import { type Habits, namesAfter, type Reading, readingsOf } from './search-list.ts';

/**
 * What a question came to. `found` ends a search; `empty` is a name without records of this type; `absent` no name;
 * after `failed` a resolver asks the next server the same.
 */
export type Outcome = 'found' | 'empty' | 'absent' | 'failed';

/** What a process asks a server. */
export interface Question {
  readonly name: Name;
  /** `A`, `HTTPS`, or `TYPE1234`. */
  readonly type: string;
  /** Of the message. */
  readonly id: number;
}

/** What policy says of a name. */
export interface Say {
  readonly denied: boolean;
  /** A rule names it; it is not the default. */
  readonly byRule: boolean;
}

/** An answered question. */
export interface Answer<T> {
  readonly name: Name;
  readonly type: string;
  readonly aliases: readonly Name[];
  readonly outcome: Outcome;
  readonly say: Say;
  /** A denial that is not to be told yet (see Outlook). */
  readonly provisional: boolean;
  readonly lookup: T;
}

/** What may come of a denied question. */
export interface Outlook {
  /** Its resolver goes on: what comes of the attempt is told later. */
  readonly provisional: boolean;
  /** Names it may ask next that policy allows: where one exists, the denial is provisional too. */
  readonly later: readonly Name[];
}

/** What to do about an answer: tell the denial now; record the lookup; or nothing, the attempt speaks for it. */
export type Turn = 'tell' | 'record' | 'fold';

/** One thing a process asked its resolver for: the questions it took, as far as they have been seen. */
export interface Attempt<T> {
  readonly asker: number;
  /** Names asked for, each once, in order. */
  readonly names: readonly Name[];
  /** What was asked for: known where the names so far allow one reading only, or the command line has it. */
  readonly asked: Name | null;
  /** Its denial was told. */
  readonly told: boolean;
  /** The answer that stands for the attempt: a denial if there is one. Null: what was found, and recorded, does. */
  readonly deciding: Answer<T> | null;
}

/** A question without an answer for this long was dropped somewhere, milliseconds. */
const MOST_UNDER_WAY_MS = 10_000;
/** Attempts open at once, and of one name in one process; beyond, the oldest is taken as over. */
const MOST_OPEN = 4096;
const MOST_OF_NAME = 8;
/** Message ids remembered of one question. */
const MOST_IDS = 8;
const ADDRESS_TYPES = ['A', 'AAAA'];

/**
 * Folds questions into attempts. A question belongs to an open attempt of the same process if it is a name already
 * asked for with another type; or the same again, under the same id (to all servers at once, as musl asks) or
 * because no server had an answer; or a name that comes after those so far in some reading of the search list. An
 * attempt is over `windowMs` after its last answer, or with its process. Times are milliseconds of any steady clock.
 */
export class Attempts<T> {
  readonly #windowMs: number;
  /** In order of last activity. */
  readonly #open = new Set<Open<T>>();
  /** By process, then by the names they have asked for or may. */
  readonly #expecting = new Map<number, Map<Name, Open<T>[]>>();
  /** Closed, and to be told of with those that are due. */
  #over: Open<T>[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  get size(): number {
    return this.#open.size;
  }

  /** The attempt a question belongs to: open already, or a new one. */
  question(asker: number, question: Question, now: number): Attempt<T> {
    const candidates = this.#expecting.get(asker)?.get(question.name) ?? [];
    let attempt = candidates.findLast((candidate) => candidate.takes(question));
    if (!attempt) {
      // Who asks the same anew is done with what came before.
      for (const old of candidates.filter((candidate) => candidate.isDone)) this.#close(old);
      if (candidates.length >= MOST_OF_NAME && candidates[0]) this.#close(candidates[0]);
      attempt = new Open<T>(asker);
      this.#expect(attempt, question.name);
    }
    attempt.ask(question);
    this.#touch(attempt, now);
    return attempt;
  }

  /** The attempt with this question under way; null: whatever its type. */
  find(asker: number, name: Name, type: string | null): Attempt<T> | null {
    const candidates = this.#expecting.get(asker)?.get(name);
    return candidates?.findLast((attempt) => attempt.waitsFor(name, type)) ?? null;
  }

  /** Takes the habits of the asker in: before an outlook, and before a question that came to nothing is answered. */
  read(attempt: Attempt<T>, habits: () => Habits): void {
    const open = attempt as Open<T>;
    if (open.readings !== null || open.hasFound) return;
    open.learn(habits());
    for (const name of open.expected) this.#expect(open, name);
  }

  /**
   * What may come of a question that is denied. `mentions`: whether the asker's command line has a name, whole.
   * The attempt must have been read.
   */
  outlook(
    attempt: Attempt<T>,
    name: Name,
    say: (name: Name) => Say,
    mentions: (name: Name) => boolean,
  ): Outlook {
    const open = attempt as Open<T>;
    if (open.told) return { provisional: false, later: [] };
    const own = say(name);
    const chosen = open.chosen(mentions);
    const readings = chosen ? [chosen] : (open.readings ?? []);
    // Whoever asks for the very name a rule denies is told so, whatever its resolver tries next.
    const hopeful = readings.filter(
      ({ asked }) => !(own.byRule && asked === name && open.names.length === 1),
    );
    const later = new Set(hopeful.flatMap((reading) => namesAfter(reading, name)));
    // A rule may speak of what comes next. Not where the name itself came first: that is what was asked for.
    const meant = readings
      .filter(({ asked }) => asked !== name)
      .flatMap((reading) => namesAfter(reading, name));
    const betterReason = !own.byRule && meant.map(say).some((next) => next.denied && next.byRule);
    const inOrder = chosen !== null && !say(chosen.asked).denied;
    return {
      provisional: betterReason || inOrder || open.mayFindOtherType(),
      later: [...later].filter((next) => !say(next).denied),
    };
  }

  /** What a process may have asked for to get to this name, where that is not the name itself. */
  shortNames(attempt: Attempt<T>, name: Name, mentions: (name: Name) => boolean): readonly Name[] {
    const open = attempt as Open<T>;
    const chosen = open.chosen(mentions);
    const readings = chosen ? [chosen] : (open.readings ?? []);
    return readings.map(({ asked }) => asked).filter((asked) => asked !== name);
  }

  answered(attempt: Attempt<T>, answer: Answer<T>, now: number): Turn {
    this.#touch(attempt as Open<T>, now);
    return (attempt as Open<T>).answer(answer);
  }

  /** Attempts that are over by now, and closed with this. */
  due(now: number): readonly Attempt<T>[] {
    for (const attempt of this.#open) {
      const idle = now - attempt.last;
      if (this.#open.size <= MOST_OPEN && idle < this.#windowMs) break;
      const over = this.#open.size > MOST_OPEN || attempt.underWay === 0 || idle >= MOST_UNDER_WAY_MS;
      if (over) this.#close(attempt);
    }
    return this.#take();
  }

  /** Whether a process has attempts that are open. */
  has(asker: number): boolean {
    return this.#expecting.has(asker);
  }

  /** The attempts of a process that has ended, but for those with a question under way; or all there are. */
  end(asker: number | null): readonly Attempt<T>[] {
    if (asker !== null && !this.#expecting.has(asker)) return [];
    for (const attempt of [...this.#open])
      if (asker === null || (attempt.asker === asker && attempt.underWay === 0)) this.#close(attempt);
    return this.#take();
  }

  #take(): readonly Attempt<T>[] {
    if (this.#over.length === 0) return NONE;
    const over = this.#over;
    this.#over = [];
    return over;
  }

  #touch(attempt: Open<T>, now: number): void {
    attempt.last = now;
    this.#open.delete(attempt);
    this.#open.add(attempt);
  }

  #expect(attempt: Open<T>, name: Name): void {
    let names = this.#expecting.get(attempt.asker);
    if (!names) {
      names = new Map();
      this.#expecting.set(attempt.asker, names);
    }
    const list = names.get(name);
    if (!list) names.set(name, [attempt]);
    else if (!list.includes(attempt)) list.push(attempt);
  }

  #close(attempt: Open<T>): void {
    if (!this.#open.delete(attempt)) return;
    this.#over.push(attempt);
    const names = this.#expecting.get(attempt.asker);
    if (!names) return;
    for (const name of [...attempt.names, ...attempt.expected]) {
      const others = names.get(name)?.filter((other) => other !== attempt) ?? [];
      if (others.length > 0) names.set(name, others);
      else names.delete(name);
    }
    if (names.size === 0) this.#expecting.delete(attempt.asker);
  }
}

const NONE: readonly never[] = [];

interface Asked {
  readonly name: Name;
  readonly type: string;
  readonly ids: number[];
  /** How often it was asked, and is still to be answered. */
  count: number;
  waiting: number;
  /** Of the latest answer. */
  outcome: Outcome | null;
}

class Open<T> implements Attempt<T> {
  readonly asker: number;
  readonly names: Name[] = [];
  /** Null: not read yet. */
  readings: readonly Reading[] | null = null;
  last = 0;
  underWay = 0;
  readonly #questions: Asked[] = [];
  /** Of names not found: the first for each name and what policy said. */
  readonly #answers: Answer<T>[] = [];
  /** What was found: names with their aliases. */
  readonly #found: string[] = [];
  #told: Answer<T> | null = null;
  /** The reading whose name the command line has. */
  #hint: Reading | null = null;
  #tries = 1;

  constructor(asker: number) {
    this.asker = asker;
  }

  get asked(): Name | null {
    const only = this.readings?.length === 1 || this.names.length > 1 ? this.readings?.[0] : this.#hint;
    return only?.asked ?? null;
  }

  get hasFound(): boolean {
    return this.#found.length > 0;
  }

  get expected(): readonly Name[] {
    return this.readings?.flatMap(({ names }) => names) ?? [];
  }

  get told(): boolean {
    return this.#told !== null;
  }

  get deciding(): Answer<T> | null {
    return this.#told ?? (this.hasFound ? null : this.#strongest());
  }

  /** Nothing is under way, and nothing that was denied depends on what comes next. */
  get isDone(): boolean {
    const pending = !this.told && !this.hasFound && this.#answers.some(({ say }) => say.denied);
    return this.underWay === 0 && !pending;
  }

  takes({ name, type, id }: Question): boolean {
    const asked = this.#question(name, type);
    if (!asked) return this.names.includes(name) || this.#goOn(name).length > 0;
    return asked.ids.includes(id) || (asked.outcome === 'failed' && asked.count < this.#tries);
  }

  waitsFor(name: Name, type: string | null): boolean {
    const matches = (asked: Asked): boolean => asked.name === name && (type === null || asked.type === type);
    return this.#questions.some((asked) => asked.waiting > 0 && matches(asked));
  }

  ask({ name, type, id }: Question): void {
    if (!this.names.includes(name)) {
      if (this.names.length > 0) this.readings = this.#goOn(name);
      this.names.push(name);
    }
    let asked = this.#question(name, type);
    if (!asked) {
      asked = { name, type, ids: [], count: 0, waiting: 0, outcome: null };
      this.#questions.push(asked);
    }
    asked.waiting += 1;
    asked.count += 1;
    asked.ids.push(id);
    if (asked.ids.length > MOST_IDS) asked.ids.shift();
    this.underWay += 1;
  }

  learn(habits: Habits): void {
    const [first] = this.names;
    this.#tries = habits.tries;
    this.readings = first === undefined ? [] : readingsOf(first, habits);
  }

  answer(answer: Answer<T>): Turn {
    const { name, say, outcome } = answer;
    const asked = this.#question(name, answer.type);
    if (asked && asked.waiting > 0) {
      asked.waiting -= 1;
      asked.outcome = outcome;
      this.underWay -= 1;
    }
    if (outcome === 'found') {
      const names = answer.aliases.length === 0 ? name : [name, ...answer.aliases].join(' ');
      if (this.#found.includes(names)) return 'fold';
      this.#found.push(names);
      return 'record';
    }
    if (!this.#answers.some((known) => known.name === name && known.say.denied === say.denied))
      this.#answers.push(answer);
    if (this.told || this.#settled(answer)) return 'fold';
    this.#told = this.#strongest();
    return 'tell';
  }

  /** The reading to go by: the only one, or the one whose name the command line has. */
  chosen(mentions: (name: Name) => boolean): Reading | null {
    const readings = this.readings ?? [];
    if (readings.length === 1 || this.names.length > 1) return readings[0] ?? null;
    this.#hint ??= readings.find(({ asked }) => mentions(asked)) ?? null;
    return this.#hint;
  }

  /** A name was seen that has no address of one family, and was not asked for the other yet. */
  mayFindOtherType(): boolean {
    return this.#questions.some(({ name, type, outcome }) => {
      if (outcome !== 'empty' || !ADDRESS_TYPES.includes(type)) return false;
      return ADDRESS_TYPES.some((other) => other !== type && !this.#question(name, other));
    });
  }

  #question(name: Name, type: string): Asked | undefined {
    return this.#questions.find((asked) => asked.name === name && asked.type === type);
  }

  /** Whether nothing is to be told after this answer: it was found, is provisional, or was never a denial. */
  #settled(answer: Answer<T>): boolean {
    if (answer.say.denied) return answer.provisional;
    if (this.hasFound || this.#strongest()?.say.denied !== true) return true;
    const last = this.readings?.every((reading) => namesAfter(reading, answer.name).length === 0) ?? false;
    return !last || answer.outcome !== 'absent' || this.mayFindOtherType();
  }

  /**
   * The name asked for decides if it came first, or is allowed. Otherwise a rule's word stands before the default's,
   * and that on the name itself before that on its expansions.
   */
  #strongest(): Answer<T> | null {
    const own = this.#answers.find(({ name }) => name === this.asked);
    if (own && (!own.say.denied || this.names[0] === own.name)) return own;
    const denied = this.#answers.filter(({ say }) => say.denied);
    const byRule = denied.filter(({ say }) => say.byRule);
    const among = [byRule, denied, this.#answers].find((answers) => answers.length > 0) ?? [];
    return among.find((answer) => answer.name === own?.name) ?? among[0] ?? null;
  }

  /** The readings in which this name comes after those asked for so far. */
  #goOn(name: Name): Reading[] {
    const before = this.names.at(-1) ?? name;
    return (this.readings ?? []).filter((reading) => namesAfter(reading, before).includes(name));
  }
}
