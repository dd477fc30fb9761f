import { execFile } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Clock } from '../../src/guard/clock.ts';
import { Engine } from '../../src/guard/engine.ts';
import { type Cgroup, createCgroup, ownCgroup, removeCgroup } from '../../src/kernel/cgroup.ts';
import { ensureBpffs } from '../../src/kernel/mounts.ts';
import { native } from '../../src/kernel/native.ts';
import { loadPrograms } from '../../src/kernel/programs.ts';
import { closeSockets } from '../../src/kernel/unix-connect.ts';
import { guardedRun, policyOf } from './engine-stage.ts';
import { until } from './fixtures/fixture.ts';

/** LONG=1: as many as a busy day has. */
const RUNS = process.env.LONG === undefined ? 200 : 20_000;
const TABLES = [
  ...['runs', 'run_losses', 'addresses', 'ports', 'facts', 'fact_entries', 'names', 'chains'],
  ...['closed_sockets', 'clients'],
];
const NAME = `acyclic-engine-${process.pid}`;

let engine: Engine;
const undo: (() => void | Promise<void>)[] = [];

beforeAll(async () => {
  ensureBpffs();
  engine = new Engine(await loadPrograms(['enforce']), new Clock(() => native().clocks()));
  undo.push(() => engine.close());
  engine.start();
});

afterAll(async () => {
  for (const step of undo.reverse()) await step();
});

/** Entries of each table, where there are any. */
function entries(): Record<string, number> {
  const counts = TABLES.map((name) => {
    const map = engine.programs.map(name);
    return [name, native().mapKeys(map, 1 << 20).length / native().mapInfo(map).keySize] as const;
  });
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

/** A policy with rows of every kind: prefixes, names, ports, names by address, aliases. */
function policyNumber(i: number) {
  const rules = [
    `{address: 10.${i & 255}.0.0/16, ports: [${1000 + (i % 5000)}/tcp]}`,
    `{host: "*.example", ports: [${2000 + (i % 5000)}]}`,
    `{host: alias.example, address: 10.9.0.0/16}`,
  ];
  return policyOf(`{circular: "off", allow: [${rules.join(', ')}], deny: [{host: bad.example}]}`, `p${i}`);
}

test(`${RUNS} runs leave nothing in the kernel's tables`, { timeout: 600_000 }, async () => {
  expect(entries()).toEqual({});
  for (let i = 0; i < RUNS; i++) {
    const run = await guardedRun(engine, { path: '/none', id: BigInt(1000 + i), level: 3 }, policyNumber(i));
    engine.add(run);
    const closed = ['/run/one', '/run/other'].map((path) => ({ path, errno: 111 }));
    closeSockets(engine.programs.map('closed_sockets'), run.run, closed);
    run.lookups.facts.learn('10.9.0.1', ['www.example', 'alias.example'], 60);
    run.lookups.facts.learn('10.9.0.1', ['other.example', 'bad.example'], 60);
    expect(await run.swap(policyNumber(i + 1))).toBe(true);
    run.lookups.facts.learn('10.9.0.2', ['www.example', 'alias.example'], 60);
    if (i === 0) expect(Object.keys(entries()).length).toBeGreaterThanOrEqual(TABLES.length - 1);
    await engine.remove(run);
    await engine.remove(run);
  }
  expect(entries()).toEqual({});
});

/** Answers every question with one address, and keeps the names. */
async function nameServer(address: string): Promise<{ socket: Socket; asked: string[] }> {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (query, { port, address: from }) => {
    asked.push(query.subarray(13, 13 + (query[12] ?? 0)).toString());
    const end = query.indexOf(0, 12) + 5;
    const head = Buffer.from(query.subarray(0, end));
    head.writeUInt16BE(0x8180, 2);
    head.writeUInt16BE(1, 6);
    head.writeUInt32BE(0, 8);
    socket.send(Buffer.concat([head, Buffer.from('c00c000100010000003c00040a090001', 'hex')]), port, from);
  });
  socket.bind(53, address);
  await once(socket, 'listening');
  undo.push(() => {
    socket.close();
  });
  return { socket, asked };
}

const LOOKUP = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(4)
name = sys.argv[1].encode()
s.sendto(bytes.fromhex('123401000001000000000000') + bytes([len(name)]) + name + b'\\x07example\\0\\0\\1\\0\\1', ('192.0.2.53', 53))
print(s.recv(512).hex()[4:8])`;

function cgroupOfRun(name: string): Cgroup {
  const cgroup = createCgroup(ownCgroup(), name);
  undo.push(() => until(() => removeCgroup(cgroup.path), `${cgroup.path} to be empty`));
  return cgroup;
}

test('each run asks the name servers of its own policy', { timeout: 30_000 }, async () => {
  const servers = [await nameServer('127.53.0.1'), await nameServer('127.53.0.2')];
  for (const [i, at] of ['127.53.0.1', '127.53.0.2'].entries()) {
    const cgroup = cgroupOfRun(`${NAME}-${i}`);
    const policy = policyOf(`{circular: "off", allow: [{host: "*.example"}], dns: {servers: [${at}]}}`, at);
    const run = await guardedRun(engine, cgroup, policy);
    engine.add(run);
    await engine.startDns(policy.policy.dns.servers);
    const attachment = engine.programs.attach(cgroup, `${NAME}-${i}`, { modes: ['enforce'], closes: false });
    const script = 'echo $$ > "$1/cgroup.procs"; exec python3 -c "$2" "$3"';
    const asking = promisify(execFile)('sh', ['-c', script, 'sh', cgroup.path, LOOKUP, `run-${i}`]);
    expect((await asking).stdout.trim()).toBe('8180');
    attachment.detach();
    await engine.remove(run);
  }
  expect(servers.map(({ asked }) => asked)).toEqual([['run-0'], ['run-1']]);
});
