import { readFileSync } from 'node:fs';
import dnsPacket, { type Answer } from 'dns-packet';
import { expect, test } from 'vitest';
import { addressFromBytes } from '../model/address.ts';
import { decodeQuery, decodeQuestion, type Query } from './dns-query.ts';
import { decodeResponse, MAX_ALIASES, matchAnswer } from './dns-response.ts';

function vector(file: string, title: string): Buffer {
  const url = new URL(`../../test/vectors/dns/${file}.json`, import.meta.url);
  const all: { title: string; hex: string }[] = JSON.parse(readFileSync(url, 'utf8'));
  const found = all.find((one) => one.title === title);
  if (found === undefined) throw new Error(`no vector ${title}`);
  return Buffer.from(found.hex, 'hex');
}

function read(file: string, title: string) {
  const bytes = vector(file, title);
  const question = decodeQuestion(bytes);
  if (question === null) throw new Error(`no question in ${title}`);
  const response = decodeResponse(bytes, question);
  if ('fault' in response) return response;
  return {
    ...response,
    addresses: response.addresses.map((one) => ({ ...one, address: addressFromBytes(one.address) })),
  };
}

function encode(name: string, answers: Answer[]): Buffer {
  return dnsPacket.encode({ type: 'response', id: 1, questions: [{ name, type: 'A' }], answers });
}

test('an address comes with the question and every alias on the way to it', () => {
  const names = ['www.github.com', 'edge.cdn.example', 'pop.cdn.example'];
  expect(read('responses', 'chain A')).toMatchObject({
    rcode: 0,
    aliases: names.slice(1),
    addresses: [
      { address: '198.51.100.1', ttl: 30, names },
      { address: '198.51.100.2', ttl: 30, names },
    ],
  });
});

test('a v4-mapped AAAA is the IPv4 address', () => {
  expect(read('responses', 'chain AAAA')).toMatchObject({
    addresses: [{ address: '2001:db8::1' }, { address: '198.51.100.3' }],
  });
});

test('hints of HTTPS records are addresses and its target an alias', () => {
  expect(read('responses', 'HTTPS hints')).toMatchObject({
    addresses: [{ address: '192.0.2.8' }, { address: '192.0.2.9' }, { address: '2001:db8::8' }],
  });
  expect(read('responses', 'HTTPS alias')).toMatchObject({ aliases: ['pool.web.example'] });
});

test('a DNAME shows as the alias made of it', () => {
  expect(read('responses', 'DNAME')).toMatchObject({
    aliases: ['www.new.example'],
    addresses: [{ address: '192.0.2.44', names: ['www.old.example', 'www.new.example'] }],
  });
});

test('an extended error of the upstream is read', () => {
  expect(read('responses', 'SERVFAIL with EDE')).toMatchObject({ rcode: 2, ede: { code: 6 } });
});

test('an address of a name that was not asked for is judged by its own name too', () => {
  const response = read('hostile', 'response: address of a name nobody asked for');
  expect(response).toMatchObject({
    aliases: ['evil.test'],
    addresses: [{ address: '1.2.3.4', names: ['github.com', 'evil.test'] }],
  });
});

test('what follows the alias of an HTTPS record counts by it', () => {
  const alias = { name: 'a.test', type: 'UNKNOWN_65', data: Buffer.from('00000363646e047465737400', 'hex') };
  const hints = {
    name: 'cdn.test',
    type: 'UNKNOWN_65',
    data: Buffer.from('000100' + '00040004c0000207', 'hex'),
  };
  const bytes = encode('a.test', [alias, hints] as unknown as Answer[]);
  expect(decodeResponse(bytes, { name: 'a.test', type: 65 })).toMatchObject({
    aliases: ['cdn.test'],
    addresses: [{ names: ['a.test', 'cdn.test'] }],
  });
});

test('aliases count in whatever order the records stand', () => {
  const bytes = encode('a.test', [
    { name: 'c.test', type: 'A', data: '192.0.2.1' },
    { name: 'b.test', type: 'CNAME', data: 'c.test' },
    { name: 'A.TEST', type: 'CNAME', data: 'B.test' },
  ]);
  expect(decodeResponse(bytes, { name: 'a.test', type: 1 })).toMatchObject({
    aliases: ['b.test', 'c.test'],
    addresses: [{ names: ['a.test', 'b.test', 'c.test'] }],
  });
});

test.each([
  ['hostile', 'response: alias with a dot in a label', 'alias-name'],
  ['hostile', 'response: two aliases of one name', 'malformed'],
  ['hostile', 'response: 65535 answers announced', 'too-many-records'],
  ['hostile', 'response: hint of 3 bytes', 'malformed'],
  ['hostile', 'response: A of 5 bytes', 'malformed'],
  ['hostile', 'response: pointer loop in an owner', 'malformed'],
  ['hostile', 'response: pointer forward', 'malformed'],
  ['hostile', 'response: option beyond its OPT', 'malformed'],
  ['responses', 'alias loop', 'alias-loop'],
])('a bad answer is a fault: %s, %s', (file, title, fault) => {
  expect(read(file, title)).toMatchObject({ fault });
});

test('a chain may have 16 aliases and no more', () => {
  const chain = (count: number): Answer[] =>
    Array.from({ length: count }, (_, i) => ({ name: `n${i}.test`, type: 'CNAME', data: `n${i + 1}.test` }));
  const question = { name: 'n0.test', type: 1 };
  const longest = decodeResponse(encode('n0.test', chain(MAX_ALIASES)), question);
  expect(longest).toHaveProperty('aliases.length', 16);
  const over = decodeResponse(encode('n0.test', chain(MAX_ALIASES + 1)), question);
  expect(over).toMatchObject({ fault: 'alias-chain' });
});

test('a reverse name behind a classless zone is answered although its alias is no host name', () => {
  expect(read('responses', 'PTR through RFC 2317')).toMatchObject({ rcode: 0, aliases: [], addresses: [] });
});

test('an answer is known by id and question, and another case of letters is told apart', () => {
  const query = decodeQuery(vector('queries', 'dig: A with EDNS')) as Query;
  const answer = vector('responses', 'A with EDNS');
  expect(matchAnswer(answer, query, query.id)).toBe('yes');
  expect(matchAnswer(answer, query, query.id ^ 1)).toBe('no');
  const lowered = Buffer.from(answer);
  lowered.write('GITHUB', 13, 'latin1');
  expect(matchAnswer(lowered, query, query.id)).toBe('other-case');
  const otherType = Buffer.from(answer);
  otherType.writeUInt8(28, 12 + query.question.length - 3);
  expect(matchAnswer(otherType, query, query.id)).toBe('no');
  otherType.write('GITHUB', 13, 'latin1');
  expect(matchAnswer(otherType, query, query.id)).toBe('no');
  expect(matchAnswer(vector('queries', 'dig: A with EDNS'), query, query.id)).toBe('no');
});
