import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { holdCommand } from '../../src/guard/command.ts';
import { openPlace, type Place } from '../cli/harness.ts';
import { onTerminal } from '../cli/terminal.ts';

const state = (pid: number) => / \((?:.*)\) (.)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];

test('an end that is read at the signal of another child is not read again at its own', async () => {
  const { pid, ended } = holdCommand({
    ...{ name: 'sh', argv: ['sh', '-c', 'exit 7'], env: [`PATH=${process.env.PATH}`] },
    ...{ ignoredSignals: 0n, nofileSoft: -1, fds: [0, 1, 2] },
  }).release(null, null);
  // Nothing of the loop runs until it has ended: whoever sends the next SIGCHLD is first.
  while (state(pid) !== 'Z');
  process.emit('SIGCHLD', 'SIGCHLD');
  expect(await ended).toEqual({ status: 7, timedOut: false });
  // A fault in the watch of the pidfd would be an uncaught error, which fails the run of the test.
  await sleep(50);
});

describe('a Ctrl-C of the terminal while the command is handed over', () => {
  const program = fileURLToPath(new URL('fixtures/hand-over-program.ts', import.meta.url));
  let place: Place;
  beforeAll(() => {
    place = openPlace();
  });
  afterAll(() => place.close());
  const interrupt = (when: string) =>
    onTerminal(place, "read(10, b'ready')\nsend(b'\\x03')\nread(5, b'status')\nread(0.3)", [
      process.execPath,
      program,
      when,
    ]);

  test('ends all where the command has not begun, and it does not begin', () => {
    expect(interrupt('held')).toMatch(/first SIGINT status null/);
  });

  test('is the command’s own where it has, and not passed on besides', () => {
    const seen = interrupt('running');
    expect(seen).toMatch(/hits 1\r\n/);
    expect(seen).toMatch(/first null status 0/);
  });
});
