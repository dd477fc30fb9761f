import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CgroupWatch } from '../../src/guard/cgroup-watch.ts';
import { UnitObserver } from '../../src/guard/unit-observer.ts';
import { createCgroup, ownCgroup, removeCgroup } from '../../src/kernel/cgroup.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { until } from '../cli/harness.ts';
import { sampleEvent } from '../daemon/sample.ts';

/** A cgroup that stands for the root of the tree. */
let root: string;
let told: string[];
let observer: UnitObserver;
let made = 0;

beforeEach(() => {
  root = createCgroup(ownCgroup(), `acyclic-units-${process.pid}-${made++}`).path;
  make('/system.slice/mysql.service', '/system.slice/old.service');
  told = [];
  observer = new UnitObserver({
    root,
    onUnit: ({ unit, run, evidence }) => told.push(`${unit} by ${run}: ${evidence}`),
    onGone: ({ place }) => told.push(`gone ${place}`),
  });
});
afterEach(async () => {
  observer.close();
  await until(() => removeCgroup(root), `${root} to be removed`);
});

const make = (...places: string[]) => {
  for (const place of places) mkdirSync(join(root, place), { recursive: true });
};
/** Makes one, and waits until whoever watches has been told. */
async function noticed(place: string): Promise<void> {
  const seen = new Set<string>();
  const watch = new CgroupWatch({
    root,
    enters: (at) => at === '/' || at.endsWith('.slice'),
    onMade: (cgroup) => seen.add(cgroup.place),
    onGone: () => {},
  });
  make(place);
  await until(() => seen.has(place), `${place} to be noticed`);
  await new Promise((resolve) => setImmediate(resolve));
  watch.close();
}

const remove = (place: string) => rmdirSync(join(root, place));

/** A run's process with these arguments connects to this socket now. */
function asks(
  run: string,
  argv: readonly string[],
  more: Partial<AuditEvent> = {},
  path = '/run/systemd/private',
): void {
  const { event } = sampleEvent('');
  const image = { pid: 7, start: null, uid: 0, comm: argv[0] ?? '', exe: null, argv };
  observer.take({
    ...{ ...event, run, kind: 'exec-outside', verdict: 'would-deny', time: new Date().toISOString() },
    destination: { address: null, port: null, protocol: 'unix', names: [path], service: null },
    process: { ...image, ancestry: [] },
    ...more,
  });
}

const tells = (...expected: string[]) =>
  until(() => told.length >= expected.length, expected.join(', ')).then(() => {
    expect(told).toEqual(expected);
    told.length = 0;
  });

describe('a unit is set going by', () => {
  test('the run that named it, and again when it begins again', async () => {
    asks('A', ['systemctl', 'restart', 'mysql']);
    asks('B', ['systemctl', 'daemon-reload']);
    remove('/system.slice/mysql.service');
    make('/system.slice/mysql.service');
    await tells('mysql.service by A: named');
    remove('/system.slice/mysql.service');
    await tells('gone /system.slice/mysql.service');
    make('/system.slice/mysql.service');
    await tells('mysql.service by A: named');
  });

  test('the latest run that asked, where none named it', async () => {
    asks('A', ['systemd-run', 'true'], {}, '/run/dbus/system_bus_socket');
    make('/system.slice/run-u7.service');
    await tells('run-u7.service by A: after');
  });

  test('a run whose call was read after it had begun', async () => {
    const time = new Date().toISOString();
    make('/system.slice/late.service');
    await until(() => {
      asks('B', ['true'], { time, verdict: 'deny' });
      asks('A', ['systemctl', 'start', 'late.service'], { time });
      return told.length > 0;
    }, 'the unit to be told');
    expect(told).toEqual(['late.service by A: named']);
  });
});

describe('nobody has set going', () => {
  test('a unit that was there, a slice, or what is in a service or of a user', async () => {
    asks('A', ['systemctl', 'start', 'x']);
    make(
      '/system.slice/mysql.service/inner.service',
      '/deploy.slice',
      '/user.slice/user-1.slice/user@1.service/app.slice/y.service',
      '/deploy.slice/x.service',
    );
    await until(() => told.length >= 2, 'both to be told');
    expect(told.sort()).toEqual(['user@1.service by A: after', 'x.service by A: named']);
  });

  test.each<[string, Partial<AuditEvent>, string]>([
    ['who asked another', {}, '/run/docker.sock'],
    ['who was denied', { verdict: 'deny' }, '/run/systemd/private'],
    ['who asked long ago', { time: new Date(Date.now() - 60_000).toISOString() }, '/run/systemd/private'],
    ['who asked after', { time: new Date(Date.now() + 60_000).toISOString() }, '/run/systemd/private'],
  ])('%s', async (_, more, path) => {
    asks('A', ['systemctl', 'start', 'x'], more, path);
    await noticed('/system.slice/x.service');
    asks('B', ['true']);
    make('/system.slice/y.service');
    await tells('y.service by B: after');
  });
});

test('what a run set going is observed until it ends', async () => {
  asks('A', ['systemctl', 'start', 'x']);
  make('/system.slice/x.service', '/system.slice/z.service');
  await tells('x.service by A: named', 'z.service by A: after');
  expect(observer.ended('A').map(({ place }) => place)).toEqual([
    '/system.slice/x.service',
    '/system.slice/z.service',
  ]);
  expect(observer.observed).toEqual([]);
  remove('/system.slice/x.service');
  make('/system.slice/x.service');
  asks('B', ['true']);
  make('/system.slice/y.service');
  await until(() => told.some((line) => line.startsWith('y.service')), 'y to be told');
  expect(told.filter((line) => line.includes('by A'))).toEqual([]);
});
