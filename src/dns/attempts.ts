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
/** Attempts open at once; beyond, the oldest is taken as over. */
const MOST_OPEN = 4096;
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
  readonly #byName = new Map<string, Open<T>[]>();

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  get size(): number {
    return this.#open.size;
  }

  /** The attempt a question belongs to: open already, or a new one. */
  question(asker: number, question: Question, now: number): Attempt<T> {
    const { name } = question;
    const candidates = this.#byName.get(key(asker, name)) ?? [];
    const known = candidates.findLast((attempt) => attempt.takes(question));
    const attempt = known ?? new Open<T>(asker);
    attempt.ask(question);
    if (!known) this.#expect(attempt, [name]);
    this.#touch(attempt, now);
    return attempt;
  }

  /** The attempt with this question under way; null: whatever its type. */
  find(asker: number, name: Name, type: string | null): Attempt<T> | null {
    return this.#byName.get(key(asker, name))?.findLast((attempt) => attempt.waitsFor(name, type)) ?? null;
  }

  /** Takes the habits of the asker in: before an outlook, and before a question that came to nothing is answered. */
  read(attempt: Attempt<T>, habits: () => Habits): void {
    const open = attempt as Open<T>;
    if (open.readings !== null || open.hasFound) return;
    open.learn(habits());
    this.#expect(open, open.expected);
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
  due(now: number): Attempt<T>[] {
    const over: Attempt<T>[] = [];
    for (const attempt of this.#open) {
      const idle = now - attempt.last;
      if (idle < this.#windowMs) break;
      if (attempt.underWay === 0 || idle >= MOST_UNDER_WAY_MS) over.push(this.#close(attempt));
    }
    for (const attempt of this.#open) {
      if (this.#open.size <= MOST_OPEN) break;
      over.push(this.#close(attempt));
    }
    return over;
  }

  /** The attempts of a process that has ended, but for those with a question under way; or all there are. */
  end(asker: number | null): Attempt<T>[] {
    return [...this.#open]
      .filter((attempt) => asker === null || (attempt.asker === asker && attempt.underWay === 0))
      .map((attempt) => this.#close(attempt));
  }

  #touch(attempt: Open<T>, now: number): void {
    attempt.last = now;
    this.#open.delete(attempt);
    this.#open.add(attempt);
  }

  #expect(attempt: Open<T>, names: Iterable<Name>): void {
    for (const name of names) {
      const list = this.#byName.get(key(attempt.asker, name));
      if (!list) this.#byName.set(key(attempt.asker, name), [attempt]);
      else if (!list.includes(attempt)) list.push(attempt);
    }
  }

  #close(attempt: Open<T>): Attempt<T> {
    this.#open.delete(attempt);
    for (const name of [...attempt.names, ...attempt.expected]) {
      const others = this.#byName.get(key(attempt.asker, name))?.filter((other) => other !== attempt) ?? [];
      if (others.length > 0) this.#byName.set(key(attempt.asker, name), others);
      else this.#byName.delete(key(attempt.asker, name));
    }
    return attempt;
  }
}

interface Asked {
  readonly name: Name;
  readonly type: string;
  readonly ids: Set<number>;
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
  readonly #questions = new Map<string, Asked>();
  readonly #answers: Answer<T>[] = [];
  /** What was found, by the name and its aliases. */
  readonly #found = new Set<string>();
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
    return this.#found.size > 0;
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

  takes({ name, type, id }: Question): boolean {
    const asked = this.#questions.get(`${name} ${type}`);
    if (!asked) return this.names.includes(name) || this.#goOn(name).length > 0;
    if (asked.waiting > 0 || asked.ids.has(id)) return true;
    return asked.outcome === 'failed' && asked.count < this.#tries;
  }

  waitsFor(name: Name, type: string | null): boolean {
    if (type !== null) return (this.#questions.get(`${name} ${type}`)?.waiting ?? 0) > 0;
    return [...this.#questions.values()].some((question) => question.name === name && question.waiting > 0);
  }

  ask({ name, type, id }: Question): void {
    if (!this.names.includes(name)) {
      if (this.names.length > 0) this.readings = this.#goOn(name);
      this.names.push(name);
    }
    const known = this.#questions.get(`${name} ${type}`);
    const asked = known ?? { name, type, ids: new Set(), count: 0, waiting: 0, outcome: null };
    asked.waiting += 1;
    asked.count += 1;
    asked.ids.add(id);
    if (!known) this.#questions.set(`${name} ${type}`, asked);
    this.underWay += 1;
  }

  learn(habits: Habits): void {
    const [first] = this.names;
    this.#tries = habits.tries;
    this.readings = first === undefined ? [] : readingsOf(first, habits);
  }

  answer(answer: Answer<T>): Turn {
    const asked = this.#questions.get(`${answer.name} ${answer.type}`);
    if (asked && asked.waiting > 0) {
      asked.waiting -= 1;
      asked.outcome = answer.outcome;
      this.underWay -= 1;
    }
    this.#answers.push(answer);
    if (answer.outcome === 'found') {
      const names = [answer.name, ...answer.aliases].join(' ');
      if (this.#found.has(names)) return 'fold';
      this.#found.add(names);
      return 'record';
    }
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
    return [...this.#questions.values()].some(({ name, type, outcome }) => {
      const other = ADDRESS_TYPES.find((candidate) => candidate !== type);
      return outcome === 'empty' && ADDRESS_TYPES.includes(type) && !this.#questions.has(`${name} ${other}`);
    });
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
    const denied = this.#answers.filter(({ say, outcome }) => say.denied && outcome !== 'found');
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

function key(asker: number, name: Name): string {
  return `${asker} ${name}`;
}
