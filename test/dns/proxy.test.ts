import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import dnsPacket from 'dns-packet';
import { afterEach, expect, test } from 'vitest';
import { startProxy } from '../../src/dns/proxy.ts';
import { openDatagrams } from '../../src/kernel/datagrams.ts';
import { type Bench, type BenchOptions, requester, startBench } from './harness.ts';

const run = promisify(execFile);
const zone = {
  'github.com': ['A 192.0.2.7', 'AAAA 2001:db8:9::7', 'TXT hello'],
  'www.test': ['CNAME edge.test'],
  'edge.test': ['A 192.0.2.8'],
  'web.test': ['HTTPS 1 cdn.test ipv4hint=192.0.2.9'],
  'big.test': Array.from({ length: 60 }, (_, i) => `A 192.0.2.${i}`),
  'a.loop.test': ['CNAME b.loop.test'],
  'b.loop.test': ['CNAME a.loop.test'],
};

let bench: Bench | null = null;
async function start(options: BenchOptions = {}): Promise<Bench> {
  bench = await startBench({ zone, ...options });
  return bench;
}
afterEach(async () => {
  await bench?.close();
  bench = null;
});

test.each([
  ['UDP', []],
  ['TCP', ['+tcp']],
  ['no EDNS', ['+noedns']],
  ['a small buffer', ['+bufsize=512']],
  ['a DO bit', ['+dnssec']],
])('an allowed name is answered over %s, learned and reported before the answer', async (_, args) => {
  const { dig, log, servers, proxy, lookups } = await start();
  const reply = await dig('github.com', 'A', ...args);
  expect(reply).toMatchObject({ status: 'NOERROR', answers: ['192.0.2.7'] });
  expect(log).toEqual(['judge github.com', 'learn 192.0.2.7 30 github.com', 'report github.com A NOERROR']);
  expect(servers[0]?.queries).toHaveLength(1);
  expect(proxy.counters).toMatchObject({ queries: 1, forwarded: 1 });
  expect(lookups[0]).toMatchObject({ server: `127.77.0.1:${servers[0]?.port}`, addresses: ['192.0.2.7'] });
});

test('the case of a question goes up and comes back as sent; policy sees lower case', async () => {
  const { dig, log, servers } = await start();
  const reply = await dig('GiThUb.cOm', 'A');
  expect(reply.text).toContain('GiThUb.cOm.');
  expect(servers[0]?.queries[0]?.name).toBe('GiThUb.cOm');
  expect(log[0]).toBe('judge github.com');
});

test.each([
  ['nxdomain', 'NXDOMAIN', 'UDP', []],
  ['nxdomain', 'NXDOMAIN', 'TCP', ['+tcp']],
  ['refuse', 'REFUSED', 'UDP', []],
] as const)(
  'a denied name gets %s (%s, %s) with EDE 15 and is never forwarded',
  async (onDeny, status, _, args) => {
    const { dig, servers, lookups, log } = await start({ denied: ['github.com'], onDeny });
    const reply = await dig('github.com', 'A', ...args);
    expect(reply.status).toBe(status);
    expect(reply.text).toMatch(/EDE: 15 \(Blocked\): .*denied by test: a/);
    expect(servers[0]?.queries).toEqual([]);
    expect(log).toEqual(['judge github.com', `report github.com A ${status}`]);
    expect(lookups[0]).toMatchObject({ denied: true, server: null, ede: { code: 15 } });
  },
);

test('a denied name without EDNS is answered without an OPT', async () => {
  const { dig } = await start({ denied: ['github.com'] });
  const reply = await dig('github.com', 'A', '+noedns');
  expect(reply.status).toBe('NXDOMAIN');
  expect(reply.text).not.toContain('OPT PSEUDOSECTION');
});

test('a denied name with on_deny resolve is answered, learned and reported as denied', async () => {
  const { dig, lookups, log } = await start({ denied: ['github.com'], onDeny: 'resolve' });
  expect(await dig('github.com', 'A')).toMatchObject({ status: 'NOERROR', answers: ['192.0.2.7'] });
  expect(log).toContain('learn 192.0.2.7 30 github.com');
  expect(lookups[0]).toMatchObject({ denied: true, rcode: 'NOERROR' });
});

test('an answer through a denied alias is denied as a whole and teaches nothing', async () => {
  const { dig, log, lookups } = await start({ denied: ['edge.test'] });
  const reply = await dig('www.test', 'A');
  expect(reply).toMatchObject({ status: 'NXDOMAIN', answers: [] });
  expect(log).toEqual(['judge www.test', 'judge www.test edge.test', 'report www.test A NXDOMAIN']);
  expect(lookups[0]).toMatchObject({ denied: true, aliases: ['edge.test'], addresses: ['192.0.2.8'] });
});

