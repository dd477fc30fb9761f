import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import dnsPacket from 'dns-packet';
import { afterEach, expect, test } from 'vitest';
import type { ProxyHooks } from '../../src/dns/hooks.ts';
import { PATIENCE, startProxy } from '../../src/dns/proxy.ts';
import { openDatagrams } from '../../src/kernel/datagrams.ts';
import { type Bench, type BenchOptions, dig, requester, startBench } from './harness.ts';

const zone = {
  'a.test': ['A 192.0.2.7'],
  'b.test': ['A 192.0.2.8'],
  'big.test': Array.from({ length: 60 }, (_, i) => `A 192.0.2.${i}`),
};

const QUICK = { timeoutMs: 300, budgetMs: 1500, tryEveryMs: 600 };

let bench: Bench | null = null;
async function start(options: BenchOptions): Promise<Bench> {
  bench = await startBench({ zone, patience: QUICK, ...options });
  return bench;
}
afterEach(async () => {
  await bench?.close();
  bench = null;
});

test.each([
  'silent',
  'servfail',
  'refused',
  'notimp',
  'lame',
  'garbage',
  'short',
  'wrong-id',
  'wrong-question',
  'echo',
  'truncated-always',
  'no-tcp',
])('a first server that is %s is passed over for the second', async (fault) => {
  const { dig: ask, servers } = await start({ faults: [{ 'a.test': fault }, {}] });
  const reply = await ask('a.test', 'A');
  expect(reply).toMatchObject({ status: 'NOERROR', answers: ['192.0.2.7'] });
  expect(reply.ms).toBeLessThan(1500);
  expect(servers[1]?.queries.length).toBeGreaterThan(0);
});

test('spoofed answers are passed over and the right one taken from the same server', async () => {
  const { dig: ask, log, servers } = await start({ faults: [{ 'a.test': 'spoofed-then-right' }, {}] });
  expect((await ask('a.test', 'A')).answers).toEqual(['192.0.2.7']);
  expect(log.filter((line) => line.startsWith('learn'))).toEqual(['learn 192.0.2.7 30 a.test']);
  expect(servers[1]?.queries).toEqual([]);
});

test('a truncated answer is fetched over TCP from the same server', async () => {
  const { dig: ask, servers } = await start({ faults: [{ 'a.test': 'truncated' }, {}] });
  expect((await ask('a.test', 'A')).answers).toEqual(['192.0.2.7']);
  expect(servers[0]?.queries.map((query) => query.transport)).toEqual(['udp', 'tcp']);
});

test('a format error comes back as it is: the client may ask again without EDNS', async () => {
  const { dig: ask } = await start({ faults: [{ 'a.test': 'bare-formerr' }, {}] });
  expect((await ask('a.test', 'A')).text).toContain('FORMERR');
});

test('a client on TCP is asked for over TCP', async () => {
  const { dig: ask, servers } = await start({ faults: [{}] });
  expect((await ask('big.test', 'A', '+tcp', '+noedns')).answers).toHaveLength(60);
  expect(servers[0]?.queries.map((query) => query.transport)).toEqual(['tcp']);
});

test.each(['127.77.0.3', '::1'])(
  'a client on TCP is served by a server that has only UDP, at %s',
  async (address) => {
    const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    udp.bind(0, address);
    await once(udp, 'listening');
    udp.on('message', (message, from) => {
      const { id, questions } = dnsPacket.decode(message);
      const answers = [{ name: 'a.test', type: 'A', data: '192.0.2.1' }] as const;
      const flags = dnsPacket.RECURSION_AVAILABLE;
      const reply = {
        type: 'response',
        id: id ?? 0,
        flags,
        questions: questions ?? [],
        answers: [...answers],
      };
      udp.send(dnsPacket.encode(reply as dnsPacket.Packet), from.port, from.address);
    });
    const proxy = await only({ address, port: udp.address().port });
    expect((await dig('127.77.0.2', proxy.port, ['a.test', 'A', '+tcp'])).answers).toEqual(['192.0.2.1']);
    await proxy.close();
    udp.close();
  },
);

test('when all are silent the client hears so, by name, within five seconds', async () => {
  const { dig: ask, servers, proxy } = await start({ faults: [{ '*': 'silent' }, { '*': 'silent' }] });
  const reply = await ask('a.test', 'A');
  expect(reply.status).toBe('SERVFAIL');
  expect(reply.text).toMatch(/EDE: 22 .*did not answer/);
  for (const server of servers) expect(reply.text).toContain(`127.77.0.1:${server.port}`);
  expect(reply.ms).toBeLessThan(2000);
  expect(proxy.counters.unanswered).toBe(1);
});

test('with its own patience three silent servers still fail in under five seconds', async () => {
  const silent = { '*': 'silent' };
  const { dig: ask } = await start({ faults: [silent, silent, silent], patience: PATIENCE });
  const reply = await ask('a.test', 'A', '+time=6');
  expect(reply.status).toBe('SERVFAIL');
  expect(reply.ms).toBeLessThan(5000);
});

