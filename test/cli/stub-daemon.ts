import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { StreamMessage } from '../../src/daemon/answers.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import type { RuleReference } from '../../src/model/verdict.ts';
import { makeDirectory, type Served, serve } from '../daemon/harness.ts';
import { RUN } from '../daemon/sample.ts';

/** A daemon whose runs have cgroups and no programs: for what is between the command line and a real one. */
export interface StubDaemon {
  readonly socket: string;
  /** What the stream of the newest run says next. */
  say(message: StreamMessage): Promise<void>;
  /** What goes wrong with commands from now on. */
  fault(fault: 'refuse' | 'leave' | 'hang' | 'untold' | null): Promise<void>;
  start(): Promise<void>;
  kill(): Promise<void>;
  close(): Promise<void>;
}

/** `degraded`: what it says is wrong with it. */
export async function openStub(degraded: readonly string[] = []): Promise<StubDaemon> {
  const directory = makeDirectory();
  const socket = join(directory, 'socket');
  const runs = join(directory, 'runs');
  let served: Served | null = null;
  const stub: StubDaemon = {
    socket,
    say: async (say) => served?.tell({ say }),
    fault: async (fault) => served?.tell({ fault }),
    async start() {
      served = await serve({ path: socket, runs, degraded });
    },
    async kill() {
      const child = served?.process;
      if (!child) return;
      served = null;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
    async close() {
      await stub.kill();
      rmSync(directory, { recursive: true });
    },
  };
  await stub.start();
  return stub;
}

const RULE: RuleReference = {
  ...{ kind: 'default', source: 'acyclic.yaml:3', id: null, service: null },
  ...{ reason: null, owner: null, instead: null },
};

/** A call to a host, as the daemon tells of it; `number` orders them. */
export function callOf(number: number, host: string, verdict: 'allow' | 'deny') {
  const event: AuditEvent = {
    ...{ v: 1, id: `7ZZZZZZZZZ00000000000000${String(number).padStart(2, '0')}`, host: 'db-1', run: RUN },
    ...{ time: '2026-11-23T03:20:33.123456789Z', deployment: 'mysql', policy: '3f9c2a1', count: 1 },
    kind: 'connect',
    destination: { address: '192.0.2.7', port: 443, protocol: 'tcp', names: [host], service: null },
    process: {
      ...{ pid: 4242, start: null, uid: 0, comm: 'curl', exe: '/usr/bin/curl', argv: ['curl'], ancestry: [] },
    },
    ...{ verdict, rule: { kind: 'default', source: 'acyclic.yaml:3', reason: null, owner: null } },
    ...{ dependency: null, outcome: null, hook: null },
  };
  return { event, rule: RULE, cycle: null, saw: verdict === 'deny' ? 'connect() = EPERM' : null };
}
