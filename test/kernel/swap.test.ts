import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createMask } from '../../src/audit/mask.ts';
import { Clock } from '../../src/guard/clock.ts';
import { Dependencies } from '../../src/guard/dependency.ts';
import { Engine } from '../../src/guard/engine.ts';
import { GuardedRun } from '../../src/guard/guarded-run.ts';
import { LEASE_SETTINGS } from '../../src/guard/lease-settings.ts';
import { ProcessTable } from '../../src/guard/processes.ts';
import type { RunPolicy } from '../../src/guard/reign.ts';
import { type Cgroup, createCgroup, ownCgroup, removeCgroup } from '../../src/kernel/cgroup.ts';
import { ensureBpffs } from '../../src/kernel/mounts.ts';
import { native } from '../../src/kernel/native.ts';
import { loadPrograms } from '../../src/kernel/programs.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { compile } from '../../src/policy/compile.ts';
import { parsePolicy } from '../../src/policy/parse.ts';
import { until } from './fixtures/fixture.ts';

const NAME = `acyclic-swap-${process.pid}`;
const ONE = '127.1.0.1';
const OTHER = '127.2.0.1';
const PROCESSES = 8;
const SWAPS = 1000;

/** Denies one of the addresses, and what its name leads to; the other is allowed. */
function policyThatDenies(denied: string, id: string): RunPolicy {
  const name = denied === ONE ? 'one.example' : 'other.example';
  const text = `{version: 1, deployments: {d: {circular: "off", default: allow, deny: [{address: ${denied}/32}, {host: ${name}}]}}}`;
  const options = { deployment: null, allow: [], deny: [], default: null, mode: null, now: new Date() };
  const policy = compile(parsePolicy([{ path: 'p', text }]).policy, { ...options, ownAddresses: [] });
  return { policy, policyElsewhere: policy, policyId: id, staged: null };
}

const POLICIES = [policyThatDenies(ONE, 'one-denied'), policyThatDenies(OTHER, 'other-denied')] as const;
const events: AuditEvent[] = [];
let cgroup: Cgroup;
let engine: Engine;
let run: GuardedRun;
let server: Server;
let port = 0;
const undo: (() => void | Promise<void>)[] = [];

beforeAll(async () => {
  ensureBpffs();
  server = createServer((socket) => socket.on('error', () => {}).end());
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  port = (server.address() as { port: number }).port;
  cgroup = createCgroup(ownCgroup(), NAME);
  undo.push(() => until(() => removeCgroup(cgroup.path), `${cgroup.path} to be empty`));
  const clock = new Clock(() => native().clocks());
  const processes = new ProcessTable(clock);
  engine = new Engine(await loadPrograms(['enforce']), clock);
  undo.push(() => engine.close());
  run = await GuardedRun.begin(engine, {
    ...{ ...POLICIES[0], cgroup, processes, mask: createMask(), leases: LEASE_SETTINGS, syscalls: false },
    sockets: null,
    common: { host: 'test', run: 'test', deployment: 'd' },
    dependencies: new Dependencies({
      policy: POLICIES[0].policy,
      processes,
      packages: engine.packages,
      command: null,
    }),
    admit: () => true,
    onDenied: () => {},
    onEvent: ({ event }) => events.push(event),
    onCarried: () => {},
  });
  undo.push(() => run.close());
  engine.add(run);
  engine.start();
  engine.programs.attach(cgroup, NAME, { modes: ['enforce'], closes: false });
});

afterAll(async () => {
  for (const step of undo.reverse()) await step();
  server?.close();
});

/** Connects to both addresses in turns as fast as it can, until its input ends; says that it begins, and how each went. */
const CLIENT = `
import errno, json, os, select, socket, sys
seen = {}
print('begun', flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for address in ('${ONE}', '${OTHER}'):
        s = socket.socket()
        try:
            s.connect((address, int(sys.argv[1])))
            how = 'connected'
        except OSError as e: how = errno.errorcode[e.errno]
        s.close()
        seen[address + ' ' + how] = seen.get(address + ' ' + how, 0) + 1
print(json.dumps(seen))`;

function client(): { child: ChildProcess; begun: Promise<unknown>; told: Promise<Record<string, number>> } {
  const child = spawn('sh', ['-c', 'read go; exec "$@"', 'sh', 'python3', '-c', CLIENT, String(port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  writeFileSync(join(cgroup.path, 'cgroup.procs'), String(child.pid));
  child.stdin?.write('\n');
  let output = '';
  const { stdout } = child;
  stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const told = once(child, 'close').then(() => JSON.parse(output.replace('begun\n', '')));
  return { child, begun: stdout ? once(stdout, 'data') : told, told };
}

test(`${SWAPS} swaps while ${PROCESSES} processes connect: each verdict is that of one policy or the other`, {
  timeout: 120_000,
}, async () => {
  const clients = Array.from({ length: PROCESSES }, client);
  await Promise.all(clients.map(({ begun }) => begun));
  for (let i = 1; i <= SWAPS; i++) {
    const next = POLICIES[i % 2] ?? POLICIES[0];
    expect(await run.swap(next)).toBe(true);
    await sleep(1);
  }
  for (const { child } of clients) child.stdin?.end();
  const told = await Promise.all(clients.map(({ told: of }) => of));
  await run.finish();

  const kinds = new Set(told.flatMap((of) => Object.keys(of)));
  expect([...kinds].sort()).toEqual([
    `${ONE} EPERM`,
    `${ONE} connected`,
    `${OTHER} EPERM`,
    `${OTHER} connected`,
  ]);
  const calls = events.filter(({ kind }) => kind === 'connect');
  const wrong = calls.filter(({ policy, verdict, destination }) => {
    const denied = policy === 'one-denied' ? ONE : OTHER;
    return (verdict === 'deny') !== (destination?.address === denied);
  });
  expect(wrong).toEqual([]);
  expect(calls.filter(({ rule }) => rule?.kind === 'default' && rule.reason === 'no-entry')).toEqual([]);
  const made = told.flatMap((of) => Object.values(of)).reduce((sum, count) => sum + count, 0);
  const lost = { ...engine.lost, ...run.lost };
  expect(lost['kernel and policy disagree']).toBeUndefined();
  expect(calls.length + (lost['event ring full'] ?? 0)).toBeGreaterThanOrEqual(made);
  expect(new Set(calls.map(({ policy }) => policy))).toEqual(new Set(['one-denied', 'other-denied']));
});