test('a port nobody listens on is a network error, at once', async () => {
  const proxy = await only({ address: '127.77.0.4', port: 9 });
  const reply = await dig('127.77.0.2', proxy.port, ['a.test', 'A']);
  expect(reply.status).toBe('SERVFAIL');
  expect(reply.text).toMatch(/EDE: 23 .*ECONNREFUSED/);
  expect(reply.ms).toBeLessThan(500);
  await proxy.close();
});

test('when all refuse the client gets SERVFAIL with the reason', async () => {
  const { dig: ask } = await start({ faults: [{ '*': 'refused' }] });
  const reply = await ask('a.test', 'A');
  expect(reply.status).toBe('SERVFAIL');
  expect(reply.text).toContain('answered REFUSED');
});

test('the extended error of an upstream reaches the client', async () => {
  const { dig: ask, lookups } = await start({ faults: [{ '*': 'servfail:signature expired' }] });
  expect((await ask('a.test', 'A')).text).toContain('signature expired');
  expect(lookups[0]).toMatchObject({ rcode: 'SERVFAIL', ede: { text: 'signature expired' } });
});

test('a server that was silent is asked last for a while', async () => {
  const { dig: ask } = await start({ faults: [{ '*': 'silent' }, {}] });
  expect((await ask('a.test', 'A')).ms).toBeGreaterThan(300);
  expect((await ask('a.test', 'A')).ms).toBeLessThan(250);
});

test('nobody waits for a silent server again, and it is first again once it answers', async () => {
  const faults: Record<string, string> = { '*': 'silent' };
  const patience = { timeoutMs: 1000, budgetMs: 3000, tryEveryMs: 600 };
  const { dig: ask, servers } = await start({ faults: [faults, {}], patience });
  const [first, second] = servers;
  expect((await ask('a.test', 'A')).ms).toBeGreaterThan(1000);
  const until = performance.now() + 2000;
  let asked = 0;
  for (; performance.now() < until; asked++) expect((await ask('a.test', 'A')).ms).toBeLessThan(900);
  expect(second?.queries.length).toBe(asked + 1);
  // Once by the lookup that waited, and then about every 600 ms.
  expect(first?.queries.length).toBeGreaterThanOrEqual(3);
  expect(first?.queries.length).toBeLessThanOrEqual(5);
  delete faults['*'];
  await expect
    .poll(
      async () => {
        const before = second?.queries.length;
        await ask('a.test', 'A');
        return second?.queries.length === before;
      },
      { timeout: 5000 },
    )
    .toBe(true);
});

test('an answer that comes late is passed over, and the question asked again has its own', async () => {
  const { dig: ask, servers, log } = await start({ faults: [{ 'a.test': 'slow:500' }] });
  const reply = await ask('a.test', 'A');
  expect(reply).toMatchObject({ status: 'NOERROR', answers: ['192.0.2.7'] });
  expect(reply.ms).toBeGreaterThan(700);
  expect(servers[0]?.queries).toHaveLength(2);
  expect(log.filter((line) => line.startsWith('report'))).toEqual(['report a.test A NOERROR']);
});

test.each(['other-address', 'other-port'])('a forged answer from %s is not heard', async (fault) => {
  const { dig: ask, log } = await start({ faults: [{ 'a.test': fault }, {}] });
  expect((await ask('a.test', 'A')).answers).toEqual(['192.0.2.7']);
  expect(log.filter((line) => line.startsWith('learn'))).toEqual(['learn 192.0.2.7 30 a.test']);
});

test('32 wrong answers are passed over; at one more the question goes over TCP', async () => {
  const { dig: ask, servers } = await start({ faults: [{ 'a.test': 'flood:32', 'b.test': 'flood:33' }] });
  expect((await ask('a.test', 'A')).status).toBe('SERVFAIL');
  const reply = await ask('b.test', 'A');
  expect(reply).toMatchObject({ status: 'NOERROR', answers: ['192.0.2.8'] });
  expect(reply.ms).toBeLessThan(250);
  expect(servers[0]?.queries.map(({ name, transport }) => `${name} ${transport}`)).toEqual([
    'a.test udp',
    'a.test udp',
    'b.test udp',
    'b.test tcp',
  ]);
});

test('a question that comes back in another case is asked over TCP, and only then', async () => {
  const { dig: ask, servers } = await start({ faults: [{ 'a.test': 'other-case' }] });
  expect((await ask('a.test', 'A')).answers).toEqual(['192.0.2.7']);
  expect((await ask('A.tEsT', 'A')).answers).toEqual(['192.0.2.7']);
  expect(servers[0]?.queries.map(({ name, transport }) => `${name} ${transport}`)).toEqual([
    'a.test udp',
    'A.tEsT udp',
    'A.tEsT tcp',
  ]);
});

