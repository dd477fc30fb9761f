import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Attempt, Attempts, type Outcome, type Say } from './attempts.ts';
import type { Habits } from './search-list.ts';

const WINDOW_MS = 2000;

interface World {
  readonly habits: Habits;
  /** What policy says; a name that is not here is denied by default. */
  readonly policy: Readonly<Record<string, 'allowed' | 'ruled out'>>;
  /** What a server would answer: types a name has records of. A name that is not here does not exist. */
  readonly zone: Readonly<Record<string, readonly string[]>>;
}

interface Told {
  readonly asked: string | null;
  readonly names: readonly string[];
  readonly decidedBy: string;
  /** What was said before the answer left; null: it was told only when the attempt was over. */
  readonly said: string | null;
}

/** The proxy's part, without sockets: what a guard does with attempts, and what came of it. */
class Desk {
  readonly attempts = new Attempts<string>(WINDOW_MS);
  readonly world: World;
  readonly argv: string;
  readonly found: string[] = [];
  readonly failed: (readonly string[])[] = [];
  readonly denied: Told[] = [];
  readonly #said = new Map<Attempt<string>, string | undefined>();
  now = 0;

  constructor(world: World, argv = '') {
    this.world = world;
    this.argv = argv;
  }

  say = (name: string): Say => {
    const word = this.world.policy[name];
    return { denied: word !== 'allowed', byRule: word === 'ruled out' };
  };

  ask(asker: number, name: string, type: string): Outcome {
    const attempt = this.question(asker, name, type);
    return this.answer(attempt, name, type);
  }

  question(asker: number, name: string, type: string): Attempt<string> {
    return this.attempts.question(asker, { name, type, id: this.now }, this.now++);
  }

  answer(attempt: Attempt<string>, name: string, type: string): Outcome {
    const { zone, habits } = this.world;
    const say = this.say(name);
    const types = zone[name];
    let outcome: Outcome = types === undefined ? 'absent' : types.includes(type) ? 'found' : 'empty';
    let provisional = false;
    if (say.denied) outcome = 'absent';
    if (outcome !== 'found') this.attempts.read(attempt, () => habits);
    if (say.denied) {
      const outlook = this.attempts.outlook(attempt, name, this.say, (text) =>
        this.argv.split(' ').includes(text),
      );
      provisional = outlook.provisional || outlook.later.some((later) => zone[later] !== undefined);
    }
    const turn = this.attempts.answered(
      attempt,
      { name, type, aliases: [], outcome, say, provisional, lookup: name },
      this.now++,
    );
    if (turn === 'record') this.found.push(name);
    if (turn === 'tell') this.#said.set(attempt, attempt.deciding?.name);
    return outcome;
  }