test('the target of an HTTPS record is an alias and its hints are learned', async () => {
  const { dig, log } = await start();
  expect((await dig('web.test', 'TYPE65')).status).toBe('NOERROR');
  expect(log).toContain('judge web.test cdn.test');
  expect(log).toContain('learn 192.0.2.9 30 web.test cdn.test');
  await bench?.close();
  const { dig: again } = await start({ denied: ['cdn.test'] });
  expect((await again('web.test', 'TYPE65')).status).toBe('NXDOMAIN');
});

test('an answer too long for the client is cut over UDP and whole over TCP', async () => {
  const { dig, proxy } = await start();
  const cut = await dig('big.test', 'A', '+noedns', '+ignore');
  expect(cut.text).toMatch(/flags: [^;]*\btc\b/);
  expect(cut.answers).toEqual([]);
  const whole = await dig('big.test', 'A', '+noedns');
  expect(whole.answers).toHaveLength(60);
  expect(proxy.counters.truncated).toBe(2);
});

test('answers that say nothing of addresses pass: no such name, no data, TXT', async () => {
  const { dig, log } = await start();
  expect((await dig('nowhere.test', 'A')).status).toBe('NXDOMAIN');
  expect(await dig('github.com', 'MX')).toMatchObject({ status: 'NOERROR', answers: [] });
  expect((await dig('github.com', 'TXT')).answers).toEqual(['"hello"']);
  expect(log.filter((line) => line.startsWith('learn'))).toEqual([]);
});

test('the root is judged as a name of its own', async () => {
  const { dig, log } = await start({ denied: ['.'] });
  expect((await dig('.', 'NS')).status).toBe('NXDOMAIN');
  expect(log[0]).toBe('judge .');
});

test('a name with a dot inside a label is refused, reported, and neither judged nor forwarded', async () => {
  const { dig, log, servers } = await start();
  const reply = await dig('www\\.github.com', 'A');
  expect(reply.status).toBe('REFUSED');
  expect(reply.text).toContain('EDE: 21');
  expect(log).toEqual(['report www\\.github.com A REFUSED']);
  expect(servers[0]?.queries).toEqual([]);
});

test.each([
  ['CH TXT version.bind', ['CH', 'TXT', 'version.bind'], 'REFUSED'],
  ['AXFR', ['github.com', 'AXFR', '+noall', '+comments'], 'NOTIMP'],
])('%s is refused and never forwarded', async (_, args, status) => {
  const { dig, servers } = await start();
  const reply = await dig(...args);
  expect(reply.text).toMatch(new RegExp(`${status}|Transfer failed`));
  expect(servers[0]?.queries).toEqual([]);
});

test('an alias loop fails with its reason', async () => {
  const { dig } = await start();
  const reply = await dig('a.loop.test', 'A');
  expect(reply.status).toBe('SERVFAIL');
  expect(reply.text).toContain('lead back to');
});

test('addresses that find no room in the kernel fail the lookup', async () => {
  const { dig, proxy } = await start({ hooks: { learn: () => false } });
  expect(await dig('github.com', 'A')).toMatchObject({ status: 'SERVFAIL', answers: [] });
  expect(proxy.counters.unlearned).toBe(1);
});

test('a hook that throws fails its lookup, not the proxy', async () => {
  const fail = (): never => {
    throw new Error('broken hook');
  };
  const { dig, proxy } = await start({ hooks: { judge: fail } });
  const reply = await dig('github.com', 'A');
  expect(reply.status).toBe('SERVFAIL');
  expect(reply.text).toContain('broken hook');
  expect((await dig('github.com', 'A', '+tcp')).status).toBe('SERVFAIL');
  expect(proxy.counters.internal).toBe(2);
});

test('who is nobody gets no answer, over UDP or TCP', async () => {
  const { dig, proxy, servers } = await start({ hooks: { identify: () => null } });
  expect((await dig('github.com', 'A', '+time=1')).status).toBe('none');
  expect((await dig('github.com', 'A', '+tcp')).status).toBe('none');
  expect(proxy.counters.unidentified).toBeGreaterThanOrEqual(2);
  expect(servers[0]?.queries).toEqual([]);
});

test('the peer given to identify is the socket that asks', async () => {
  const peers: unknown[] = [];
  const asker = requester('r');
  const identify = (peer: unknown) => {
    peers.push(peer);
    return asker;
  };
  const { proxy } = await start({ hooks: { identify } });
  const socket = createSocket('udp4');
  socket.bind(0, '127.77.0.5');
  await once(socket, 'listening');
  socket.send(query('github.com'), proxy.port, '127.77.0.2');
  const [, from] = await once(socket, 'message');
  expect(peers).toEqual([{ transport: 'udp', address: '127.77.0.5', port: socket.address().port }]);
  expect(from).toMatchObject({ address: '127.77.0.2', port: proxy.port });
  socket.close();
});

