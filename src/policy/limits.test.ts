import { expect, test } from 'vitest';
import { NO_LIMITS } from '../model/limits.ts';
import { limitsOfRun, readCpu, readMemory, readTasks, writtenLimits } from './limits.ts';
import { parsePolicy } from './parse.ts';

test.each([
  ['2GiB', 2 ** 31],
  ['2G', 2 ** 31],
  ['1.5GiB', 1536 * 2 ** 20],
  ['1M', 2 ** 20],
  ['3TiB', 3 * 2 ** 40],
  [2_147_483_648, 2 ** 31],
  ['1099511627776', 2 ** 40],
])('memory %j is %d bytes', (text, bytes) => expect(readMemory(text)).toBe(bytes));

test.each([
  [2048, '2048MiB'],
  ['0', null],
  ['1023KiB', null],
  ['2GB', '2GiB'],
  ['2gib', null],
  ['-1', null],
  ['1e9', null],
  ['9999999T', null],
  ['', null],
])('memory %j is a mistake, and %j may be meant', (text, suggestion) =>
  expect(readMemory(text)).toMatchObject({ code: 'bad-value', suggestion }),
);

test.each([
  ['200%', 200],
  ['1%', 1],
])('cpu %j is %d', (text, hundredths) => expect(readCpu(text)).toBe(hundredths));

test.each([
  ['0%', null],
  [1.5, null],
  ['-50%', null],
  [200, '200%'],
])('cpu %j is a mistake, and %j may be meant', (text, suggestion) =>
  expect(readCpu(text)).toMatchObject({ code: 'bad-value', suggestion }),
);

test('tasks are a whole number that pids.max takes', () => {
  expect([readTasks('1'), readTasks(4_194_304)]).toEqual([1, 4_194_304]);
  for (const wrong of [0, -1, 1.5, 4_194_305, '0x10', ' 5', ''])
    expect(readTasks(wrong)).toMatchObject({ code: 'bad-value' });
});

test('what is read is written the same, in the largest unit that has it in full', () => {
  for (const [cpu, memory, tasks] of [
    ['200%', '2GiB', '512'],
    ['1%', '1536MiB', '1'],
    ['50%', '1048577', '4194304'],
  ] as const) {
    const limits = { cpu: readCpu(cpu), memory: readMemory(memory), tasks: readTasks(tasks) };
    expect(writtenLimits(limits as typeof NO_LIMITS)).toEqual({ cpu, memory, tasks });
  }
  expect(writtenLimits(NO_LIMITS)).toEqual({ cpu: null, memory: null, tasks: null });
});

test('an option takes the place of its own limit alone, be it lower or higher', () => {
  const policy = { cpu: 200, memory: 2 ** 31, tasks: null };
  expect(limitsOfRun(policy, NO_LIMITS)).toEqual(policy);
  expect(limitsOfRun(policy, { cpu: 400, memory: null, tasks: 5 })).toEqual({
    cpu: 400,
    memory: 2 ** 31,
    tasks: 5,
  });
});

test('a deployment has the limits of its policy', () => {
  const text = `version: 1
services: { s: { hosts: [s.c] } }
deployments: { s: { limits: { cpu: 200%, memory: 2GiB, tasks: 512 } } }`;
  const { policy } = parsePolicy([{ path: 'a', text }]);
  expect(policy?.deployments.get('s')?.limits).toEqual({ cpu: 200, memory: 2 ** 31, tasks: 512 });
});
