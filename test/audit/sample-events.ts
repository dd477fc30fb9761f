import type { RunStart } from '../../src/audit/record.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import type { RunSummary } from '../../src/model/summary.ts';
import { formatTime } from '../../src/model/time.ts';

/** 2026-11-23T00:00:00Z. */
const BEGIN = 1_795_392_000_000_000_000n;
const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A ULID that is told by its number, and sorts by it. */
export function sampleId(number: number, kind = '01SAMP1E'): string {
  let digits = '';
  for (let rest = number; digits.length < 18; rest = Math.floor(rest / 32))
    digits = CROCKFORD[rest % 32] + digits;
  return kind + digits;
}

export const RUN = sampleId(0, '01RVNRVN');

/** The nth event of a deploy: connects of curl to 200 destinations in turn, every third denied. */
export function sampleEvent(number: number, changes: Partial<AuditEvent> = {}): AuditEvent {
  const denied = number % 3 === 0;
  const host = number % 200;
  return {
    v: 1,
    id: sampleId(number),
    time: formatTime(BEGIN + BigInt(number) * 20_000n),
    host: 'db-1',
    run: RUN,
    deployment: 'mysql',
    policy: '3f9c2a1',
    count: 1,
    kind: 'connect',
    destination: {
      ...{ address: `192.0.2.${host}`, port: 443, protocol: 'tcp', names: [`h${host}.github.com`] },
      service: 'github',
    },
    process: {
      ...{
        pid: 5000 + (number % 1000),
        start: formatTime(BEGIN),
        uid: 0,
        comm: 'curl',
        exe: '/usr/bin/curl',
      },
      argv: ['curl', '-fsSL', `https://h${host}.github.com/acme/tools/releases/download/v1.2.3/tools.tar.gz`],
      ancestry: [
        {
          ...{ pid: 4230, start: formatTime(BEGIN), uid: 0, comm: 'fetch-tools.sh', exe: '/bin/bash' },
          argv: ['bash', 'fetch-tools.sh', '--all'],
        },
        { pid: 4200, start: null, uid: 0, comm: 'deploy.sh', exe: '/bin/bash', argv: ['bash', 'deploy.sh'] },
      ],
    },
    verdict: denied ? 'deny' : 'allow',
    rule: {
      source: 'acyclic.yaml:14',
      kind: denied ? 'circular' : 'allow',
      reason: null,
      owner: '@db-platform',
    },
    dependency: denied
      ? { kind: 'direct', evidence: 'deploy.sh:12', path: ['mysql', 'github', 'mysql'] }
      : null,
    outcome: {
      ...{ errno: denied ? 'EPERM' : null, duration_us: number % 100 },
      ...{ result: denied ? null : ('connected' as const), bytes_sent: null, bytes_received: null },
    },
    hook: 'cgroup/connect4',
    ...changes,
  };
}

export function sampleStart(changes: Partial<RunStart> = {}): RunStart {
  return {
    ...{ v: 1, kind: 'run', time: formatTime(BEGIN), host: 'db-1', run: RUN, deployment: 'mysql' },
    ...{ policy: '3f9c2a1', mode: 'enforce', labels: { team: 'db' }, command: ['./deploy.sh'], engine: null },
    ...changes,
  };
}

export function sampleSummary(number: number, changes: Partial<RunSummary> = {}): RunSummary {
  return {
    ...{
      v: 1,
      id: sampleId(number),
      time: formatTime(BEGIN + BigInt(number) * 20_000n),
      host: 'db-1',
      run: RUN,
    },
    ...{ deployment: 'mysql', policy: '3f9c2a1', kind: 'summary', mode: 'enforce', labels: { team: 'db' } },
    ...{
      calls: 3,
      destinations: 2,
      denials: 1,
      would_deny: 0,
      cycles: [['mysql', 'github', 'mysql']],
      lost: {},
    },
    ...{
      waiting: [],
      traffic: [],
      staged: null,
      new_destinations: null,
      exit: { command: 0, acyclic: 0 },
      duration_ms: 1234,
      limits: null,
      leftover: [],
    },
    ...changes,
  };
}
