import { describe, expect, test } from 'vitest';
import { mentions, readHabits } from './asker.ts';

describe('a command line has a name', () => {
  test.each([
    ['api', ['curl', 'http://api/']],
    ['api', ['curl', 'http://api:8080/x']],
    ['api', ['ssh', 'deploy@API']],
    ['api', ['bash', '-c', 'exec 3<>/dev/tcp/api/80']],
    ['api.corp.internal', ['curl', 'https://user:word@api.corp.internal/']],
    ['api.corp.internal', ['dig', 'api.corp.internal.']],
  ])('%s is in %j', (name, argv) => expect(mentions(argv, name)).toBe(true));

  test.each([
    ['api', ['curl', 'http://api.corp.internal/']],
    ['api', ['curl', 'http://my-api/']],
    ['api', ['./apid', '--api_key=1']],
    ['corp.internal', ['curl', 'http://api.corp.internal/']],
    ['a.b', ['curl', 'http://axb/']],
  ])('%s is not in %j', (name, argv) => expect(mentions(argv, name)).toBe(false));
});

test('habits of a process that is gone are those of this one', () => {
  expect(readHabits(2 ** 22 + 1)).toEqual(readHabits(process.pid));
});
