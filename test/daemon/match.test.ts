import { expect, test } from 'vitest';
import { acyclic, until } from '../cli/harness.ts';
import { startResident } from '../cli/residents.ts';
import { type Hosted, hostForAll } from './host.ts';

const NAME = `acyclic-test-${process.pid}-matched`;
const MATCHED = `version: 1
services:
  mysql: { addresses: [127.1.0.1] }
  github: { addresses: [127.2.0.0/16], depends_on: [mysql] }
deployments:
  mysql: { mode: enforce, default: allow, match: { cgroups: ["/${NAME}-*"] } }
`;

let hosted: Hosted;
hostForAll((one) => {
  hosted = one;
}, MATCHED);

const required = (place: string) =>
  hosted.place.run(['require', '--socket', hosted.socket, place], '', { ...process.env, LANG: 'C' });

test('a matched cgroup is guarded from its beginning, and again when it is made anew; denials go to the log', async () => {
  for (const time of ['first', 'again']) {
    const resident = await startResident(hosted.place, `${NAME}-unit`);
    expect(required(`/${NAME}-unit`), time).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('mysql'),
    });
    expect(await resident.ask('connect 127.2.0.5'), time).toBe('PermissionError');
    expect(await resident.ask('connect 127.3.0.1'), time).toBe('ok');
    await resident.stop();
  }
  const denied = hosted
    .logged()
    .map((line) => JSON.parse(line))
    .filter(({ message }) => message === 'denied');
  expect(denied).toHaveLength(2);
  expect(denied[0]).toMatchObject({
    ...{ level: 'warn', deployment: 'mysql', comm: 'python3', rule: 'circular' },
    ...{ destination: '127.2.0.5:9/tcp', source: 'acyclic.yaml:4' },
  });
  let left = -1;
  const timer = setInterval(async () => {
    left = (await hosted.status()).attachments.length;
  }, 50);
  await until(() => left === 0, 'what is gone is guarded no more').finally(() => clearInterval(timer));
});

test('what no pattern matches is left alone', async () => {
  const resident = await startResident(hosted.place);
  expect(await resident.ask('connect 127.2.0.5')).toBe('ok');
  expect((await hosted.status()).attachments).toEqual([]);
  await resident.stop();
});

test('without a daemon a unit that must be guarded does not start', async () => {
  await hosted.kill('SIGTERM');
  const { status, stderr } = hosted.place.bare([
    acyclic,
    'require',
    '--socket',
    hosted.socket,
    '--wait',
    '1',
    `/${NAME}-unit`,
  ]);
  expect([status, stderr]).toEqual([255, expect.stringContaining('no daemon answers')]);
  await hosted.start();
});
