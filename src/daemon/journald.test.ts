import { expect, test } from 'vitest';
import { sampleEvent } from '../../test/audit/sample-events.ts';
import { DenialLog, journalEntry } from './journald.ts';

const denied = sampleEvent(3);
const UNIT = '/sys/fs/cgroup/system.slice/db.service/workers';

const fieldsOf = (entry: string) =>
  Object.fromEntries(
    entry
      .split('\n')
      .slice(0, -1)
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );

test('a denial is an entry of the journal, with who, where and why, and of the unit it is in', () => {
  expect(fieldsOf(journalEntry(denied, UNIT))).toEqual({
    MESSAGE: 'denied curl[5003] → h3.github.com:443/tcp (circular, acyclic.yaml:14)',
    PRIORITY: '4',
    SYSLOG_IDENTIFIER: 'acyclic',
    OBJECT_SYSTEMD_UNIT: 'db.service',
    ACYCLIC_EVENT: denied.id,
    ACYCLIC_RUN: denied.run,
    ACYCLIC_DEPLOYMENT: 'mysql',
    ACYCLIC_DESTINATION: 'h3.github.com:443/tcp',
    ACYCLIC_ADDRESS: '192.0.2.3',
    ACYCLIC_SERVICE: 'github',
    ACYCLIC_RULE: 'circular',
    ACYCLIC_SOURCE: 'acyclic.yaml:14',
    ACYCLIC_PID: '5003',
    ACYCLIC_COMM: 'curl',
  });
});

test('no value begins another field, and none is too long for one datagram', () => {
  const { process } = denied;
  const comm = 'a\nOBJECT_SYSTEMD_UNIT=sshd.service\n';
  const names = ['x'.repeat(5000)];
  const destination = denied.destination && { ...denied.destination, names };
  const entry = journalEntry(
    { ...denied, process: process && { ...process, comm }, destination },
    '/sys/fs/cgroup/_cpu.service',
  );
  expect(fieldsOf(entry)).toMatchObject({
    OBJECT_SYSTEMD_UNIT: 'cpu.service',
    ACYCLIC_COMM: 'a OBJECT_SYSTEMD_UNIT=sshd.service ',
  });
  expect(Buffer.byteLength(entry)).toBeLessThan(4096);
  expect(fieldsOf(journalEntry(denied, '/sys/fs/cgroup/plain'))).not.toHaveProperty('OBJECT_SYSTEMD_UNIT');
});

test.each([['/nonexistent/socket'], [null]])('where no journal takes it it is in the log: %s', (socket) => {
  const said: object[] = [];
  const warn = (what: object, message: string) => said.push({ ...what, message });
  const none = () => {};
  new DenialLog({ warn, debug: none, info: none, error: none, close: async () => {} }, socket).tell(
    denied,
    UNIT,
  );
  const where = { destination: 'h3.github.com:443/tcp', address: '192.0.2.3', pid: 5003, comm: 'curl' };
  expect(said).toEqual([
    {
      ...{ event: denied.id, run: denied.run, deployment: 'mysql', ...where },
      ...{ rule: 'circular', source: 'acyclic.yaml:14', message: 'denied' },
    },
  ]);
});
