import dnsPacket from 'dns-packet';
import { expect, test } from 'vitest';
import { answerQuery, type Zone } from './nameserver.ts';

const ZONE: Zone = {
  'github.com': ['192.0.2.7', '2001:db8:9::7'],
  'www.github.com': ['github.com'],
  'cdn.example': ['www.github.com'],
  'loop.example': ['loop.example'],
  'lost.example': ['nowhere.example'],
  'empty.example': [],
  '*.mirror.internal': ['10.86.0.20'],
};

function ask(name: string, type: 'A' | 'AAAA' = 'A', zone = ZONE) {
  const query = dnsPacket.encode({
    type: 'query',
    id: 7,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ name, type }],
  });
  const answered = answerQuery(zone, query);
  if (!answered) throw new Error('no answer');
  const reply = dnsPacket.decode(answered.reply) as dnsPacket.DecodedPacket & { rcode: string };
  return { ...reply, data: reply.answers?.map((answer) => ('data' in answer ? answer.data : null)) };
}

test('answerQuery gives the addresses of the family asked for', () => {
  expect(ask('github.com')).toMatchObject({ id: 7, rcode: 'NOERROR', data: ['192.0.2.7'] });
  expect(ask('github.com', 'AAAA').data).toEqual(['2001:db8:9::7']);
});

test('answerQuery ignores case and answers in the case it was asked', () => {
  expect(ask('GitHub.com').answers?.[0]).toMatchObject({ name: 'GitHub.com', data: '192.0.2.7' });
});

test('answerQuery gives every alias on the way', () => {
  expect(ask('cdn.example').data).toEqual(['www.github.com', 'github.com', '192.0.2.7']);
});

test('answerQuery tells a name that is not there from one without addresses', () => {
  expect(ask('nobody.example').rcode).toBe('NXDOMAIN');
  expect(ask('empty.example')).toMatchObject({ rcode: 'NOERROR', data: [] });
  expect(ask('lost.example')).toMatchObject({ rcode: 'NXDOMAIN', data: ['nowhere.example'] });
});

test('answerQuery gives wildcard names below, never the name itself', () => {
  expect(ask('a.b.mirror.internal').data).toEqual(['10.86.0.20']);
  expect(ask('mirror.internal').rcode).toBe('NXDOMAIN');
});

test('answerQuery ends an alias that leads to itself', () => {
  expect(ask('loop.example').data).toHaveLength(8);
});

test('answerQuery stays silent on bytes that are no query', () => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(11), Buffer.alloc(600, 0xff), Buffer.alloc(12)]) {
    expect(answerQuery(ZONE, bytes)).toBeNull();
  }
});
