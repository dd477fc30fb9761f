import { describe, expect, test } from 'vitest';
import { habitsOf, namesAfter, readingsOf } from './search-list.ts';

const CONF =
  'nameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch corp.internal. Prod.Internal\noptions ndots:2\n';

describe('the habits of a process', () => {
  test('are those of its resolv.conf', () =>
    expect(habitsOf(CONF, {}, 'db-1')).toEqual({
      search: ['corp.internal', 'prod.internal'],
      ndots: 2,
      tries: 4,
    }));

  test('LOCALDOMAIN and RES_OPTIONS stand above it', () => {
    const environment = { LOCALDOMAIN: 'lab.internal x.internal', RES_OPTIONS: 'ndots:5 attempts:1' };
    expect(habitsOf(CONF, environment, 'db-1')).toEqual({
      search: ['lab.internal', 'x.internal'],
      ndots: 5,
      tries: 2,
    });
  });

  test.each([
    ['the domain of the host name, where there is no search list', 'db-1.corp.internal', ['corp.internal']],
    ['nothing, where the host name has no domain', 'db-1', []],
  ])('%s', (_, hostname, search) => expect(habitsOf('', {}, hostname)).toMatchObject({ search, ndots: 1 }));

  test('what is no name is no search domain, and none counts twice', () =>
    expect(habitsOf('search . a..b a.example A.example. \u0001', {}, 'x').search).toEqual(['a.example']));

  test('a line feed in the environment adds no line', () =>
    expect(habitsOf(CONF, { RES_OPTIONS: 'rotate\nsearch evil.example' }, 'x').search).toHaveLength(2));
});

describe('readings of a name', () => {
  const habits = { search: ['corp.internal', 'prod.internal'], ndots: 1, tries: 2 };
  test('with as many dots as ndots it is asked for as it is, then expanded', () =>
    expect(readingsOf('github.com', habits)).toEqual([
      { asked: 'github.com', names: ['github.com', 'github.com.corp.internal', 'github.com.prod.internal'] },
    ]));

  test('below a search domain it may also be an expansion', () =>
    expect(readingsOf('api.corp.internal', habits)).toEqual([
      {
        asked: 'api.corp.internal',
        names: ['api.corp.internal', 'api.corp.internal.corp.internal', 'api.corp.internal.prod.internal'],
      },
      { asked: 'api', names: ['api.corp.internal', 'api.prod.internal', 'api'] },
    ]));

  test('with fewer dots it is itself the last, and nothing is to come', () => {
    const [whole, expansion] = readingsOf('github.com.corp.internal', { ...habits, ndots: 5 });
    expect(namesAfter(whole, 'github.com.corp.internal')).toEqual([]);
    expect(expansion && namesAfter(expansion, 'github.com.corp.internal')).toEqual([
      'github.com.prod.internal',
      'github.com',
    ]);
  });

  test('expansions that are too long are passed over', () => {
    const long = `${'a.'.repeat(122)}example`;
    expect(readingsOf(long, habits)).toEqual([{ asked: long, names: [long] }]);
  });
});
