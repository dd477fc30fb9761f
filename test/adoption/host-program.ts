/**
 * An engine with one run, as a daemon hosts it: it takes over what is there. Arguments: a JSON object with the run and a
 * directory for its audit trail; then the sockets held for the DNS proxy. Says `ready`.
 */
import { AuditTrail } from '../../src/audit/trail.ts';
import { Clock } from '../../src/guard/clock.ts';
import { Engine } from '../../src/guard/engine.ts';
import { heldListeners } from '../../src/guard/held-sockets.ts';
import { readEntries } from '../../src/guard/registry.ts';
import { guardRun } from '../../src/guard/run-guard.ts';
import { UndoList } from '../../src/guard/undo.ts';
import { ownCgroup } from '../../src/kernel/cgroup.ts';
import { native } from '../../src/kernel/native.ts';
import { removeEnginePins } from '../../src/kernel/pins.ts';
import { loadPrograms } from '../../src/kernel/programs.ts';
import { policyOf } from '../kernel/engine-stage.ts';

const ALLOW = '[{address: 10.77.0.2}, {host: "*.example"}]';
const DENY = '[{host: "*.denied.example"}]';
const DNS = '{servers: [127.53.0.1]}';

/** Small, so that the journal turns and is released while the host is killed. */
const HALF_PAGES = 900;

const [given = '', ...fds] = process.argv.slice(2);
const { run: id, state } = JSON.parse(given) as { run: string; state: string };

const trail = new AuditTrail({ directory: state, onNotice: () => {} });
const programs = await loadPrograms(['enforce'], { pinned: true, journalPages: 1 + 2 * HALF_PAGES });
const engine = new Engine(programs, new Clock(() => native().clocks()), {
  held: heldListeners(fds.map(Number)),
  flushed: () => trail.flushed(),
});
const entry = readEntries().find((one) => one.id === id);
const policy = policyOf(
  `{circular: "off", default: deny, dns: ${DNS}, allow: ${ALLOW}, deny: ${DENY}}`,
  'policy',
);
const policies = (entry?.origins?.generations ?? []).map(({ generation }) => ({ ...policy, generation }));
const asked = { deployment: null, allow: [], deny: [], default: null, mode: null };
const guard = await guardRun(
  {
    ...{ ...policy, id, host: 'test', deployment: 'd', leftover: 'release', syscalls: false },
    starter: { pid: process.pid, cgroup: ownCgroup() },
    ...(entry
      ? { adopt: { entry, policies } }
      : { outlives: { owner: 0, labels: {}, asked, started: new Date().toISOString() } }),
    onDenied: () => {},
    onEvent: ({ event }) => trail.record(event),
    onUnwatched: () => {},
    onLost: () => {},
  },
  [],
  async () => engine,
  new UndoList(),
);
await engine.resume();
engine.start();
process.stdout.write('ready\n');

process.on('SIGTERM', async () => {
  const { lost, failures } = await guard.finish();
  const all = { ...lost, ...engine.lost };
  await engine.close();
  removeEnginePins();
  const end = await trail.close();
  process.stdout.write(`${JSON.stringify({ lost: all, failures, end })}\n`);
  process.exit(0);
});
