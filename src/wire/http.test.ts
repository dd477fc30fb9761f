import { createServer, type IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { mutate, random, vectors } from '../../test/vectors/corpus.ts';
import { addressBytes } from '../model/address.ts';
import { decodeHttpHead } from './http.ts';

/** Mutated heads that Node's own parser reads too; FUZZ_RUNS sets more. */
const RUNS = Math.ceil(Number(process.env.FUZZ_RUNS ?? 50_000) / 20);

type Taken = Pick<IncomingMessage, 'method' | 'url' | 'rawHeaders'>;

/** A server that says what it takes for a request. */
function reader(lenient: boolean) {
  const options = { insecureHTTPParser: lenient, requireHostHeader: false, maxHeaderSize: 65_536 };
  const server = createServer(options);
  const read = (bytes: Buffer): Promise<Taken | null> =>
    new Promise((resolve) => {
      const wire = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
      const finish = (request: Taken | null) => {
        for (const event of ['request', 'connect', 'upgrade', 'clientError'])
          server.removeAllListeners(event);
        resolve(request);
        wire.destroy();
      };
      for (const event of ['request', 'connect', 'upgrade']) server.on(event, finish);
      server.on('clientError', () => finish(null));
      wire.on('end', () => setImmediate(() => finish(null)));
      wire.on('error', () => {});
      server.emit('connection', wire);
      wire.push(bytes);
      wire.push(null);
    });
  return { read, close: () => server.close() };
}

const readers = { strict: reader(false), lenient: reader(true) };
afterAll(() => {
  for (const one of Object.values(readers)) one.close();
});

function hosts({ rawHeaders }: Taken): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === 'host');
}

/** Where a server or proxy that took this request would say it is for, read by WHATWG rules; null: nowhere. */
function goal(request: Taken): { host: string; port: number | null } | null {
  const target = request.url ?? '';
  const proxied = request.method === 'CONNECT' || !/^[/*]/.test(target);
  const text = request.method === 'CONNECT' ? target : /^[^:]+:\/\/([^/?#]*)/.exec(target)?.[1];
  const authority = proxied ? text : hosts(request)[0];
  if (authority === undefined || authority === '') return null;
  const url = new URL(`x://${authority}`);
  return {
    host: url.hostname.toLowerCase().replace(/\.$/, ''),
    port: url.port === '' ? null : Number(url.port),
  };
}

/** What is wrong with our reading, were the server's right; null: nothing. */
function quarrel(bytes: Buffer, request: Taken): string | null {
  const ours = decodeHttpHead(bytes);
  if (ours.kind === 'unreadable') return null;
  if (ours.kind !== 'http') return `read as ${ours.kind}`;
  if (ours.method !== request.method) return `method ${ours.method}`;
  if (hosts(request).length > 1) return 'two Hosts';
  const theirs = goal(request);
  if (theirs === null) return ours.name === null && ours.address === null ? null : 'a name from nowhere';
  const bare = theirs.host.replace(/^\[|\]$/g, '');
  const same = ours.address === null ? ours.name === bare : sameAddress(ours.address, bare);
  if (!same) return `${ours.name ?? ours.address} for ${theirs.host}`;
  return theirs.port === null || theirs.port === ours.port ? null : `port ${ours.port} for ${theirs.port}`;
}

function sameAddress(a: string, b: string): boolean {
  return Buffer.from(addressBytes(a)).equals(Buffer.from(addressBytes(b)));
}

const corpus = [...vectors('http/clients'), ...vectors('http/hostile')];

test.each(['strict', 'lenient'] as const)('Node, %s, sends every stored head where we say', async (kind) => {
  let taken = 0;
  for (const { title, bytes } of corpus) {
    const request = await readers[kind].read(bytes);
    if (request === null) continue;
    taken++;
    expect(quarrel(bytes, request), title).toBe(null);
  }
  expect(taken).toBeGreaterThan(60);
});

test.each(['strict', 'lenient'] as const)(
  `Node, %s, reads no mutated head in another way (${RUNS})`,
  {
    timeout: Math.max(60_000, RUNS * 10),
  },
  async (kind) => {
    const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000);
    const pick = random(seed);
    let taken = 0;
    for (let run = 0; run < RUNS; run++) {
      const bytes = mutate(corpus[pick(corpus.length)]?.bytes ?? Buffer.alloc(0), pick);
      const request = await readers[kind].read(bytes);
      if (request === null) continue;
      taken++;
      const found = quarrel(bytes, request);
      if (found !== null)
        expect.fail(`FUZZ_SEED=${seed} run ${run}: ${found} in ${bytes.toString('latin1')}`);
    }
    expect(taken).toBeGreaterThan(RUNS / 20);
  },
);

const name = fc
  .array(fc.stringMatching(/^[a-zA-Z_]([a-zA-Z0-9_-]{0,20}[a-zA-Z0-9_])?$/), { minLength: 1, maxLength: 5 })
  .map((labels) => labels.join('.'));
const place = fc.record({
  host: fc.oneof(name, fc.ipV4(), fc.constantFrom('[2001:db8::1]', '[::1]')),
  port: fc.option(fc.integer({ min: 1, max: 65_535 })),
});
const field = fc.stringMatching(/^[A-GI-Za-gi-z][A-Za-z-]{0,12}:[ \t]{0,2}[ -~]{0,40}$/);

test('a head is read as it was made, in every form', () => {
  const made = fc.record({
    place,
    form: fc.constantFrom('origin' as const, 'absolute' as const, 'authority' as const),
    before: fc.array(field, { maxLength: 5 }),
    after: fc.array(field, { maxLength: 5 }),
    path: fc.stringMatching(/^\/[!-~]{0,30}$/),
  });
  fc.assert(
    fc.property(made, ({ place: { host, port }, form, before, after, path }) => {
      const given = form === 'authority' ? (port ?? 443) : port;
      const authority = given === null ? host : `${host}:${given}`;
      const method = form === 'authority' ? 'CONNECT' : 'PATCH';
      const target = { origin: path, absolute: `http://${authority}${path}`, authority }[form];
      const lines = [`${method} ${target} HTTP/1.1`, ...before, `hOST: ${authority}`, ...after, '', 'body'];
      const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
      const isAddress = /^[\d.]+$|:/.test(bare);
      expect(decodeHttpHead(Buffer.from(lines.join('\r\n')))).toEqual({
        kind: 'http',
        method,
        form,
        name: isAddress ? null : bare,
        address: isAddress ? bare : null,
        port: given ?? (form === 'absolute' ? 80 : null),
      });
    }),
    { numRuns: 1000 },
  );
});
