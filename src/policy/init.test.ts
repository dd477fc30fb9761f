import { describe, expect, test } from 'vitest';
import { compile } from './compile.ts';
import { evaluate } from './evaluate.ts';
import {
  type HostFact,
  type HostFile,
  readAptConf,
  readAptList,
  readAptStanzas,
  readJournalUpload,
  readNtp,
  readResolvers,
  readRsyslog,
  readSyslogNg,
  readTimesyncd,
  readTimesyncdDefaults,
} from './host-facts.ts';
import { firstPolicy } from './init.ts';
import { parsePolicy } from './parse.ts';
import { formatProblem } from './problem.ts';

/** `host ports line` of each fact. */
function found(read: (file: HostFile) => HostFact[], text: string): string[] {
  return read({ path: 'f', text }).map(({ host, ports, source }) => `${host} ${ports} ${source.slice(2)}`);
}

describe('what a host is set up to call', () => {
  test.each<[string, (file: HostFile) => HostFact[], string, string[]]>([
    [
      'resolvers',
      readResolvers,
      '# dhcp\nsearch x.y\nnameserver 10.0.0.2\nnameserver 2001:DB8::0:53 \n',
      ['10.0.0.2 53 3', '2001:db8::53 53 4'],
    ],
    [
      'no resolver on loopback, nor with a zone',
      readResolvers,
      'nameserver 127.0.0.53\nnameserver fe80::1%eth0\n#nameserver 1.2.3.4',
      [],
    ],
    [
      'apt, one line each',
      readAptList,
      '# deb http://no.example x\ndeb http://deb.debian.example/debian trixie main\ndeb-src [arch=amd64 signed-by=/k.gpg] https://apt.internal:8443/x ./\ndeb cdrom:[Debian]/ x\ndeb file:/srv x\ndeb mirror+https://m.example/list x\n',
      ['deb.debian.example 80/tcp 2', 'apt.internal 8443/tcp 3', 'm.example 443/tcp 6'],
    ],
    [
      'apt, in stanzas',
      readAptStanzas,
      '# c\nTypes: deb\nURIs: http://a.example/debian\n https://b.example/\nSuites: x\n\nTypes: deb\nEnabled: no\nURIs: http://off.example\n\nURIs: http://c.example',
      ['a.example 80/tcp 3', 'b.example 443/tcp 4', 'c.example 80/tcp 11'],
    ],
    [
      'a proxy of apt',
      readAptConf,
      '// x\nAcquire::http::Proxy "http://proxy.internal:3128/";\nAcquire::https::Proxy "DIRECT";\n',
      ['proxy.internal 3128/tcp 2'],
    ],
    [
      'timesyncd',
      readTimesyncd,
      '[Time]\nNTP=ntp.internal 10.0.0.9\n#FallbackNTP=0.pool.example\n',
      ['ntp.internal 123/udp 2', '10.0.0.9 123/udp 2'],
    ],
    [
      'timesyncd as it is shipped',
      readTimesyncdDefaults,
      '[Time]\n#NTP=\n#FallbackNTP=0.debian.pool.ntp.org 1.debian.pool.ntp.org\n',
      ['0.debian.pool.ntp.org 123/udp 3', '1.debian.pool.ntp.org 123/udp 3'],
    ],
    [
      'chrony and ntp',
      readNtp,
      'pool 2.debian.pool.ntp.org iburst\nserver ntp.example nts\nserver -4 10.0.0.9 port 1123\npeer 127.127.1.0\nserver 127.0.0.1\ndriftfile /x\n',
      ['2.debian.pool.ntp.org 123/udp 1', 'ntp.example 123/udp,4460/tcp 2', '10.0.0.9 1123/udp 3'],
    ],
    [
      'rsyslog',
      readRsyslog,
      '*.* @logs.internal\nauth.* @@(o)10.0.0.8:6514\n#*.* @@no.example\n*.* @@[2001:db8::8]:514\n*.* action(type="omfwd" target="fwd.internal" port="1514" protocol="tcp")\nmodule(load="imuxsock")\n*.* /var/log/x@y\n',
      ['logs.internal 514/udp 1', '10.0.0.8 6514/tcp 2', '2001:db8::8 514/tcp 4', 'fwd.internal 1514/tcp 5'],
    ],
    [
      'syslog-ng',
      readSyslogNg,
      'destination d { network("l.internal" port(6514) transport("tls")); };\ndestination e { udp("u.internal"); };\nsource s { system(); };\n# tcp("no.example")\n',
      ['l.internal 6514/tcp 1', 'u.internal 514/udp 2'],
    ],
    [
      'journal-upload',
      readJournalUpload,
      '[Upload]\n# URL=x\nURL=https://j.internal\n',
      ['j.internal 19532/tcp 3'],
    ],
  ])('%s', (_, read, text, expected) => expect(found(read, text)).toEqual(expected));
});

