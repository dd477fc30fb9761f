import { constants } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openingOf } from '../../src/guard/first-bytes.ts';
import { readFirstBytes } from '../../src/wire/first-bytes.ts';
import { mutate, type Pick, random, vectors } from '../vectors/corpus.ts';
import { Harness, type Heard } from './harness.ts';
import { compiled } from './harness-cases.ts';
import { type Ground, makeGround } from './harness-dial.ts';
import type { Spoken } from './harness-speak.ts';

const { EACCES } = constants.errno;
/** Mutated openings told to the kernel; FUZZ_RUNS sets more. */
const RUNS = Math.ceil(Number(process.env.FUZZ_RUNS ?? 50_000) / 25);
const BATCH = 100;
const AT = { address: '192.0.2.1', port: 443 };

let ground: Ground;
let harness: Harness;

beforeAll(async () => {
  ground = await makeGround();
  harness = await Harness.start(ground);
  harness.hurry();
  install({ default: 'allow', deny: [{ host: 'github.com' }, { host: '*.github.com' }] });
});

afterAll(async () => {
  await harness?.stop();
  await ground?.close();
});

function install(rules: object): void {
  const of = {
    written: { version: 1, services: { d: { hosts: ['d.c'] } }, deployments: { d: rules } },
    options: { allow: [], deny: [], default: null },
  };
  const policy = compiled(of, []);
  harness.install({ policy, policyElsewhere: policy, learned: [], here: true });
}

/** One to five pieces of the bytes. */
function cut(bytes: Buffer, pick: Pick): Buffer[] {
  const cuts = Array.from({ length: pick(5) }, () => pick(bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...cuts]
    .map((from, i) => bytes.subarray(from, cuts[i] ?? bytes.length))
    .filter(({ length }) => length > 0);
}

/** Speaks each, and gives what the kernel made of it; null: it told nothing. */
async function tell(all: readonly (readonly Buffer[])[]): Promise<[Spoken, Heard | null][]> {
  const told: [Spoken, Heard | null][] = [];
  for (let at = 0; at < all.length; at += BATCH) {
    const batch = all.slice(at, at + BATCH);
    const { spoken, heard, seen } = await harness.speak(batch.map((pieces) => ({ ...AT, pieces })));
    const byCookie = new Map(heard.map((one) => [one.record.attempt.cookie, one]));
    expect(seen).toHaveLength(batch.length);
    spoken.forEach((one, i) => {
      told.push([one, byCookie.get(seen[i]?.record.cookie ?? 0n) ?? null]);
    });
  }
  return told;
}

function expectAlike(bytes: Buffer, [{ errno, heard: arrived }, heard]: [Spoken, Heard | null]): void {
  const read = readFirstBytes(bytes);
  if (!heard) {
    // What cannot be told yet is held back, or has left since it names nobody; all the same it is not decided.
    expect(read.kind === 'incomplete' || read.kind === 'unreadable' || bytes.length === 0).toBe(true);
    if (read.kind === 'unreadable') expect(arrived).toBeLessThan(bytes.length);
    return;
  }
  const { attempt, says } = heard.record;
  if (read.kind === 'incomplete') {
    // Decided early: the line it is in cannot be read any more, however it ends.
    const ended = readFirstBytes(Buffer.concat([bytes, Buffer.from('\r\n\r\n')]));
    expect([says.readable, ended.kind]).toEqual([false, 'unreadable']);
    return;
  }
  expect(says).toEqual(openingOf(read));
  const denied = attempt.decision === 'deny';
  expect(errno).toBe(denied ? EACCES : 0);
  if (denied) expect(arrived).toBeLessThan(bytes.length);
  else expect(arrived).toBe(bytes.length);
}

const FILES = ['tls/clients', 'tls/hostile', 'http/clients', 'http/hostile', 'first-bytes/neither'];
const stored = FILES.flatMap((file) => vectors(file).map((vector) => ({ ...vector, file })));

describe('the kernel reads first bytes as readFirstBytes does', () => {
  test('every stored opening, sent whole', async () => {
    const told = await tell(stored.map(({ bytes }) => [bytes]));
    told.forEach((one, i) => {
      const { file, title, bytes } = stored[i] as (typeof stored)[number];
      try {
        expectAlike(bytes, one);
      } catch (error) {
        throw new Error(`${file}: ${title}`, { cause: error });
      }
    });
    expect(harness.disagreements).toBe(0);
    expect(harness.lost).toEqual({});
  });

  test('every stored opening, a few bytes at a time', async () => {
    const pieces = ({ bytes }: { bytes: Buffer }) =>
      Array.from({ length: Math.ceil(bytes.length / 7) }, (_, i) => bytes.subarray(i * 7, i * 7 + 7));
    const short = stored.filter(({ bytes }) => bytes.length < 3000);
    const told = await tell(short.map(pieces));
    told.forEach((one, i) => {
      const { file, title, bytes } = short[i] as (typeof short)[number];
      try {
        expectAlike(bytes, one);
      } catch (error) {
        throw new Error(`${file}: ${title}`, { cause: error });
      }
    });
  });

  test(
    `mutated openings, cut anywhere (${RUNS})`,
    async () => {
      const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000);
      const pick = random(seed);
      const mutated = Array.from({ length: RUNS }, () =>
        mutate(stored[pick(stored.length)]?.bytes ?? Buffer.alloc(0), pick),
      );
      const told = await tell(mutated.map((bytes) => cut(bytes, pick)));
      told.forEach((one, i) => {
        const bytes = mutated[i] ?? Buffer.alloc(0);
        try {
          expectAlike(bytes, one);
        } catch (error) {
          throw new Error(`FUZZ_SEED=${seed} run ${i}: ${bytes.toString('hex').slice(0, 600)}`, {
            cause: error,
          });
        }
      });
      expect(harness.disagreements).toBe(0);
      expect(harness.lost).toEqual({});
    },
    Math.max(60_000, RUNS * 10),
  );
});
