/**
 * The API's server with a host that holds no kernel, for tests of what is between the socket and the host.
 * usage: server-program.ts OPTIONS, as JSON: {listen, group, metrics, bounds, well, runs, degraded, keep}; with `keep`, a
 * directory, the policy in its `etc` and live entries in its `state` are kept as the daemon keeps them. Says `ready` on
 * standard output once it listens. A line `N BYTES UID` on standard input has the host say so many messages of that
 * user's run. With `runs`, a file, runs have cgroups, and outlive this program; lines are then JSON: {say: MESSAGE} or
 * {fault}.
 */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ulid } from 'ulid';
import { activatedSockets } from '../../src/daemon/activation.ts';
import type { Attachment, Entry, RunState, StreamMessage } from '../../src/daemon/answers.ts';
import { BOUNDS } from '../../src/daemon/bounds.ts';
import { Entries } from '../../src/daemon/entries.ts';
import { guardedAt } from '../../src/daemon/guarded.ts';
import type { Host, HostMessage } from '../../src/daemon/host-interface.ts';
import { createLog } from '../../src/daemon/log.ts';
import { readMetricsAddress } from '../../src/daemon/metrics-port.ts';
import { createNotifier } from '../../src/daemon/notify.ts';
import { PolicyKeeper } from '../../src/daemon/policy-keeper.ts';
import { startServer } from '../../src/daemon/server.ts';
import { whoOf } from '../../src/daemon/who.ts';
import { presentTime } from '../../src/model/time.ts';
import { patternsIn } from '../../src/policy/match.ts';
import { parsePolicy } from '../../src/policy/parse.ts';
import { RUN, sampleEvent } from './sample.ts';
import { StubRuns } from './stub-runs.ts';

const options = JSON.parse(process.argv[2] ?? '{}');
const entries: Entry[] = [];
const runs = new Map<string, RunState>();
const readers = new Set<{ run: string | null; deliver: (message: HostMessage) => void }>();

/** Units named `free` need no guard. */
const POLICY = parsePolicy([
  {
    path: 'acyclic.yaml',
    text: `version: 1
services: { mysql: {}, free: {} }
deployments:
  mysql: { match: { cgroups: ["/*/deploy-*", "/*/*/deploy-*"] } }
  free: { match: { cgroups: ["/*/free-*", "/*/*/free-*"], required: false } }`,
  },
]).policy;
let questions = 0;
const stub: StubRuns | null = options.runs
  ? new StubRuns(options.runs, (run, message) => {
      for (const reader of readers) if (reader.run === run || reader.run === null) reader.deliver(message);
    })
  : null;

const unused = () => {
  throw new Error('no test asks for that');
};

/** Policies and entries as the daemon has them, for runs that are not there. */
function keptIn(directory: string): Partial<Host> {
  const common = { state: join(directory, 'state'), log, record: () => {}, recorded: async () => {} };
  const keeper = new PolicyKeeper({ ...common, policy: join(directory, 'etc'), change: () => 2 });
  const live = new Entries({ ...common, policy: () => keeper.loaded, change: () => {} });
  live.start();
  return {
    applyPolicy: (peer, { files, reason = null }) => keeper.apply(files, whoOf(peer), reason),
    reloadPolicy: (peer) => keeper.reload(whoOf(peer)),
    rollbackPolicy: (peer, { to = null, reason = null }) => keeper.rollback(to, whoOf(peer), reason),
    policy: () => ({ ...keeper.answer(), inForce: [] }),
    policyHistory: () => keeper.history(),
    createEntry: (peer, body) => live.create(body, whoOf(peer)),
    entries: () => live.list(),
    removeEntry: (peer, id) => live.remove(id, whoOf(peer)),
  };
}