const facts: HostFact[] = [
  { use: 'resolvers', host: '10.0.0.2', ports: ['53'], source: '/etc/resolv.conf:1' },
  { use: 'packages', host: 'apt.internal', ports: ['80/tcp'], source: '/etc/apt/sources.list:1' },
  { use: 'packages', host: 'apt.internal', ports: ['443/tcp'], source: '/etc/apt/sources.list:2' },
  { use: 'time', host: '2001:db8::9', ports: ['123/udp'], source: '/etc/chrony/chrony.conf:3' },
];
const first = {
  host: 'db-1',
  deployment: 'deploy',
  day: '2026-11-25',
  facts,
  cloud: '/run/cloud-init',
  localResolver: null,
};

test('a first policy says of each thing where it was found', () => {
  expect(
    firstPolicy(first),
  ).toBe(`# A first policy for db-1, written by \`acyclic policy init\` on 2026-11-25 from its own settings.
# Call the deployment what it deploys, and make what depends on that services of their own.
version: 1

services:
  # What is deployed: give it its hosts.
  deploy: {}
  # Who answers lookups.
  resolvers:
    addresses:
      - 10.0.0.2 # /etc/resolv.conf:1
    ports: [53]
  # Where packages come from.
  packages:
    hosts:
      - apt.internal # /etc/apt/sources.list:1, /etc/apt/sources.list:2
    ports: [80/tcp, 443/tcp]
  # Time servers.
  time:
    addresses:
      - "2001:db8::9" # /etc/chrony/chrony.conf:3
    ports: [123/udp]
  # What a cloud tells its machines of themselves: /run/cloud-init.
  cloud-metadata: { addresses: [169.254.169.254], ports: [80/tcp] }

deployments:
  deploy:
    mode: audit # records what would be denied; to enforce it when \`acyclic policy ready\` says so
    default: deny
    dns: { service: resolvers }
    allow:
      - service: packages
      - service: time
      - service: cloud-metadata
`);
});

test.each([
  ['all there is', first],
  ['nothing at all', { ...first, facts: [], cloud: null }],
  [
    'odd names',
    { ...first, host: 'h\n  x: y', deployment: 'true', localResolver: '/etc/r\u2028:1', facts: [] },
  ],
])('a first policy from %s loads without a mistake', (_, given) => {
  const { policy, problems } = parsePolicy([{ path: 'p', text: firstPolicy(given) }]);
  expect(problems.map(formatProblem)).toEqual([]);
  const none = { deployment: null, allow: [], deny: [], default: null, mode: null, ownAddresses: [] };
  const compiled = compile(policy, { ...none, now: new Date(0) });
  const answer = (names: string[], port: number) =>
    evaluate(compiled, { address: '198.18.0.1', names, port, protocol: 'tcp' }).answer;
  expect(answer(['apt.internal'], 443)).toBe(given.facts.length > 0 ? 'allow' : 'deny');
  expect(answer(['other.example'], 443)).toBe('deny');
});
