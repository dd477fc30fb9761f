/**
 * A guarded run with leases of its own, on a stage of its own: a name server whose zone can be changed, and a
 * listener on port 5432 of every address. Runs in a network namespace where every address is local.
 * usage: stage.ts SCRIPT, JSON as in `Script`. A line in, a line out: `zone JSON`, or what agent.py knows.
 * At the end of its input it ends the run, and tells as one line of JSON what came of it.
 */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ulid } from 'ulid';
import type { LeaseSettings } from '../../src/guard/lease-settings.ts';
import { startSession } from '../../src/guard/session.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { compile } from '../../src/policy/compile.ts';
import { parsePolicy } from '../../src/policy/parse.ts';
import { formatProblem } from '../../src/policy/problem.ts';
import { startDnsServer } from '../lab/dns-server.ts';
import type { Zone } from '../lab/dns-zone.ts';

export interface Script {
  readonly policy: object;
  readonly leases: LeaseSettings;
}

/** What a run came to. */
export interface Outcome {
  readonly events: readonly AuditEvent[];
  readonly lost: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
  readonly queries: readonly string[];
}

/** Where the policy's `dns.servers` must point. */
export const NAME_SERVER = '10.0.0.53';
const PORT = 5432;
// $1 the cgroup.procs to enter, $2 the program.
const JOIN = 'echo $$ > "$1" && exec python3 "$2"';

async function main({ policy: written, leases }: Script): Promise<void> {
  const zone: Record<string, readonly string[]> = {};
  const server = await startDnsServer({ address: NAME_SERVER, port: 53, zone });
  const listener = createServer((socket) => socket.on('error', () => socket.destroy()));
  listener.listen(PORT, '::');
  await once(listener, 'listening');
  const sink = createSocket('udp6');
  sink.bind(PORT);
  await once(sink, 'listening');

  const { policy: parsed, problems } = parsePolicy([{ path: 'p', text: JSON.stringify(written) }]);
  if (!parsed) throw new Error(problems.map(formatProblem).join('\n'));
  const plain = { deployment: null, allow: [], deny: [], default: null, mode: null };
  const policy = compile(parsed, { ...plain, now: new Date(), ownAddresses: [] });
  const events: AuditEvent[] = [];
  const session = await startSession({
    ...{ id: ulid(), host: 'test', deployment: 'd', policyId: null, leftover: 'kill', leases },
    ...{ policy, policyElsewhere: policy },
    ...{ staged: null, syscalls: false, onDenied: () => undefined, onUnwatched: () => undefined },
    onEvent: ({ event }) => events.push(event),
    onLost: () => process.exit(3),
  });
  const argv = ['-c', JOIN, 'sh', join(session.cgroup.path, 'cgroup.procs')];
  const agent = spawn('sh', [...argv, join(import.meta.dirname, 'agent.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(agent, 'exit');
  createInterface({ input: agent.stdout }).on('line', (line) => process.stdout.write(`${line}\n`));
  process.stdout.write('ready\n');

  for await (const line of createInterface({ input: process.stdin })) {
    if (line.startsWith('zone ')) {
      for (const name of Object.keys(zone)) delete zone[name];
      Object.assign(zone, JSON.parse(line.slice(5)) as Zone);
      process.stdout.write('0\n');
    } else agent.stdin.write(`${line}\n`);
  }
  agent.stdin.end();
  await exited;
  const { lost, failures } = await session.finish();
  const queries = server.queries.map(({ name }) => name);
  const outcome: Outcome = { events, lost, failures, queries };
  process.stdout.write(`${JSON.stringify(outcome)}\n`, () => process.exit(0));
}

if (process.argv[1] === import.meta.filename) await main(JSON.parse(process.argv[2] ?? '') as Script);
