import { constants } from 'node:os';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openingOf } from '../../src/guard/first-bytes.ts';
import { evaluateCall, evaluateOpening } from '../../src/policy/opening.ts';
import { readFirstBytes } from '../../src/wire/first-bytes.ts';
import { clientHello, requestHead } from '../vectors/openings.ts';
import { Harness } from './harness.ts';
import { chainsOf } from './harness-agreement.ts';
import { ADDRESSES, type Case, cases, compiled, NAMES, OWN } from './harness-cases.ts';
import { type Ground, makeGround } from './harness-dial.ts';
import { HEARING_PORTS, type Speech } from './harness-speak.ts';

const { EACCES } = constants.errno;
const POLICIES = 600;

let ground: Ground;
let harness: Harness;

beforeAll(async () => {
  ground = await makeGround();
  harness = await Harness.start(ground);
  harness.hurry();
});

afterAll(async () => {
  await harness?.stop();
  await ground?.close();
});

const name = fc.constantFrom(...NAMES, 'localhost', 'n.localhost', 'unknown.name');
const address = fc.constantFrom(...ADDRESSES);
const host = fc.oneof(
  name,
  address.map((text) => (text.includes(':') ? `[${text}]` : text)),
);
const port = fc.constantFrom('', ':80', ':443', ':8080', ':22');

const opening: fc.Arbitrary<Buffer> = fc.oneof(
  { arbitrary: name.map((sni) => clientHello(sni)), weight: 3 },
  name.map((sni) => clientHello(sni, { ech: true })),
  fc.constant(clientHello(null)),
  { arbitrary: host.map((text) => requestHead('/', text)), weight: 2 },
  fc.constant(requestHead('/', null)),
  fc.tuple(host, port).map(([text, at]) => requestHead(`http://${text}${at}/x`, `${text}${at}`)),
  {
    arbitrary: fc
      .tuple(host, port)
      .map(([text, at]) => requestHead(`${text}${at || ':443'}`, null, 'CONNECT')),
    weight: 2,
  },
  fc.constant(Buffer.from('SSH-2.0-x\r\n')),
  fc.constant(Buffer.from('GET / HTTP/1.1\r\nHost: a.b.c\r\nHost: b.c\r\n\r\n')),
);

const speech: fc.Arbitrary<Speech> = fc.record({
  address,
  port: fc.constantFrom(...HEARING_PORTS),
  pieces: fc
    .tuple(opening, fc.nat(60))
    .map(([bytes, at]) =>
      at === 0 || at >= bytes.length ? [bytes] : [bytes.subarray(0, at), bytes.subarray(at)],
    ),
});

async function expectAgreement(example: Case, speeches: readonly Speech[]): Promise<number> {
  const { learned, here } = example;
  const own = compiled(example, [OWN]);
  const elsewhere = compiled(example, []);
  harness.install({ policy: own, policyElsewhere: elsewhere, learned, here });
  const policy = here ? own : elsewhere;
  const { spoken, heard, seen } = await harness.speak(speeches);
  const judged = new Map(heard.map((one) => [one.record.attempt.cookie, one]));
  speeches.forEach(({ address: at, port: to, pieces }, i) => {
    const bytes = Buffer.concat(pieces);
    const says = openingOf(readFirstBytes(bytes));
    const call = { address: at, port: to, chains: chainsOf(learned, at) };
    const first = evaluateCall(policy, { ...call, protocol: 'tcp' });
    const passes = first.answer !== 'deny' || first.opening === 'wait';
    const { errno, heard: arrived } = spoken[i] ?? { errno: -1, heard: null };
    const one = judged.get(seen[i]?.record.cookie ?? 0n);
    expect([passes, seen[i]?.record.opening]).toEqual([arrived !== null, passes ? first.opening : 'none']);
    expect(one === undefined).toBe(!passes || first.opening === 'none');
    if (!one) return;
    const last = evaluateOpening(policy, call, says, (other) => chainsOf(learned, other));
    const { decision } = one.record.attempt;
    expect({ says: one.record.says, decision }).toEqual({ says, decision: last.answer });
    expect(errno).toBe(decision === 'deny' ? EACCES : 0);
    if (decision === 'deny') expect(arrived).toBeLessThan(bytes.length);
    else expect(arrived).toBe(bytes.length);
    const { rule, cycle, event } = one.recorded;
    expect([rule, cycle, event.verdict]).toEqual([last.rule, last.cycle, last.verdict]);
  });
  expect(harness.disagreements).toBe(0);
  return heard.length;
}

test('the kernel and evaluateOpening agree on generated policies, connections and first bytes', async () => {
  let heard = 0;
  await fc.assert(
    fc.asyncProperty(
      cases(harness.kinds),
      fc.array(speech, { minLength: 1, maxLength: 24, size: 'max' }),
      async (example, speeches) => {
        heard += await expectAgreement(example, speeches);
      },
    ),
    { numRuns: POLICIES },
  );
  expect(heard).toBeGreaterThan(POLICIES * 2);
  expect(harness.lost).toEqual({});
}, 240_000);
