import { Duplex } from 'node:stream';
import { createSecureContext, TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mutate, random, vectors } from '../../test/vectors/corpus.ts';
import { addressBytes } from '../model/address.ts';
import { decodeTlsHello } from './tls.ts';

/** Mutated hellos that OpenSSL reads too; FUZZ_RUNS sets more. */
const RUNS = Math.ceil(Number(process.env.FUZZ_RUNS ?? 50_000) / 50);

const context = createSecureContext({ minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' });

/** The name under which OpenSSL, as a server, would look for a certificate; null when it does not get that far. */
function servedName(bytes: Buffer): Promise<string | null> {
  return new Promise((resolve) => {
    const wire = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    const finish = (name: string | null) => {
      resolve(name);
      socket.destroy();
    };
    const socket = new TLSSocket(wire, {
      isServer: true,
      secureContext: context,
      SNICallback: (name) => finish(name),
    });
    socket.on('error', () => finish(null));
    wire.on('end', () => setImmediate(() => setImmediate(() => finish(null))));
    wire.push(bytes);
    wire.push(null);
  });
}

/** Whether we say of the hello what a server that saw `name` in it would hold true. */
function agrees(bytes: Buffer, name: string): boolean {
  const read = decodeTlsHello(bytes);
  if (read.kind === 'unreadable') return true;
  return read.kind === 'tls' && (read.name ?? read.address) === name.toLowerCase().replace(/\.$/, '');
}

test('OpenSSL reads the same name in every stored hello it takes', async () => {
  let taken = 0;
  for (const { title, bytes, reads } of [...vectors('tls/clients'), ...vectors('tls/hostile')]) {
    const name = await servedName(bytes);
    if (name === null || name === '') continue;
    taken++;
    expect(agrees(bytes, name), `${title}: ${name}`).toBe(true);
    // Some of what OpenSSL takes is refused here: more bytes than 16 KiB, alerts, names that policy cannot speak of.
    if (reads.kind === 'tls')
      expect(name.toLowerCase().replace(/\.$/, ''), title).toBe(reads.name ?? reads.address);
  }
  expect(taken).toBeGreaterThan(40);
});

test(`OpenSSL reads no name in a mutated hello that we do not (${RUNS})`, {
  timeout: Math.max(60_000, RUNS * 20),
}, async () => {
  const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000);
  const pick = random(seed);
  const corpus = [...vectors('tls/clients'), ...vectors('tls/hostile')].filter(
    ({ bytes }) => bytes.length < 3000,
  );
  let taken = 0;
  for (let run = 0; run < RUNS; run++) {
    const bytes = mutate(corpus[pick(corpus.length)]?.bytes ?? Buffer.alloc(0), pick);
    const name = await servedName(bytes);
    if (name === null || name === '') continue;
    taken++;
    if (!agrees(bytes, name))
      expect.fail(`FUZZ_SEED=${seed} run ${run}: ${name} in ${bytes.toString('hex')}`);
  }
  expect(taken).toBeGreaterThan(RUNS / 20);
});

/** A vector of RFC 8446 §3.4 with a length of `size` bytes. */
function vector(size: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const length = Buffer.alloc(size);
  length.writeUIntBE(content.length, 0, size);
  return Buffer.concat([length, content]);
}

function extension(type: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(type >> 8, type & 0xff), vector(2, content)]);
}

/** Lays a message into records of these sizes, the last of which takes the rest. */
function records(message: Buffer, sizes: readonly number[]): Buffer {
  const parts: Buffer[] = [];
  let rest = message;
  for (const size of [...sizes, message.length]) {
    if (rest.length > 0) parts.push(Buffer.of(0x16, 3, 1), vector(2, rest.subarray(0, size)));
    rest = rest.subarray(size);
  }
  return Buffer.concat(parts);
}

const label = fc.stringMatching(/^[a-zA-Z_]([a-zA-Z0-9_-]{0,20}[a-zA-Z0-9_])?$/);
const host = fc.oneof(
  fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.')),
  fc.ipV4().filter((text) => addressBytes(text).length === 16),
);
const hello = fc.record({
  host: fc.option(host),
  ech: fc.boolean(),
  random: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  session: fc.uint8Array({ maxLength: 32 }),
  suites: fc.uint8Array({ minLength: 1, maxLength: 60 }),
  before: fc.array(fc.tuple(fc.integer({ min: 1, max: 0xfe07 }), fc.uint8Array({ maxLength: 1200 })), {
    maxLength: 5,
  }),
  after: fc.array(fc.tuple(fc.integer({ min: 1, max: 0xfe07 }), fc.uint8Array({ maxLength: 1200 })), {
    maxLength: 5,
  }),
  sizes: fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 20 }),
});

test('a hello is read as it was made, whatever is around the name and however it is cut into records', () => {
  fc.assert(
    fc.property(hello, (made) => {
      const others = (list: [number, Uint8Array][]) =>
        list.map(([type, content]) => extension(type, content));
      const name = vector(2, Buffer.of(0), vector(2, Buffer.from(made.host ?? '', 'latin1')));
      const extensions = [
        ...others(made.before),
        ...(made.ech ? [extension(0xfe0d, Buffer.of(0, 1, 2))] : []),
        ...(made.host === null ? [] : [extension(0, name)]),
        ...others(made.after),
      ];
      const body = Buffer.concat([
        Buffer.of(3, 3),
        made.random,
        vector(1, made.session),
        vector(2, made.suites, made.suites),
        vector(1, Buffer.of(0)),
        vector(2, ...extensions),
      ]);
      const stream = records(Buffer.concat([Buffer.of(1), vector(3, body)]), made.sizes);
      const isAddress = made.host !== null && /^[\d.]+$/.test(made.host);
      const spoken = made.host?.toLowerCase() ?? null;
      expect(decodeTlsHello(stream)).toEqual({
        kind: 'tls',
        name: isAddress ? null : spoken,
        address: isAddress ? spoken : null,
        ech: made.ech,
      });
    }),
    { numRuns: 500 },
  );
});
