import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createMask } from '../../src/audit/mask.ts';
import { Clock } from '../../src/guard/clock.ts';
import { ClosedSockets, closedTo } from '../../src/guard/closed-sockets.ts';
import { Dependencies } from '../../src/guard/dependency.ts';
import { Engine } from '../../src/guard/engine.ts';
import { GuardedRun } from '../../src/guard/guarded-run.ts';
import { LEASE_SETTINGS } from '../../src/guard/lease-settings.ts';
import { ProcessTable } from '../../src/guard/processes.ts';
import type { RunPolicy } from '../../src/guard/reign.ts';
import { type Cgroup, createCgroup, ownCgroup, removeCgroup } from '../../src/kernel/cgroup.ts';
import { closedKey } from '../../src/kernel/layout.gen.ts';
import { ensureBpffs } from '../../src/kernel/mounts.ts';
import { native } from '../../src/kernel/native.ts';
import { loadPrograms } from '../../src/kernel/programs.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { compile } from '../../src/policy/compile.ts';
import { parsePolicy } from '../../src/policy/parse.ts';
import { until } from './fixtures/fixture.ts';

const NAME = `acyclic-closed-${process.pid}`;
const undo: (() => void | Promise<void>)[] = [];
const events: AuditEvent[] = [];
let directory: string;
let cgroup: Cgroup;
let engine: Engine;
let run: GuardedRun;
let sockets: ClosedSockets;
let call: (path: string) => Promise<string>;

function policyOf(delegate: string, onDeny = 'EPERM'): RunPolicy {
  const text = `{version: 1, deployments: {d: {circular: "off", on_deny: ${onDeny}, delegate: ${delegate}}}}`;
  const { policy } = parsePolicy([{ path: 'p', text }]);
  const options = { deployment: null, allow: [], deny: [], default: null, mode: null, now: new Date() };
  const compiled = compile(policy, { ...options, ownAddresses: [] });
  return { policy: compiled, policyElsewhere: compiled, policyId: delegate, staged: null };
}

/** In a process of the run: connects to each path it is told, and says how that went. */
const CALLER = `
import errno, socket, sys
for line in sys.stdin:
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(line.rstrip())
        print('open', flush=True)
    except OSError as e: print(errno.errorcode[e.errno], flush=True)
    s.close()`;

function listen(path: string): Server {
  const server = createServer((socket) => socket.on('error', () => {}).end()).listen(path);
  undo.push(() => {
    server.close();
  });
  return server;
}

beforeAll(async () => {
  ensureBpffs();
  directory = mkdtempSync(join(tmpdir(), 'acyclic-closed-'));
  undo.push(() => rmSync(directory, { recursive: true }));
  for (const name of ['docker.sock', 'podman']) await once(listen(at(name)), 'listening');
  cgroup = createCgroup(ownCgroup(), NAME);
  undo.push(() => until(() => removeCgroup(cgroup.path), `${cgroup.path} to be empty`));
  const clock = new Clock(() => native().clocks());
  const processes = new ProcessTable(clock);
  engine = new Engine(await loadPrograms(['enforce'], { closes: true }), clock);
  undo.push(() => engine.close());
  const first = policyOf('{}');
  sockets = new ClosedSockets(engine.programs.map('closed_sockets'), cgroup.id, await closedTo(first.policy));
  run = await GuardedRun.begin(engine, {
    ...{ ...first, cgroup, sockets, processes, mask: createMask(), leases: LEASE_SETTINGS, syscalls: false },
    common: { host: 'test', run: 'test', deployment: 'd' },
    dependencies: new Dependencies({
      policy: first.policy,
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
  sockets.begin();
  engine.add(run);
  engine.start();
  engine.programs.attach(cgroup, NAME, { modes: ['enforce'], closes: true });
  const child = spawn('sh', ['-c', 'read go; exec python3 -c "$0"', CALLER], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  undo.push(() => {
    child.kill('SIGKILL');
  });
  writeFileSync(join(cgroup.path, 'cgroup.procs'), String(child.pid));
  child.stdin.write('\n');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  call = async (path) => {
    child.stdin.write(`${path}\n`);
    return String((await lines.next()).value);
  };
});
afterAll(async () => {
  for (const step of undo.reverse()) await step();
});
beforeEach(() => {
  events.length = 0;
});

const at = (name: string) => join(directory, name);
const closed = () => native().mapKeys(engine.programs.map('closed_sockets'), 1000).length / closedKey.size;

test('a policy that is put in force closes what it denies, and opens what it does not', async () => {
  const docker = at('docker.sock');
  expect(await call(docker)).toBe('open');
  expect(closed()).toBe(0);
  expect(await run.swap(policyOf('{ docker: deny }'))).toBe(true);
  expect([await call(docker), await call(at('podman'))]).toEqual(['EPERM', 'open']);
  expect(await run.swap(policyOf('{ docker: deny }', 'ECONNREFUSED'))).toBe(true);
  expect(await call(docker)).toBe('ECONNREFUSED');
  expect(await run.swap(policyOf('{ docker: audit, podman: deny }'))).toBe(true);
  expect(await call(docker)).toBe('open');
  expect(await run.swap(policyOf('{ docker: deny }'))).toBe(true);
  expect(await call(docker)).toBe('EPERM');
  await until(() => {
    engine.stream.drainAll();
    return events.length >= 3;
  }, 'the denials to be told');
  expect(events.map(({ verdict, outcome, policy }) => [verdict, outcome?.errno, policy])).toEqual([
    ['deny', 'EPERM', '{ docker: deny }'],
    ['deny', 'ECONNREFUSED', '{ docker: deny }'],
    ['deny', 'EPERM', '{ docker: deny }'],
  ]);
});

test('one that is called for the first time is closed then, by its spelling too', async () => {
  expect(await run.swap(policyOf('{ docker: deny }'))).toBe(true);
  const other = join(directory, 'later', 'docker.sock');
  sockets.closeLate(`${directory}//later/./docker.sock`, policyOf('{ docker: deny }').policy);
  expect([await call(other), await call(`${directory}/./later//docker.sock`)]).toEqual(['EPERM', 'EPERM']);
  sockets.closeLate(`/${'x'.repeat(200)}/docker.sock`, policyOf('{ docker: deny }').policy);
});

test('nothing of it is left in the tables when the run ends', async () => {
  expect(closed()).toBeGreaterThan(2);
  sockets.clear();
  expect(closed()).toBe(0);
  expect(await call(at('docker.sock'))).toBe('open');
});