const log = createLog({ level: 'info' });
const host: Host = {
  may: (_, { what }) => what === 'run',
  ownerOf: (id) => runs.get(id)?.uid,
  status: () => ({
    ...{ version: '0', mode: 'daemon', pid: process.pid, started: '', features: [], policies: [] },
    ...{ runs: [...runs.values()], attachments: [], lost: {}, entries, waivers: [], degraded: [] },
  }),
  measures: () => ({
    runs: runs.size,
    calls: { allow: 5, deny: 2, 'would-deny': 1 },
    lost: Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`cause ${n}`, 1])),
    ...{
      spooled: 3,
      policyErrors: 0,
      waivers: [{ deployment: 'mysql', service: 'github', until: 1_800_000_000 }],
    },
  }),
  runs: () => [...runs.values()],
  createRun(peer, { command, labels, deployment }) {
    const state: RunState = {
      ...{ id: RUN, deployment, policy: null, mode: 'enforce', labels, uid: peer.uid, started: '' },
      ...{ comm: command[0] ?? null, command, calls: 0, denials: 0, would_deny: 0 },
    };
    runs.set(RUN, state);
    return { id: RUN, deployment, mode: 'enforce', policy: null, staged: null, warnings: [], unwatched: [] };
  },
  moveCommand(_, _run, pid, stillSame) {
    if (!stillSame()) throw new Error(`${pid} changed`);
  },
  endRun: unused,
  applyPolicy: (_, { files }) => ({
    ...{
      id: '0000000',
      before: null,
      changed: true,
      changes: files.map(({ path }) => path),
      warnings: [],
      runs: 0,
    },
  }),
  reloadPolicy: () => new Promise(() => {}),
  rollbackPolicy: unused,
  policy: unused,
  policyHistory: () => ({ versions: [] }),
  createEntry(peer, { verdict, destination, reason, deployment = null }) {
    const who = { uid: peer.uid, pid: peer.pid, comm: null };
    const entry = {
      id: `${entries.length}`,
      verdict,
      destination,
      deployment,
      reason,
      created: '',
      until: '',
      who,
    };
    entries.push(entry);
    return entry;
  },
  entries: () => entries,
  removeEntry(_, id) {
    entries.splice(0, entries.length, ...entries.filter((entry) => entry.id !== id));
  },
  // A unit that a number of questions will find guarded; others as their names say.
  guarded(place) {
    const patterns = patternsIn(POLICY);
    const refused = new Map(place.includes('refused') ? [[place, 'there is no room']] : []);
    questions++;
    const guard = { run: RUN, deployment: 'mysql', mode: 'enforce' } as const;
    const guarded = place.includes('soon') && questions > 3;
    return guardedAt(place, { guards: new Map(guarded ? [[place, guard]] : []), patterns, refused });
  },
  createAttachment: unused,
  attachments: () => [],
  removeAttachment: unused,
  subscribe({ run }, deliver) {
    const reader = { run, deliver };
    readers.add(reader);
    return () => readers.delete(reader);
  },
  ...(options.keep ? keptIn(options.keep) : {}),
};

const attached: Attachment[] = [];
const { status } = host;
if (stub)
  Object.assign(host, {
    may: () => true,
    status: async () => ({
      ...(await status()),
      ...{ version: '9.9.9', started: presentTime(), runs: stub.states, attachments: attached },
      degraded: options.degraded ?? [],
    }),
    createAttachment(_, { target, deployment, mode }) {
      const { kind, ...named } = target;
      const one: Attachment = {
        ...{ id: ulid(), target: `${kind}:${Object.values(named)[0]}`, cgroup: '/stub', deployment },
        ...{ policy: '3f9c2a1', mode: mode ?? 'enforce', since: presentTime() },
        ...{ established: ['curl[7] → 192.0.2.7:443/tcp'], calls: 3, denials: 1, would_deny: 0 },
      };
      attached.push(one);
      return one;
    },
    attachments: () => attached,
    removeAttachment(_, id) {
      attached.splice(0, attached.length, ...attached.filter((one) => one.id !== id));
    },
    ownerOf: (id) => stub.ownerOf(id),
    runs: () => stub.states,
    createRun: (peer, body) => stub.create(peer, body),
    moveCommand: (_, run, pid) => stub.move(run, pid),
    endRun: (_, run, body) => stub.end(run, body),
    subscribe({ run, after }, deliver) {
      if (run !== null && after !== null) for (const message of stub.after(run, after)) deliver(message);
      const reader = { run, deliver };
      readers.add(reader);
      return () => readers.delete(reader);
    },
  } satisfies Partial<Host>);

const sockets = activatedSockets();
const [activated] = sockets.get('control') ?? [];
try {
  const server = await startServer({
    ...{ host, log, group: options.group },
    listen: activated === undefined ? { path: options.path } : { fd: activated },
    metrics: options.metrics ? readMetricsAddress(options.metrics) : null,
    bounds: { ...BOUNDS, ...options.bounds },
  });
  const notifier = createNotifier({ well: () => options.well !== false, log });
  notifier.ready('serving');
  process.on('SIGHUP', () => {
    notifier.reloading();
    notifier.ready('serving again\nWATCHDOG=trigger');
  });
  process.on('SIGTERM', async () => {
    notifier.stopping();
    await server.close();
    notifier.close();
    await log.close();
    process.exit(0);
  });
  process.stdout.write('ready\n');
} catch (error) {
  process.stdout.write(`${JSON.stringify({ ...(error as Error), message: (error as Error).message })}\n`);
  process.exit((error as { exit?: number }).exit ?? 1);
}

for await (const line of createInterface({ input: process.stdin })) {
  if (stub) {
    const { say, fault } = JSON.parse(line);
    if (say) stub.say(say);
    if (fault !== undefined) stub.fault = fault;
    process.stdout.write(`${JSON.stringify({ said: 1 })}\n`);
    continue;
  }
  const [count = 0, bytes = 0, uid = 0] = line.split(' ').map(Number);
  const message: StreamMessage = { kind: 'event', ...sampleEvent('x'.repeat(bytes)) };
  for (let index = 0; index < count; index++)
    for (const { deliver } of readers) deliver({ id: null, owner: uid, message: { ...message } });
  process.stdout.write(
    `${JSON.stringify({ said: count, readers: readers.size, rss: process.memoryUsage().rss })}\n`,
  );
}
