import { expect, test } from 'vitest';
import { delegateAt, socketsOf } from './delegates.ts';

test.each([
  ['/run/nscd/socket', 'nscd'],
  ['/var/run/nscd/socket', 'nscd'],
  ['/run/nscd/socket2', null],
  ['/run/systemd/resolve/io.systemd.Resolve', 'resolved'],
  ['/run/systemd/resolve/io.systemd.Resolve.Monitor', 'resolved'],
  ['/var/lib/sss/pipes/nss', 'sssd'],
  ['/var/lib/sss/pipes/private/pam', 'sssd'],
  ['/var/run/nslcd/socket', 'nslcd'],
  ['/run/systemd/machine/io.systemd.Machine', 'machined'],
  ['/var/run/dbus/system_bus_socket', 'dbus'],
  ['/run/user/1000/bus', 'dbus'],
  ['@/tmp/dbus-x', 'dbus'],
  ['/run/systemd/private', 'systemd'],
  ['/var/run/docker.sock', 'docker'],
  ['/run/mysqld/mysqld.sock', null],
])('behind %s is %s', (path, name) => expect(delegateAt(path)?.name ?? null).toBe(name));

test('where a delegate listens is told by every spelling, and is known by each', () => {
  expect(socketsOf('nscd')).toEqual(['/run/nscd/socket', '/var/run/nscd/socket']);
  expect(socketsOf('sssd')).toEqual(['/var/lib/sss/pipes/nss']);
  for (const name of ['nscd', 'resolved', 'sssd', 'nslcd', 'avahi', 'machined', 'dbus']) {
    expect(socketsOf(name)).not.toEqual([]);
    expect(socketsOf(name).map((path) => delegateAt(path)?.name)).toEqual(socketsOf(name).map(() => name));
  }
});
