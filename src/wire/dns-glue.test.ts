import dnsPacket, { type Answer } from 'dns-packet';
import { expect, test } from 'vitest';
import { withoutGlue } from './dns-glue.ts';
import { decodeQuery } from './dns-query.ts';
import { decodeResponse } from './dns-response.ts';

const opt = { type: 'OPT', name: '.', udpPayloadSize: 1232, flags: 0, options: [] } as unknown as Answer;
const glue: Answer[] = [
  { type: 'A', name: 'mail.example', ttl: 60, data: '192.0.2.7' },
  { type: 'AAAA', name: 'mail.example', ttl: 60, data: '2001:db8::7' },
];

function answerTo(name: string, type: 'MX' | 'A', answers: Answer[], additionals: Answer[]): Uint8Array {
  return dnsPacket.encode({
    ...{ type: 'response', id: 7, flags: 0x8180, questions: [{ name, type }], answers, additionals },
    authorities: [{ type: 'NS', name: 'example', ttl: 60, data: 'ns.example' }],
  });
}

const mx: Answer[] = [
  { type: 'MX', name: 'example', ttl: 60, data: { preference: 1, exchange: 'mail.example' } },
];

test.each([
  ['before', [...glue, opt]],
  ['after', [opt, ...glue]],
  ['around', [glue[0] as Answer, opt, glue[1] as Answer]],
])('glue %s the OPT record goes; all else stays as it was', (_, additionals) => {
  const message = answerTo('example', 'MX', mx, additionals);
  const bare = withoutGlue(message);
  expect(dnsPacket.decode(Buffer.from(bare))).toMatchObject({
    id: 7,
    flags: 0x180,
    questions: [{ name: 'example', type: 'MX' }],
    answers: [{ type: 'MX', data: { exchange: 'mail.example' } }],
    authorities: [{ type: 'NS', data: 'ns.example' }],
    additionals: [{ type: 'OPT', udpPayloadSize: 1232 }],
  });
  expect(dnsPacket.decode(Buffer.from(bare)).additionals).toHaveLength(1);
});

test('without an OPT record nothing is left of the section', () => {
  const decoded = dnsPacket.decode(Buffer.from(withoutGlue(answerTo('example', 'MX', mx, glue))));
  expect(decoded.additionals).toEqual([]);
  expect(decoded.answers).toHaveLength(1);
});

test('a response says whether it has glue; an OPT record is none', () => {
  const query = decodeQuery(
    dnsPacket.encode({ type: 'query', questions: [{ name: 'example', type: 'MX' }] }),
  );
  if ('fault' in query) throw new Error(query.text);
  const hasGlue = (additionals: Answer[]) => {
    const response = decodeResponse(answerTo('example', 'MX', mx, additionals), query);
    return 'glue' in response && response.glue;
  };
  expect([hasGlue([]), hasGlue([opt]), hasGlue(glue), hasGlue([opt, ...glue])]).toEqual([
    false,
    false,
    true,
    true,
  ]);
});

test('what cannot be read comes back as it is', () => {
  const cut = answerTo('example', 'MX', mx, glue).subarray(0, -5);
  expect(withoutGlue(cut)).toBe(cut);
});