  end(): void {
    for (const attempt of this.attempts.end(null)) {
      const { deciding, names, asked } = attempt;
      if (!deciding) continue;
      if (!deciding.say.denied) this.failed.push(names);
      else
        this.denied.push({ asked, names, decidedBy: deciding.name, said: this.#said.get(attempt) ?? null });
    }
  }
}

type Resolver = (asked: string, desk: Desk) => void;

function searched(asked: string, { search, ndots }: Habits): string[] {
  const expansions = search.map((domain) => `${asked}.${domain}`);
  return asked.split('.').length > ndots ? [asked, ...expansions] : [...expansions, asked];
}

/** Asks for both families of each name, until one has an address. */
const glibc: Resolver = (asked, desk) => {
  for (const name of searched(asked, desk.world.habits)) {
    const attempts = ['A', 'AAAA'].map((type) => desk.question(1, name, type));
    const outcomes = ['A', 'AAAA'].map((type, i) => desk.answer(attempts[i] as Attempt<string>, name, type));
    if (outcomes.includes('found')) return;
  }
};

/** getent hosts: the whole list for one family, then for the other. */
const byFamily: Resolver = (asked, desk) => {
  for (const type of ['AAAA', 'A'])
    for (const name of searched(asked, desk.world.habits)) if (desk.ask(1, name, type) === 'found') return;
};

/** dig, c-ares' query functions, any name with a trailing dot. */
const plain: Resolver = (asked, desk) => {
  desk.ask(1, asked, 'A');
};

function run(resolver: Resolver, asked: string, world: World, argv = ''): Desk {
  const desk = new Desk(world, argv);
  resolver(asked, desk);
  desk.end();
  return desk;
}

const LIST: Habits = { search: ['corp.internal', 'prod.internal'], ndots: 1, tries: 4 };

describe('what a resolver makes of one name is one attempt', () => {
  test.each([
    ['glibc', glibc],
    ['getent hosts', byFamily],
  ])('%s: denied expansions before one that is found are passed over', (_, resolver) => {
    const world: World = {
      habits: LIST,
      policy: { 'api.prod.internal': 'allowed' },
      zone: { 'api.prod.internal': ['A'] },
    };
    expect(run(resolver, 'api', world)).toMatchObject({
      found: ['api.prod.internal'],
      denied: [],
      failed: [],
    });
  });

  test.each([
    ['glibc', glibc],
    ['getent hosts', byFamily],
  ])('%s: where none is allowed, one denial has them all', (_, resolver) => {
    const { denied, found } = run(resolver, 'api', { habits: LIST, policy: {}, zone: {} });
    expect(found).toEqual([]);
    expect(denied).toEqual([
      {
        asked: 'api',
        names: ['api.corp.internal', 'api.prod.internal', 'api'],
        decidedBy: 'api.corp.internal',
        said: 'api.corp.internal',
      },
    ]);
  });

  test.each([
    ['glibc', glibc],
    ['getent hosts', byFamily],
  ])('%s: what the command line names is what the denial is of, from the first name on', (_, resolver) => {
    const desk = new Desk({ habits: LIST, policy: {}, zone: {} }, 'curl -4 api');
    expect(desk.ask(1, 'api.corp.internal', 'AAAA')).toBe('absent');
    desk.end();
    expect(desk.denied).toMatchObject([{ asked: 'api', said: 'api.corp.internal' }]);
    const { denied } = run(resolver, 'api', { habits: LIST, policy: {}, zone: {} }, 'curl -4 api');
    expect(denied).toMatchObject([{ asked: 'api', names: { length: 3 }, said: 'api.corp.internal' }]);
  });

  test('a rule about expansions of a name asked for as it is first is not the reason', () => {
    const world: World = { habits: LIST, policy: { 'evil.com.corp.internal': 'ruled out' }, zone: {} };
    expect(run(glibc, 'evil.com', world).denied).toMatchObject([{ decidedBy: 'evil.com', said: 'evil.com' }]);
  });

  test('an expansion that is allowed and does not exist saves nothing, and is in the denial', () => {
    const world: World = { habits: LIST, policy: { 'evil.com.corp.internal': 'allowed' }, zone: {} };
    expect(run(glibc, 'evil.com', world).denied).toEqual([
      {
        asked: 'evil.com',
        names: ['evil.com', 'evil.com.corp.internal', 'evil.com.prod.internal'],
        decidedBy: 'evil.com',
        said: 'evil.com',
      },
    ]);
  });

  test('a rule that denies the very name asked for is told, though an expansion of it is found', () => {
    const world: World = {
      habits: LIST,
      policy: { 'github.com': 'ruled out', 'github.com.corp.internal': 'allowed' },
      zone: { 'github.com.corp.internal': ['A'] },
    };
    expect(run(glibc, 'github.com', world)).toMatchObject({
      denied: [{ decidedBy: 'github.com', said: 'github.com' }],
      found: ['github.com.corp.internal'],
    });
  });

  test.each(['', 'curl github.com'])(
    'with many ndots a rule about the last name is the reason (%s)',
    (argv) => {
      const world: World = { habits: { ...LIST, ndots: 5 }, policy: { 'github.com': 'ruled out' }, zone: {} };
      expect(run(glibc, 'github.com', world, argv).denied).toEqual([
        {
          asked: 'github.com',
          names: ['github.com.corp.internal', 'github.com.prod.internal', 'github.com'],
          decidedBy: 'github.com',
          said: 'github.com',
        },
      ]);
    },
  );

  test('a rule about an expansion is the reason before the default of the name itself', () => {
    const world: World = { habits: LIST, policy: { 'api.prod.internal': 'ruled out' }, zone: {} };
    expect(run(glibc, 'api', world).denied).toMatchObject([{ decidedBy: 'api.prod.internal' }]);
  });

  test('once it is told there is nothing to hope for', () => {
    const desk = new Desk({ habits: LIST, policy: { 'github.com': 'ruled out' }, zone: {} });
    desk.ask(1, 'github.com', 'A');
    const attempt = desk.question(1, 'github.com.corp.internal', 'A');
    const allowed = () => ({ denied: false, byRule: true });
    const outlook = desk.attempts.outlook(attempt, 'github.com.corp.internal', allowed, () => false);
    expect(outlook).toEqual({ provisional: false, later: [] });
  });

  test('a name allowed that leads nowhere is one record', () => {
    const world: World = {
      habits: LIST,
      policy: {
        'github.com': 'allowed',
        'github.com.corp.internal': 'allowed',
        'github.com.prod.internal': 'allowed',
      },
      zone: {},
    };
    expect(run(glibc, 'github.com', world)).toMatchObject({
      failed: [['github.com', 'github.com.corp.internal', 'github.com.prod.internal']],
      denied: [],
      found: [],
    });
  });
});

describe('attempts are kept apart', () => {
  const world: World = { habits: LIST, policy: {}, zone: {} };
  test('by process', () => {
    const desk = new Desk(world);
    desk.ask(1, 'api.corp.internal', 'A');
    desk.ask(2, 'api.prod.internal', 'A');
    desk.end();
    expect(desk.denied).toHaveLength(2);
  });

  test('by name, also when their questions come mixed', () => {
    const desk = new Desk(world);
    for (const name of ['a.corp.internal', 'b.corp.internal', 'a.prod.internal', 'b.prod.internal', 'a', 'b'])
      desk.ask(1, name, 'A');
    desk.end();
    expect(desk.denied.map(({ names }) => names)).toEqual([
      ['a.corp.internal', 'a.prod.internal', 'a'],
      ['b.corp.internal', 'b.prod.internal', 'b'],
    ]);
  });

  test('by time', () => {
    const desk = new Desk(world);
    desk.ask(1, 'api.corp.internal', 'A');
    desk.now += WINDOW_MS + 1;
    expect(desk.attempts.due(desk.now)).toHaveLength(1);
    desk.ask(1, 'api.prod.internal', 'A');
    expect(desk.attempts.size).toBe(1);
  });

  test('a loop asks anew each time', () => {
    const desk = new Desk(world);
    for (let i = 0; i < 5; i++) glibc('github.com', desk);
    desk.end();
    expect(desk.denied).toHaveLength(5);
  });

  test('the next server is asked the same in the same attempt, as often as the resolver does', () => {
    const attempts = new Attempts<null>(WINDOW_MS);
    const opened = new Set<Attempt<null>>();
    for (let i = 0; i < 6; i++) {
      const attempt = attempts.question(1, { name: 'github.com', type: 'A', id: i }, i);
      attempts.read(attempt, () => LIST);
      const say = { denied: true, byRule: true };
      const answer = { name: 'github.com', type: 'A', aliases: [], say, provisional: false, lookup: null };
      attempts.answered(attempt, { ...answer, outcome: 'failed' }, i);
      opened.add(attempt);
    }
    expect(opened.size).toBe(2);
  });

  test('the same asked of all servers at once is one question', () => {
    const attempts = new Attempts<null>(WINDOW_MS);
    const question = { name: 'api.corp.internal', type: 'A', id: 7 };
    const first = attempts.question(1, question, 10);
    attempts.read(first, () => LIST);
    const say = { denied: true, byRule: false };
    const answer = {
      ...question,
      aliases: [],
      say,
      provisional: true,
      lookup: null,
      outcome: 'absent',
    } as const;
    for (let now = 11; now < 14; now++) {
      attempts.answered(first, answer, now);
      expect(attempts.question(1, question, now)).toBe(first);
    }
    attempts.answered(first, answer, 14);
    expect(attempts.question(1, { ...question, name: 'api.prod.internal' }, 15)).toBe(first);
    expect(attempts.question(1, { ...question, id: 8 }, 16)).not.toBe(first);
  });

  test('a flood holds no more than so many', () => {
    const attempts = new Attempts<null>(WINDOW_MS);
    let closed = 0;
    for (let i = 0; i < 10_000; i++) {
      attempts.question(1, { name: `n${i}.example`, type: 'A', id: i }, 0);
      closed += attempts.due(0).length;
    }
    expect(attempts.size).toBeLessThan(5000);
    expect(closed + attempts.size).toBe(10_000);
    attempts.end(null);
    expect(attempts.find(1, 'n9999.example', 'A')).toBeNull();
  });
});

describe('the short name behind a name that was found', () => {
  const ask = (names: readonly string[], argv: string): readonly string[] => {
    const attempts = new Attempts<null>(WINDOW_MS);
    const last = names.at(-1) ?? '';
    let attempt = attempts.question(1, { name: names[0] ?? '', type: 'A', id: 0 }, 0);
    for (const name of names) {
      attempt = attempts.question(1, { name, type: 'A', id: 0 }, 0);
      attempts.read(attempt, () => LIST);
    }
    return attempts.shortNames(attempt, last, (name) => argv.split(' ').includes(name));
  };
  test.each([
    ['is known by what was asked before', ['api.corp.internal', 'api.prod.internal'], '', ['api']],
    ['is that of the command line', ['api.corp.internal'], 'curl api', ['api']],
    [
      'is none where the command line has the whole name',
      ['api.corp.internal'],
      'curl api.corp.internal',
      [],
    ],
    ['may be there where nothing tells', ['api.corp.internal'], '', ['api']],
    ['is none for a name below no search domain', ['github.com'], '', []],
  ])('%s', (_, names, argv, short) => expect(ask(names, argv)).toEqual(short));
});

describe('whatever the list, the policy and the zone', () => {
  const label = fc.constantFrom('a', 'b', 'c');
  const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'));
  const scene = fc.record({
    asked: name,
    search: fc.uniqueArray(
      name.map((domain) => `${domain}.x`),
      { maxLength: 3 },
    ),
    ndots: fc.integer({ min: 0, max: 3 }),
    seed: fc.integer(),
    named: fc.boolean(),
  });
  /** A word for each name, the same each time. */
  const pick = <T>(choices: readonly T[], text: string, seed: number): T => {
    let hash = seed;
    for (const character of text) hash = Math.imul(hash ^ character.charCodeAt(0), 0x9e3779b1);
    return choices[(hash >>> 16) % choices.length] as T;
  };

  test.each([
    ['glibc', glibc],
    ['getent hosts', byFamily],
    ['a plain query', plain],
  ] as const)('%s is told of once, for what it came to, and in time', (kind, resolver) => {
    fc.assert(
      fc.property(scene, ({ asked, search, ndots, seed, named }) => {
        const habits: Habits = { search, ndots, tries: 4 };
        const all = searched(asked, habits);
        const policy: Record<string, 'allowed' | 'ruled out'> = {};
        const zone: Record<string, string[]> = {};
        for (const each of all) {
          const word = pick(['allowed', 'ruled out', null] as const, each, seed);
          if (word) policy[each] = word;
          const types = pick([['A', 'AAAA'], ['A'], ['AAAA'], null], each, seed + 1);
          if (types) zone[each] = types;
        }
        const desk = run(resolver, asked, { habits, policy, zone }, named ? `curl ${asked}` : '');
        const wire = kind === 'a plain query' ? [asked] : all;
        const leading = (...types: string[]) =>
          wire.find((each) => policy[each] === 'allowed' && zone[each]?.some((type) => types.includes(type)));
        const hit = {
          glibc: () => leading('A', 'AAAA'),
          'getent hosts': () => leading('AAAA') ?? leading('A'),
          'a plain query': () => leading('A'),
        }[kind]();
        const before = hit === undefined ? wire : wire.slice(0, wire.indexOf(hit));
        const ruledOut = wire[0] === asked && policy[asked] === 'ruled out';
        const anyDenied = before.some((each) => policy[each] !== 'allowed');
        expect(desk.found).toEqual(hit === undefined ? [] : [hit]);
        const missed = hit === undefined ? 1 : 0;
        expect(desk.denied.length + desk.failed.length).toBe(missed || ruledOut ? 1 : 0);
        // Where the name itself is allowed, its denied expansions are no denial; unless nothing tells that it is one.
        const allowed = policy[asked] === 'allowed';
        const unclear = allowed && !named && wire[0] !== asked;
        if (!unclear) expect(desk.denied.length).toBe((missed && anyDenied && !allowed) || ruledOut ? 1 : 0);
        const [denial] = desk.denied;
        if (!denial) return;
        if (hit === undefined) expect(denial.names).toEqual(wire);
        // Told late: only where nobody goes on, though the search list had a name in store that would have told more.
        if (kind !== 'a plain query') expect(denial.said).toBe(denial.decidedBy);
      }),
      { numRuns: 2000 },
    );
  });
});
