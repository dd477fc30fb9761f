import type { ChildProcess } from 'node:child_process';
import { appendFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { pastOfTrail } from '../../src/audit/past.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { acyclic, remains, until } from '../cli/harness.ts';
import { startEcho } from '../cli/residents.ts';
import { type Build, build } from './builds.ts';
import { type Hosted, openHost } from './host.ts';

/** Programs of other instructions on the same maps. */
const OTHER_PROGRAMS = {
  'bpf/maps.bpf.h': [['\t__u32 zero = 0;\n', '\t__u32 zero = 0;\n\n\tbpf_ktime_get_ns();\n']],
} as const;
/** Maps of another shape. */
const OTHER_LAYOUT = {
  'bpf/maps.bpf.h': [
    ...OTHER_PROGRAMS['bpf/maps.bpf.h'],
    [
      '__type(key, struct denial_key);\n\t__type(value, __u8);',
      '__type(key, struct denial_key);\n\t__type(value, __u64);',
    ],
  ],
  'bpf/call.bpf.h': [['__u8 yes = 1;', '__u64 yes = 1;']],
  'src/kernel/pins.ts': [[/const LAYOUT_VERSION = \d+;/, 'const LAYOUT_VERSION = 9999;']],
} as const;

let programs: Build;
let layout: Build;
beforeAll(() => {
  programs = build(OTHER_PROGRAMS);
  layout = build(OTHER_LAYOUT);
});
afterAll(() => {
  programs.remove();
  layout.remove();
});

let hosted: Hosted;
let echo: ChildProcess;
beforeEach(async () => {
  hosted = await openHost();
  echo = await startEcho(hosted.place);
});
afterEach(async () => {
  echo.kill();
  await hosted.close();
  expect(remains()).toEqual([]);
  expect(pinned()).toEqual([]);
});

/** What is pinned, by layout. */
function pinned(): string[] {
  try {
    return readdirSync('/sys/fs/bpf/acyclic', { recursive: true, encoding: 'utf8' });
  } catch {
    return [];
  }
}

/** Talks to an allowed address and calls a denied one in turns until its input ends; says how each went, and how often. */
const CALLER = `import errno, json, os, select, socket, sys, time
seen = {}
while not select.select([sys.stdin], [], [], 0)[0]:
    for address in ('127.3.0.1', '127.2.0.7'):
        s = socket.socket()
        s.settimeout(2)
        try:
            s.connect((address, 9))
            s.sendall(b'x')
            how = 'talked' if s.recv(1) == b'x' else 'cut'
        except OSError as e: how = errno.errorcode.get(e.errno, str(e))
        s.close()
        key = address + ' ' + how
        seen[key] = seen.get(key, 0) + 1
    time.sleep(0.002)
print(json.dumps(seen))`;

interface Caller {
  readonly run: string;
  /** Ends it; gives how its calls went, and what acyclic told. */
  end(): Promise<{ status: unknown; seen: Record<string, number>; told: string }>;
}

async function startCaller(): Promise<Caller> {
  const options = ['--socket', hosted.socket, '-d', 'mysql'];
  const child = hosted.place.start([acyclic, 'run', ...options, '--', 'python3', '-c', CALLER], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let [stdout, told] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (data) => {
    stdout += data;
  });
  child.stderr?.setEncoding('utf8').on('data', (data) => {
    told += data;
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  await until(() => told.includes('guarding mysql'), 'the run is guarded');
  await sleep(300);
  return {
    run: /run (01\w{24})/.exec(told)?.[1] ?? '',
    async end() {
      child.stdin?.end();
      const status = await ended;
      return { status, seen: JSON.parse(stdout), told };
    },
  };
}

async function eventsOf(run: string): Promise<AuditEvent[]> {
  const events: AuditEvent[] = [];
  for await (const event of pastOfTrail(hosted.state).events({ run, deployment: null, since: null }))
    events.push(event);
  return events;
}

const denials = (events: readonly AuditEvent[]) =>
  events.filter(({ verdict }) => verdict === 'deny').reduce((sum, { count }) => sum + count, 0);

test('another build goes on: no verdict is wrong, each denial is on record once', async () => {
  const caller = await startCaller();
  await hosted.kill();
  await hosted.start(programs.acyclic);
  await sleep(300);
  expect(await hosted.status()).toMatchObject({ degraded: [], runs: [{ id: caller.run }] });
  const { status, seen, told } = await caller.end();
  expect(status, told).toBe(0);
  expect(Object.keys(seen).sort()).toEqual(['127.2.0.7 EPERM', '127.3.0.1 talked']);
  const events = await eventsOf(caller.run);
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  expect(denials(events)).toBe(seen['127.2.0.7 EPERM']);
});

test('a build with maps of another shape goes on: no verdict is wrong, and nothing of the old one is left', async () => {
  const caller = await startCaller();
  // Numbers of the old engine's policies are on file, and must not be taken for those of the new one's.
  appendFileSync(join(hosted.policy, 'acyclic.yaml'), '# changed\n');
  await hosted.client.request('POST', '/v1/policy/reload');
  await hosted.kill('SIGTERM');
  const killed = new Date().toISOString();
  await sleep(200);
  await hosted.start(layout.acyclic);
  const before = denials(await eventsOf(caller.run));
  await sleep(500);
  const { degraded, runs, lost } = await hosted.status();
  expect({ degraded, runs, lost }).toMatchObject({ degraded: [], runs: [{ id: caller.run }], lost: {} });
  const { status, seen, told } = await caller.end();
  expect(status, told).toBe(0);
  // One that is being made at that moment may be cut (docs/decisions/adoption.md).
  const { '127.3.0.1 ECONNABORTED': cut = 0, ...others } = seen;
  expect(cut).toBeLessThanOrEqual(1);
  expect(Object.keys(others).sort()).toEqual(['127.2.0.7 EPERM', '127.3.0.1 talked']);
  const events = await eventsOf(caller.run);
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  expect(denials(events)).toBeGreaterThan(before + 20);
  expect(denials(events)).toBeLessThanOrEqual(seen['127.2.0.7 EPERM'] ?? 0);
  const policies = events.flatMap(({ time, policy }) => (time > killed ? [policy] : []));
  expect([...new Set(policies)]).toEqual([runs[0]?.policy]);
  expect(pinned().filter((path) => !path.startsWith('v9999'))).toEqual([]);
});

test('a run that a build with maps of another shape cannot read stays guarded, is told, and is cleared at its end', async () => {
  const caller = await startCaller();
  await hosted.kill();
  writeFileSync(`/run/acyclic/hosted/${caller.run}.json`, '{"v": 2}');
  await hosted.start(layout.acyclic);
  expect((await hosted.status()).degraded).toEqual([
    expect.stringContaining(`run ${caller.run} was guarded`),
  ]);
  expect(hosted.acyclic(['run', '-d', 'mysql', '--', 'true']).status).toBe(0);
  await sleep(300);
  const { status, seen, told } = await caller.end();
  expect(status, told).toBe(0);
  expect(Object.keys(seen).sort()).toEqual(['127.2.0.7 EPERM', '127.3.0.1 talked']);
  await until(() => !pinned().some((path) => path.includes(caller.run)), 'it is cleared');
  const onFile = () => readdirSync('/run/acyclic/hosted').some((name) => name.startsWith(caller.run));
  await until(() => !onFile(), 'nothing of it is on file');
  expect((await hosted.status()).degraded).toEqual([]);
});
