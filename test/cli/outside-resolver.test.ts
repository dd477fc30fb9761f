import { describe, expect, test } from 'vitest';
import { cache, listener, resolved, withDaemon } from './resolver-daemons.ts';

const RUN = ['run', '-p', 'POLICY', '--', 'touch', 'MARK'];
const RESOLVE = 'hosts: files resolve [!UNAVAIL=return] dns';

describe('enforce does not start where names would be resolved from outside the run', () => {
  test.each([
    [
      'by nss-resolve alone',
      resolved,
      'hosts: files resolve',
      /nss-resolve \(systemd-resolved\) would answer.*take `resolve` out.*`dns` in its place/s,
    ],
    [
      'by sssd, which answers for users too',
      listener('/var/lib/sss/pipes/nss'),
      'hosts: files sss dns',
      /sssd would answer.*take `sss` out/s,
    ],
    [
      'by nslcd, which answers for logins too',
      listener('/run/nslcd/socket'),
      'hosts: files ldap [NOTFOUND=return] dns',
      /nslcd would answer/,
    ],
  ])('%s', (_, daemon, hosts, message) => {
    const { status, stderr, started } = withDaemon(daemon, hosts, RUN);
    expect(stderr).toMatch(message);
    expect({ status, started }).toEqual({ status: 125, started: false });
  });
});

describe('it starts where', () => {
  test.each([
    ['nsswitch.conf names nss-resolve and nobody is there', 'true', RESOLVE],
    ['systemd-resolved is there and nsswitch.conf asks its stub', resolved, 'hosts: files dns'],
    ['nscd keeps no hosts', cache('no'), 'hosts: files dns'],
    ['a socket was left behind', `${listener('/run/nscd/socket', '')}wait`, 'hosts: files dns'],
    [
      'avahi answers for .local alone',
      listener('/run/avahi-daemon/socket'),
      'hosts: files mdns4_minimal [NOTFOUND=return] dns',
    ],
    ['modules resolve in the process itself', 'true', 'hosts: files myhostname dns'],
  ])('%s', (_, daemon, hosts) => {
    const { status, started, stderr } = withDaemon(daemon, hosts, RUN);
    expect({ status, started }, stderr).toEqual({ status: 0, started: true });
  });

  test('it only observes', () => {
    const { status, started } = withDaemon(resolved, RESOLVE, ['run', '--audit', ...RUN.slice(1)]);
    expect({ status, started }).toEqual({ status: 0, started: true });
  });
});

describe('doctor says', () => {
  test.each([
    [
      'that enforce will not start',
      resolved,
      'hosts: files resolve',
      /missing +lookups +nss-resolve .* so enforce will not start\n.*→ take `resolve` out/,
    ],
    [
      'that it will close a socket to the run',
      resolved,
      RESOLVE,
      /ok +UNIX sockets +those of resolvers.*can be closed.*ok +lookups +nss-resolve .* enforce closes its socket/s,
    ],
    [
      'what is known by address only',
      listener('/run/avahi-daemon/socket'),
      'hosts: files mdns4_minimal dns',
      /optional +lookups +avahi.*known by address only/,
    ],
    ['that all is well', 'true', RESOLVE, /ok +lookups +names are asked by the process that needs them/],
  ])('%s', (_, daemon, hosts, message) => {
    expect(withDaemon(daemon, hosts, ['doctor']).stdout).toMatch(message);
  });
});
