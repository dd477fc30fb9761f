import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { holdCommand } from '../../src/guard/command.ts';

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
