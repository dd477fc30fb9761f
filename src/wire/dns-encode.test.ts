import dnsPacket from 'dns-packet';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RCODE } from './dns-code.ts';
import { encodeFailure, encodeTruncated, udpLimit } from './dns-encode.ts';
import { decodeQuery, type Query } from './dns-query.ts';

function ask(name: string, edns: number | null): Query {
  const opt = { type: 'OPT', name: '.', udpPayloadSize: edns ?? 0, flags: 0x8000, options: [] } as const;
  const bytes = dnsPacket.encode({
    type: 'query',
    id: 7,
    flags: dnsPacket.RECURSION_DESIRED | dnsPacket.CHECKING_DISABLED,
    questions: [{ name, type: 'A' }],
    additionals:
      edns === null ? [] : [{ ...opt, extendedRcode: 0, ednsVersion: 0, flag_do: true, options: [] }],
  });
  return decodeQuery(bytes) as Query;
}

test('a failure echoes the question and carries its extended error', () => {
  const ede = { code: 15, text: 'mysql → github → mysql' };
  const reply = dnsPacket.decode(
    Buffer.from(encodeFailure(ask('GitHub.com', 1232), { rcode: RCODE.NXDOMAIN, ede })),
  );
  expect(reply).toMatchObject({ id: 7, flag_qr: true, flag_rd: true, flag_ra: true, flag_cd: true });
  expect(reply).toMatchObject({ rcode: 'NXDOMAIN', questions: [{ name: 'GitHub.com', type: 'A' }] });
  const [opt] = reply.additionals ?? [];
  const option = opt?.type === 'OPT' ? (opt.options[0] as { code: number; data: Buffer }) : null;
  expect(option?.code).toBe(15);
  expect(option?.data.readUInt16BE(0)).toBe(15);
  expect(option?.data.subarray(2).toString()).toBe(ede.text);
});

test('a client without EDNS gets none', () => {
  const ede = { code: 15, text: 'x' };
  const reply = dnsPacket.decode(Buffer.from(encodeFailure(ask('a.test', null), { rcode: 5, ede })));
  expect(reply).toMatchObject({ rcode: 'REFUSED', additionals: [] });
});

test('the text is cut to 200 bytes of whole characters, and a failure is never over 512 bytes', () => {
  const long = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`;
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 400 }), (text) => {
      const bytes = encodeFailure(ask(long, 4096), { rcode: 2, ede: { code: 0, text } });
      const [opt] = dnsPacket.decode(Buffer.from(bytes)).additionals ?? [];
      const data = opt?.type === 'OPT' ? (opt.options[0] as { data: Buffer }).data : Buffer.alloc(0);
      const kept = data.subarray(2);
      expect(bytes.length).toBeLessThanOrEqual(512);
      expect(kept.length).toBeLessThanOrEqual(200);
      expect(text.isWellFormed() ? text.startsWith(kept.toString()) : true).toBe(true);
    }),
  );
});

test('a truncated answer keeps flags and code, and drops the records', () => {
  const query = ask('a.test', null);
  const answer = dnsPacket.encode({
    type: 'response',
    id: 7,
    flags: dnsPacket.AUTHORITATIVE_ANSWER | dnsPacket.RECURSION_DESIRED,
    questions: [{ name: 'a.test', type: 'A' }],
    answers: [{ name: 'a.test', type: 'A', data: '192.0.2.1' }],
  });
  const reply = dnsPacket.decode(Buffer.from(encodeTruncated(query, answer)));
  expect(reply).toMatchObject({ flag_tc: true, flag_aa: true, flag_qr: true, answers: [], rcode: 'NOERROR' });
});

test('the UDP limit is what the client says, 512 at least', () => {
  expect(udpLimit(ask('a.test', null))).toBe(512);
  expect(udpLimit(ask('a.test', 100))).toBe(512);
  expect(udpLimit(ask('a.test', 4096))).toBe(4096);
});