test('equal questions under way are asked once, and each is answered under its own id', async () => {
  const { proxy, servers } = await start({ faults: [{ 'a.test': 'slow:100', 'A.test': 'slow:100' }] });
  const sockets = [1, 2, 3].map(() => createSocket('udp4'));
  const answers: dnsPacket.Packet[] = [];
  for (const socket of sockets) socket.on('message', (message) => answers.push(dnsPacket.decode(message)));
  sockets.forEach((socket, i) => {
    for (const name of ['a.test', 'A.test', 'a.test']) {
      socket.send(encoded(name, 100 * i + name.charCodeAt(0)), proxy.port, '127.77.0.2');
    }
  });
  await expect.poll(() => answers.length).toBe(9);
  expect(servers[0]?.queries.map(({ name }) => name).sort()).toEqual(['A.test', 'a.test']);
  const ids = [65, 97, 97].flatMap((id) => [id, 100 + id, 200 + id]);
  expect(answers.map(({ id }) => id).sort()).toEqual(ids.sort());
  for (const { answers: records } of answers) expect(records).toMatchObject([{ data: '192.0.2.7' }]);
  for (const socket of sockets) socket.close();
});

test.each([
  [100, 8, 16],
  [500, 8, 24],
])('%i questions at once share eight ports and no id, 64 to a port at most', async (count, least, most) => {
  const { proxy, servers } = await start({ faults: [{ '*': 'slow:200' }], hooks: twoRuns() });
  const socket = createSocket('udp4');
  let answered = 0;
  socket.on('message', () => {
    answered += 1;
  });
  for (let i = 0; i < count; i++) socket.send(encoded(`n${i}.test`, i), proxy.port, '127.77.0.2');
  await expect.poll(() => answered).toBe(count);
  const byPort = Map.groupBy(servers[0]?.queries ?? [], ({ port }) => port);
  expect(byPort.size).toBeGreaterThanOrEqual(least);
  expect(byPort.size).toBeLessThanOrEqual(most);
  for (const asked of byPort.values()) {
    expect(asked.length).toBeLessThanOrEqual(64);
    expect(new Set(asked.map(({ id }) => id)).size).toBe(asked.length);
  }
  socket.close();
});

test('a question alone has a port and an id of its own', async () => {
  const { dig: ask, servers } = await start({ faults: [{}] });
  for (let i = 0; i < 8; i++) await ask('a.test', 'A', '+qid=7');
  const queries = servers[0]?.queries ?? [];
  expect(new Set(queries.map((query) => query.port)).size).toBeGreaterThan(6);
  expect(new Set(queries.map((query) => query.id)).size).toBeGreaterThan(6);
});

test('a run that floods is failed beyond its share, and answered again after', async () => {
  const faults = { 'slow.test': 'silent' };
  const { dig: ask, proxy } = await start({
    faults: [faults],
    patience: { ...QUICK, timeoutMs: 400, budgetMs: 800 },
  });
  const socket = createSocket('udp4');
  let failed = 0;
  socket.on('message', () => {
    failed += 1;
  });
  const bytes = dnsPacket.encode({ type: 'query', id: 1, questions: [{ name: 'slow.test', type: 'A' }] });
  for (let i = 0; i < 300; i++) socket.send(bytes, proxy.port, '127.77.0.2');
  await expect.poll(() => proxy.counters.queries).toBe(300);
  expect(proxy.counters).toMatchObject({ overloaded: 44, forwarded: 256 });
  await expect.poll(() => failed, { timeout: 5000 }).toBe(300);
  expect((await ask('a.test', 'A')).status).toBe('NOERROR');
  socket.close();
});

test('closing ends the questions under way', async () => {
  const running = await start({
    faults: [{ '*': 'silent' }],
    patience: { ...QUICK, timeoutMs: 4000, budgetMs: 4000 },
  });
  const pending = running.dig('a.test', 'A', '+time=1');
  await expect.poll(() => running.servers[0]?.queries.length).toBe(1);
  const began = performance.now();
  await running.close();
  expect(performance.now() - began).toBeLessThan(200);
  await pending;
  bench = null;
});

/** Two runs by turns, so that neither meets its quota. */
function twoRuns(): Partial<ProxyHooks> {
  let turn = 0;
  return { identify: () => requester(`run-${turn++ % 2}`) };
}

function encoded(name: string, id: number): Buffer {
  return dnsPacket.encode({ type: 'query', id, flags: 0x100, questions: [{ name, type: 'A' }] });
}

function only(server: { address: string; port: number }) {
  return startProxy({
    addresses: ['127.77.0.2'],
    servers: [server],
    openDatagrams,
    patience: QUICK,
    hooks: {
      identify: () => requester('r'),
      judge: () => ({ denied: false, onDeny: 'nxdomain', reason: '', provisional: false, later: [] }),
      learn: () => true,
      report: () => {},
    },
  });
}
