import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LEASE_SETTINGS, type LeaseSettings } from '../../src/guard/lease-settings.ts';
import * as layout from '../../src/kernel/layout.gen.ts';
import { native } from '../../src/kernel/native.ts';
import { Harness } from './harness.ts';
import { compiled, OWN } from './harness-cases.ts';
import { type Ground, KINDS, makeGround } from './harness-dial.ts';

const { EPERM } = constants.errno;
/** A listener is on this port of every address, and only it is allowed. */
const PORT = 443;
const QUICK: LeaseSettings = { ...LEASE_SETTINGS, floor: 250, cap: 250, grace: 2000 };

let ground: Ground;
let harness: Harness;
let listener: ChildProcess;

beforeAll(async () => {
  ground = await makeGround();
  harness = await Harness.start(ground);
  const program = `require('node:net').createServer().listen(${PORT}, '::', () => console.log('up'))`;
  listener = spawn('nsenter', [`--net=${ground.namespace.path}`, process.execPath, '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(listener.stdout as NodeJS.ReadableStream, 'data');
});

afterAll(async () => {
  listener?.kill();
  await harness?.stop();
  await ground?.close();
});

/** Allows a name and an address that needs none; the rest by default. */
function install(leases: LeaseSettings = QUICK): void {
  const written = {
    version: 1,
    services: { d: { hosts: ['d.d'] } },
    deployments: {
      d: {
        allow: [{ host: 'a.example', ports: [PORT] }, { address: '192.0.2.99' }, { address: '2001:db8::99' }],
      },
    },
  };
  const of = { written, options: { allow: [], deny: [], default: null } };
  const [policy, policyElsewhere] = [compiled(of, [OWN]), compiled(of, [])];
  harness.install({ policy, policyElsewhere, learned: [], here: true, leases });
}

async function dial(kind: string, address: string, port = PORT): Promise<number | undefined> {
  return (await harness.dial([{ kind, address, port }])).errnos[0];
}

/** Entries of the run's tables in the kernel. */
function entries(): { facts: number; answers: number } {
  const count = (map: string, size: number) => native().mapKeys(harness.map(map), 1 << 20).length / size;
  return {
    facts: count('facts', layout.factKey.size),
    answers: count('fact_entries', layout.factEntryKey.size),
  };
}

/** The kernel's own mark of the last use of the one fact there is, in its units. */
function mark(): number {
  const map = harness.map('facts');
  const value = native().mapLookup(map, native().mapKeys(map, 1));
  return value?.readUInt32LE(layout.fact.used.offset) ?? Number.NaN;
}

function forgetAll(): void {
  while (harness.facts.lapse());
}

describe('who is connected to what is read from the sockets themselves', () => {
  const kept = Object.entries(KINDS).filter(([kind]) => /^(tcp|udp|send|uring-send)/.test(kind));
  test.for(kept)('%s', async ([kind, { family }], context) => {
    if (harness.dialler.missing.has(kind)) context.skip(`this kernel has no ${kind}`);
    install();
    const address = family === 4 ? '192.0.2.99' : '2001:db8::99';
    expect(harness.connections()).not.toContain(address);
    expect(await dial(`+${kind}`, address)).not.toBe(EPERM);
    await expect.poll(() => harness.connections()).toContain(address);
    // The one that is kept makes room for this one, which is closed by the next.
    await dial('+send4', '192.0.2.98');
    await expect.poll(() => harness.connections()).not.toContain(address);
  });

  test('a refused call, and a connection that nobody took, are none', async () => {
    install();
    expect(await dial('+tcp4', '192.0.2.98')).toBe(EPERM);
    expect(harness.connections()).toEqual([]);
    await dial('+tcp4', '192.0.2.99', 9);
    await expect.poll(() => harness.connections()).toEqual([]);
  });

  test('a connected socket that sent elsewhere is connected still', async () => {
    install();
    harness.facts.learn('192.0.2.1', ['a.example'], 1);
    const program = `
import socket, sys
for family, one, other in ((2, '192.0.2.1', '192.0.2.99'), (10, '::ffff:192.0.2.1', '::ffff:192.0.2.99')):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.connect((one, ${PORT}))
    s.sendto(b'x', (other, ${PORT}))
    print(family, flush=True)
    sys.stdin.readline()
    s.close()`;
    const argv = [
      'sh',
      '-c',
      'echo $$ > "$1" && exec python3 -c "$2"',
      'sh',
      `${harness.run.path}/cgroup.procs`,
    ];
    const child = spawn('nsenter', [`--net=${ground.namespace.path}`, ...argv, program], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    for (let i = 0; i < 2; i++) {
      await lines.next();
      // A closed UDP socket is gone after a grace period of the kernel's own.
      await expect.poll(() => harness.connections().sort()).toEqual(['192.0.2.1', '192.0.2.99']);
      child.stdin.write('\n');
    }
    await once(child, 'exit');
    await expect.poll(() => harness.connections()).toEqual([]);
  });
});

test('an address lapses when it is neither used nor connected to, and not before', {
  timeout: 30_000,
}, async () => {
  install();
  const { facts } = harness;
  const [unused, refused, used, udp, tcp, reused] = [1, 2, 3, 4, 5, 6].map((i) => `192.0.2.${i}`) as string[];
  if (!unused || !refused || !used || !udp || !tcp || !reused) throw new Error('no addresses');
  const all = [unused, refused, used, udp, tcp, reused];
  for (const address of all) facts.learn(address, ['a.example'], 1);
  expect(entries()).toEqual({ facts: 6, answers: 6 });
  const other = await ground.dialler(harness.run.path);
  expect(await dial('+udp4', udp)).toBe(0);
  expect(await other.dial([{ kind: '+tcp4', address: tcp, port: PORT }])).not.toEqual([EPERM]);
  const began = performance.now();
  while (performance.now() - began < 3500) {
    expect(await dial('tcp4', used)).not.toBe(EPERM);
    expect(await dial('tcp4', refused, PORT + 1)).toBe(EPERM);
    await sleep(200);
    forgetAll();
  }
  const known = () => all.filter((address) => facts.namesAt(address).length > 0);
  expect(known()).toEqual([used, udp, tcp]);
  expect(entries().facts).toBe(3);
  for (const address of [unused, refused]) expect(await dial('tcp4', address), address).toBe(EPERM);
  // A second connection is as good as the first, and the flow goes on.
  expect(await dial('tcp4', tcp)).not.toBe(EPERM);
  expect(await dial('again', udp)).toBe(0);

  // Once its socket is closed, it is a grace until it lapses: the end was marked in the kernel.
  await other.close();
  await sleep(1000);
  forgetAll();
  expect(known()).toContain(tcp);
  await sleep(2000);
  forgetAll();
  expect(known()).toEqual([udp]);
  expect(await dial('tcp4', tcp)).toBe(EPERM);
  expect(await dial('again', udp)).toBe(0);
  expect(facts.learn(tcp, ['a.example'], 1)).toBe(true);
  expect(await dial('tcp4', tcp)).not.toBe(EPERM);
  expect(harness.disagreements).toBe(0);
});

describe('the kernel marks by itself, since records can be lost,', () => {
  const address = '192.0.2.1';
  const learn = (leases = QUICK) => {
    install(leases);
    harness.facts.learn(address, ['a.example'], 1);
    expect(mark()).toBe(0);
  };
  const now = () => Math.floor(Number(process.hrtime.bigint()) / 2 ** layout.factClock.FACT_USED_SHIFT);

  test.for([
    ['connect()', 'tcp4'],
    ['a datagram', 'send4'],
    ['a packet of a raw socket', 'raw-udp4'],
  ] as const)('%s that is let through', async ([, kind]) => {
    learn();
    const before = now();
    expect(await dial(kind, address)).not.toBe(EPERM);
    expect(mark()).toBeGreaterThanOrEqual(before);
    expect(mark()).toBeLessThanOrEqual(now());
  });

  test('the end of a socket', async () => {
    learn();
    await dial('+udp4', address);
    const before = mark();
    await sleep(500);
    await dial('+send4', '192.0.2.98');
    expect(mark()).toBeGreaterThan(before + 1);
  });

  test('and no refused call', async () => {
    learn();
    for (const kind of ['tcp4', 'send4', 'raw-udp4']) expect(await dial(kind, address, PORT + 1)).toBe(EPERM);
    expect(mark()).toBe(0);
  });

  test('a name learned later takes no mark away', async () => {
    learn({ ...QUICK, grace: 3000 });
    await sleep(2500);
    // A call whose record was lost: nothing but the mark tells of it.
    const map = harness.map('facts');
    const key = native().mapKeys(map, 1);
    const value = native().mapLookup(map, key);
    value?.writeUInt32LE(now(), layout.fact.used.offset);
    native().mapUpdate(map, key, value ?? Buffer.alloc(0));
    harness.facts.learn(address, ['b.example'], 1);
    expect(mark()).toBe(0);
    await sleep(1300);
    forgetAll();
    expect(harness.facts.namesAt(address)).toEqual(['a.example', 'b.example']);
  });
});

test('each lookup adds its names to the kernel at once, and one that lapses leaves the others', async () => {
  install({ ...QUICK, cap: 3000 });
  const { facts } = harness;
  facts.learn('192.0.2.1', ['z.example'], 1);
  expect(await dial('tcp4', '192.0.2.1')).toBe(EPERM);
  facts.learn('192.0.2.1', ['a.example'], 3);
  const { errnos, seen } = await harness.dial([{ kind: 'tcp4', address: '192.0.2.1', port: PORT }]);
  expect(errnos).not.toEqual([EPERM]);
  expect(seen[0]?.recorded.event.destination?.names).toEqual(['a.example', 'z.example']);
  facts.learn('192.0.2.2', ['a.example'], 0);
  facts.learn('192.0.2.2', ['z.example'], 3);
  await sleep(2600);
  forgetAll();
  expect(facts.chainsAt('192.0.2.2')).toEqual([['z.example']]);
  expect(await dial('tcp4', '192.0.2.2')).toBe(EPERM);
});

describe('a full table', () => {
  const OTHER_RUN = 99n;
  const FULL = 1 << 20;

  /** Fills a table up with the facts of another run, but for so many; gives what empties it. */
  function fill(name: 'facts' | 'fact_entries', but: number): () => void {
    const map = harness.map(name);
    const { size, ...at } = name === 'facts' ? layout.factKey : layout.factEntryKey;
    const count = FULL - native().mapKeys(map, FULL).length / size - but;
    const keys = Buffer.alloc(count * size);
    for (let i = 0; i < count; i++) {
      if ('run' in at) keys.writeBigUInt64LE(OTHER_RUN, i * size + at.run.offset);
      keys.writeUInt32LE(i, i * size + ('address' in at ? at.address.offset : at.fact.offset));
    }
    native().mapUpdateBatch(map, keys, Buffer.alloc(count * 8), count);
    return () => native().mapDeleteBatch(map, keys, count);
  }

  test.for([
    ['facts', 'a second address', '192.0.2.2'],
    ['fact_entries', 'a second name of an address', '192.0.2.1'],
  ] as const)('%s: %s is not learned, what is known stays, and there is a count', async ([map, , second]) => {
    install(LEASE_SETTINGS);
    const { facts } = harness;
    const empty = fill(map, 1);
    try {
      expect(facts.learn('192.0.2.1', ['a.example'], 60)).toBe(true);
      const before = entries();
      expect(facts.learn(second, ['b.example'], 60)).toBe(false);
      expect(entries()).toEqual(before);
      expect(facts.lost).toEqual({ 'learned addresses full': 1 });
      expect(facts.namesAt('192.0.2.1')).toEqual(['a.example']);
      expect(facts.namesAt('192.0.2.2')).toEqual([]);
      const { errnos, seen } = await harness.dial([{ kind: 'tcp4', address: '192.0.2.1', port: PORT }]);
      expect(errnos).not.toEqual([EPERM]);
      expect(seen[0]?.recorded.event.destination?.names).toEqual(['a.example']);
      expect(await dial('tcp4', '192.0.2.2')).toBe(EPERM);
    } finally {
      empty();
    }
    expect(facts.learn(second, ['b.example'], 60)).toBe(true);
    expect(harness.disagreements).toBe(0);
  });
});

test('ten thousand names of one address take well under a second of processor', () => {
  install(LEASE_SETTINGS);
  const { facts } = harness;
  const before = process.cpuUsage();
  for (let i = 0; i < 10_000; i++)
    expect(facts.learn('192.0.2.1', [`shop-${i}.example`, 'edge.cdn.example'], 60)).toBe(true);
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1000).toBeLessThan(1000);
  expect(facts.namesAt('192.0.2.1')).toHaveLength(10_001);
  expect(entries().facts).toBe(1);
});
