/**
 * An engine with one run, as a daemon hosts it: it takes over what is there. Arguments: a JSON object with the cgroup
 * (path, id, level), the run and the state directory; then the sockets held for the DNS proxy. Says `ready`.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createMask } from '../../src/audit/mask.ts';
import { AuditTrail } from '../../src/audit/trail.ts';
import { Residents } from '../../src/guard/attachment.ts';
import { Clock } from '../../src/guard/clock.ts';
import { Dependencies } from '../../src/guard/dependency.ts';
import { Engine } from '../../src/guard/engine.ts';
import { FactFile, readFacts } from '../../src/guard/fact-file.ts';
import { GuardedRun } from '../../src/guard/guarded-run.ts';
import { heldListeners } from '../../src/guard/held-sockets.ts';
import { LEASE_SETTINGS } from '../../src/guard/lease-settings.ts';
import { ProcessTable } from '../../src/guard/processes.ts';
import { native } from '../../src/kernel/native.ts';
import { removeEnginePins } from '../../src/kernel/pins.ts';
import { loadPrograms } from '../../src/kernel/programs.ts';
import { policyOf } from '../kernel/engine-stage.ts';

interface Record {
  readonly offset: string;
  readonly generations: readonly number[];
}

const POLICY = `{circular: "off", default: deny, dns: {servers: [127.53.0.1]}, allow: [{address: 10.77.0.2}, {host: "*.example"}], deny: [{host: "*.denied.example"}]}`;

const [given = '', ...fds] = process.argv.slice(2);
const { path, id, level, run: runId, state } = JSON.parse(given);
const cgroup = { path, id: BigInt(id), level };
const recordPath = join(state, 'record.json');
const factsPath = join(state, 'facts');

function readRecord(): Record | null {
  try {
    return JSON.parse(readFileSync(recordPath, 'utf8'));
  } catch {
    return null;
  }
}

function writeRecord(record: Record): void {
  writeFileSync(`${recordPath}.new`, JSON.stringify(record));
  renameSync(`${recordPath}.new`, recordPath);
}

const trail = new AuditTrail({ directory: join(state, 'trail'), onNotice: () => {} });
const clock = new Clock(() => native().clocks());
const programs = await loadPrograms(['enforce'], { pinned: true });
const engine = new Engine(programs, clock, {
  held: heldListeners(fds.map(Number)),
  flushed: () => trail.flushed(),
});
const left = readRecord();
const { realtime, monotonic } = native().clocks();
let record = left ?? { offset: `${realtime - monotonic}`, generations: [] };
const policy = policyOf(POLICY, 'policy');
const processes = new ProcessTable(clock);
const dependencies = new Dependencies({
  ...{ policy: policy.policy, processes, command: null },
  packages: engine.packages,
});
const changes = readFacts(factsPath);
const run = await GuardedRun.begin(engine, {
  ...{
    ...policy,
    cgroup,
    processes,
    dependencies,
    mask: createMask(),
    leases: LEASE_SETTINGS,
    sockets: null,
    syscalls: false,
  },
  common: { host: 'test', run: runId, deployment: 'd' },
  outliving: {
    offset: BigInt(record.offset),
    facts: new FactFile(factsPath),
    onGeneration(generation) {
      record = { ...record, generations: [...record.generations, generation].slice(-3) };
      writeRecord(record);
    },
    adopt: left && {
      facts: changes,
      policies: record.generations.map((generation) => ({ ...policy, generation })),
    },
  },
  admit: () => true,
  onDenied: () => {},
  onEvent: ({ event }) => trail.record(event),
  onCarried: () => {},
});
engine.add(run);
await engine.startDns(policy.policy.dns.servers);
await engine.resume();
engine.start();
const attachment = programs.attach(cgroup, runId, { modes: ['enforce'], closes: false });
if (left) new Residents(cgroup, processes, dependencies).adoptAll(path);
process.stdout.write('ready\n');

process.on('SIGTERM', async () => {
  await run.finish();
  const lost = { ...engine.lostOf(run), ...run.lost, ...engine.lost };
  attachment.detach();
  await engine.remove(run);
  await engine.close();
  removeEnginePins();
  const end = await trail.close();
  process.stdout.write(`${JSON.stringify({ lost, end })}\n`);
  process.exit(0);
});