test('pipelined questions on one connection are answered, cut anywhere, also after the client ends', async () => {
  const { proxy } = await start();
  const socket = connect({ host: '127.77.0.2', port: proxy.port, noDelay: true });
  await once(socket, 'connect');
  const received: Buffer[] = [];
  socket.on('data', (chunk) => received.push(chunk));
  const stream = Buffer.concat(
    Array.from({ length: 100 }, (_, id) => dnsPacket.streamEncode(decoded('github.com', id))),
  );
  for (let at = 0; at < stream.length; at += 701) socket.write(stream.subarray(at, at + 701));
  socket.end();
  await once(socket, 'end');
  let held = Buffer.concat(received);
  const ids = new Set<number>();
  while (held.length > 0) {
    const size = held.readUInt16BE(0);
    ids.add(held.readUInt16BE(2));
    held = held.subarray(2 + size);
  }
  expect(ids.size).toBe(100);
});

test('garbage does not stop the proxy, and a response is not answered', async () => {
  const { proxy, dig } = await start();
  const socket = createSocket('udp4');
  const replies: Buffer[] = [];
  socket.on('message', (message) => replies.push(message));
  for (let size = 0; size < 200; size++) socket.send(Buffer.alloc(size, 0x80), proxy.port, '127.77.0.2');
  const tcp = connect(proxy.port, '127.77.0.2');
  tcp.on('error', () => {});
  tcp.write(Buffer.alloc(100, 0xff));
  const began = performance.now();
  await once(tcp, 'close');
  expect(performance.now() - began).toBeLessThan(2000);
  expect((await dig('github.com', 'A')).status).toBe('NOERROR');
  expect(replies).toEqual([]);
  socket.close();
});

test('one run cannot take the connections of all', async () => {
  const { proxy } = await start();
  const sockets = Array.from({ length: 140 }, () => connect(proxy.port, '127.77.0.2'));
  for (const socket of sockets) socket.on('error', () => {});
  await expect.poll(() => proxy.counters.connectionsClosed, { timeout: 5000 }).toBe(12);
  for (const socket of sockets) socket.destroy();
});

test('the port is the same on UDP and TCP and on IPv4 and IPv6', async () => {
  const { proxy, dig } = await start({ addresses: ['::1', '127.77.0.2'] });
  expect(proxy.addresses).toEqual(['::1', '127.77.0.2']);
  expect((await dig('github.com', 'AAAA')).answers).toEqual(['2001:db8:9::7']);
  expect((await dig('github.com', 'AAAA', '+tcp')).answers).toEqual(['2001:db8:9::7']);
});

test('nothing but loopback is bound, and the proxy never asks itself', async () => {
  const hooks = { identify: () => null, judge: () => never(), learn: () => never(), report: () => never() };
  const servers = [{ address: '127.0.0.1', port: 53 }];
  for (const address of ['0.0.0.0', '::', '192.0.2.1', '127.1']) {
    await expect(startProxy({ addresses: [address], servers, hooks, openDatagrams })).rejects.toThrow(
      /loopback/,
    );
  }
  await expect(startProxy({ addresses: ['127.77.0.2'], servers: [], hooks, openDatagrams })).rejects.toThrow(
    /no DNS server/,
  );
  const { proxy } = await start();
  const { port } = proxy;
  await bench?.close();
  bench = null;
  const own = [{ address: '::ffff:127.77.0.2', port }];
  await expect(
    startProxy({ addresses: ['127.77.0.2'], port, servers: own, hooks, openDatagrams }),
  ).rejects.toThrow(/itself/);
});

test('c-ares and Python resolve through it, sixty at once', async () => {
  const { proxy } = await start();
  const resolver = new Resolver();
  resolver.setServers([`127.77.0.2:${proxy.port}`]);
  const all = await Promise.all(Array.from({ length: 60 }, () => resolver.resolve4('github.com')));
  expect(all.flat()).toEqual(Array.from({ length: 60 }, () => '192.0.2.7'));
  const script = [
    'import socket,sys',
    's=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.settimeout(2)',
    's.sendto(bytes.fromhex(sys.argv[2]),("127.77.0.2",int(sys.argv[1])))',
    'print(s.recv(512).hex())',
  ].join('\n');
  const asked = query('github.com').toString('hex');
  const { stdout } = await run('python3', ['-c', script, String(proxy.port), asked]);
  expect(dnsPacket.decode(Buffer.from(stdout.trim(), 'hex')).answers).toMatchObject([{ data: '192.0.2.7' }]);
});

function never(): never {
  throw new Error('must not be called');
}

function decoded(name: string, id: number): dnsPacket.Packet {
  return { type: 'query', id, flags: dnsPacket.RECURSION_DESIRED, questions: [{ name, type: 'A' }] };
}

function query(name: string): Buffer {
  return dnsPacket.encode(decoded(name, 99));
}
