import { expect, test } from 'vitest';
import { DELEGATES } from '../model/delegate.ts';
import { delegateAt, namedDelegateAt, socketsOf, spellings } from './delegates.ts';

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
  ['/home/alice/.docker/run/docker.sock', 'docker'],
  ['/run/user/1000/podman/podman.sock', 'podman'],
  ['/run/k3s/containerd/containerd.sock', 'containerd'],
  ['/run/ssh-unix-local/socket', 'sshd'],
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

test('those that policy speaks of are known by each of their sockets, but for those without one of a fixed name', () => {
  const names = Object.keys(DELEGATES);
  const without = names.filter((name) => socketsOf(name).length === 0);
  expect(without).toEqual(['cron', 'ssh-master', 'ssh-agent']);
  for (const name of names) for (const path of socketsOf(name)) expect(namedDelegateAt(path)).toBe(name);
  expect(namedDelegateAt('/run/nscd/socket')).toBeNull();
});

test.each([
  ['/run/docker.sock', ['/run/docker.sock', '/var/run/docker.sock']],
  ['/var/run/docker.sock', ['/run/docker.sock', '/var/run/docker.sock']],
  ['/srv/docker.sock', ['/srv/docker.sock']],
  ['@/tmp/dbus-x', ['@/tmp/dbus-x']],
])('%s is spelled %j', (path, expected) => expect(spellings(path)).toEqual(expected));
