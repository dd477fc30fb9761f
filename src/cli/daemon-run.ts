import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { CreatedRun, EndedRun } from '../daemon/answers.ts';
import { Client, ClientFailure, DaemonAnswer } from '../daemon/client.ts';
import { type HeldCommand, holdCommand, pathOf, type Running, resolveCommand } from '../guard/command.ts';
import { HeldSignals } from '../guard/held-signals.ts';
import type { ReportFile } from '../guard/report.ts';
import { exitStatus } from '../guard/run-summary.ts';
import { Tally } from '../guard/tally.ts';
import { type Cgroup, cgroupAt, cgroupOf } from '../kernel/cgroup.ts';
import { findCgroup2 } from '../kernel/mounts.ts';
import type { RunSummary } from '../model/summary.ts';
import { checkInherited, commandSpec } from './command-spec.ts';
import { openReport } from './open-report.ts';
import { createOutput, harmless, type Output } from './output.ts';
import { tellEnd } from './run-end.ts';
import type { RunOptions } from './run-options.ts';
import { runRequest } from './run-request.ts';
import { RunStream } from './run-stream.ts';
import { showCommand } from './show-command.ts';
import { formatOpening } from './summary.ts';
import { Teller } from './teller.ts';

const REPEATS_EVERY_MS = 1000;
/** A daemon that is started again is back by then. */
const RESTART_MS = 2000;
const RETRY_MS = 50;
/** A broken glass waits no longer for a daemon that may be hung. */
const HASTE_MS = 5000;
/** How long the daemon is waited for at the end, should it be away. */
const END_PATIENCE_MS = 10_000;
/** What of the stream is still on its way when the run has ended. */
const STREAM_PATIENCE_MS = 5000;
/** Failed before the command, or cannot say that it was well (design §2). */
const RUN_FAILED = 125;

/** Has the daemon guard one command, and gives the exit status of the whole. Throws what happens before it starts. */
export async function runThroughDaemon(options: RunOptions, socket: string): Promise<number> {
  const output = createOutput(options);
  try {
    return await run(options, new Client(socket), output);
  } catch (error) {
    if (!(error instanceof ClientFailure || error instanceof DaemonAnswer)) throw error;
    if (isNested(error))
      output.say('info', [`acyclic: guarded by this process, beside the daemon: ${error.message}`]);
    else if (options.breakGlass === null || isRefusal(error)) throw withWayOut(error);
    else
      output.say('error', ['acyclic: the glass is broken, and the daemon is not to be had', error.message]);
  }
  const { guardCommand } = await import('./guarded.ts');
  return await guardCommand(options, null);
}

/** A run in another one of the daemon: root guards it by itself besides, so that both are in force. */
function isNested(error: ClientFailure | DaemonAnswer): boolean {
  return error instanceof DaemonAnswer && error.code === 'nested' && process.geteuid?.() === 0;
}

/** Who may break the glass is said by policy: a refusal is no outage. */
function isRefusal(error: ClientFailure | DaemonAnswer): boolean {
  return error instanceof DaemonAnswer ? error.status < 422 : error.code === 'daemon-refused';
}

function withWayOut(error: ClientFailure | DaemonAnswer): Error {
  if (isRefusal(error) || error instanceof DaemonAnswer) return error;
  const remedy = `${error.remedy}; if it cannot wait: --break-glass REASON`;
  return new ClientFailure(error.code, error.message, remedy, { cause: error });
}

interface DaemonRun {
  readonly options: RunOptions;
  readonly client: Client;
  readonly created: CreatedRun;
  readonly output: Output;
  readonly report: ReportFile | null;
  readonly teller: Teller;
  readonly stream: RunStream;
  readonly held: HeldSignals;
  /** Aborted when nothing that is still asked matters any more. */
  readonly over: AbortSignal;
}

async function run(options: RunOptions, client: Client, output: Output): Promise<number> {
  const spec = commandSpec(options);
  const file = resolveCommand(spec.name, pathOf(spec.env));
  const report = options.report === null ? null : openReport(options.report);
  const held = new HeldSignals();
  const over = new AbortController();
  try {
    // Whoever asked is dead then, by which the daemon knows that nobody wants the run.
    const creating = create(options, client, runRequest(options, spec, file), over.signal);
    // What can be done before the answer is done while the daemon is at it: the loop's next turn sends the request.
    await Promise.race([nextTurn(), creating]);
    held.watch();
    Teller.warm(output);
    const created = await Promise.race([creating, held.came]);
    if (!created) return endedBefore(held, output);
    if (options.breakGlass !== null)
      output.say('error', [
        `acyclic: BREAK GLASS: nothing is denied to this run: ${harmless(options.breakGlass)}`,
      ]);
    for (const warning of created.warnings) output.say('warning', warning.split('\n'));
    for (const what of created.unwatched) output.say('warning', [`acyclic: not watched: ${what}`]);
    const teller = new Teller({
      ...{ output, report, trail: null },
      tally: new Tally({ staged: created.staged, seen: null }),
      more: (id) => showCommand(options, id),
    });
    const stream = openStream(client, created.id, teller, output);
    const conducted = { options, client, created, output, report, teller, stream, held, over: over.signal };
    try {
      checkInherited(options, created.mode, spec, output);
      return await conduct(conducted, holdCommand(spec));
    } finally {
      stream.stop();
    }
  } finally {
    over.abort();
    report?.close();
    held.release();
  }
}

/** A daemon that is being started again has its socket before it listens. */
async function create(
  options: RunOptions,
  client: Client,
  body: object,
  signal: AbortSignal,
): Promise<CreatedRun> {
  const deadline = performance.now() + RESTART_MS;
  const wait = options.breakGlass === null ? {} : { timeoutMs: HASTE_MS };
  for (;;) {
    try {
      return await client.request<CreatedRun>('POST', '/v1/runs', { body, signal, ...wait });
    } catch (error) {
      const again = error instanceof ClientFailure && error.code === 'no-daemon';
      if (!again || signal.aborted || performance.now() > deadline) throw error;
    }
    await sleep(RETRY_MS);
  }
}

function openStream(client: Client, run: string, teller: Teller, output: Output): RunStream {
  return new RunStream(client, run, {
    denied: (told) => teller.tell(told),
    event: (told) => teller.record(told),
    guardLost: () =>
      output.say('error', [
        "acyclic: the guard is lost: somebody took its programs off the run's cgroup",
        'the command goes on unguarded; exit will be 125',
      ]),
    away: (error) =>
      output.say('error', [
        `acyclic: the daemon is away: ${(error as Error).message}`,
        'the run goes on, guarded by its last policy; names that are asked for fail until the daemon is back',
      ]),
    back: () => output.say('info', ['acyclic: the daemon is back']),
  });
}

/** The command is put into the run, begins, ends, and all is told. Until it is in the run it executes nothing. */
async function conduct(run: DaemonRun, command: HeldCommand): Promise<number> {
  const { options, client, created, output, teller, stream, held } = run;
  let begun: Running | null;
  try {
    const route = `/v1/runs/${created.id}/command`;
    const moved = client.request('POST', route, { body: { pid: command.pid }, signal: run.over });
    await Promise.race([Promise.all([stream.opened, moved]), held.came]);
    begun = held.exit === null ? begin(run, command) : null;
  } catch (error) {
    command.abandon();
    await giveUp(run);
    throw error;
  }
  if (!begun) {
    command.abandon();
    await giveUp(run);
    return endedBefore(held, output);
  }
  const repeats = setInterval(() => teller.tellRepeats(), REPEATS_EVERY_MS);
  const { status, timedOut } = await begun.ended;
  clearInterval(repeats);
  if (timedOut)
    output.say('error', [`acyclic: the command timed out after ${(options.timeoutMs ?? 0) / 1000} s`]);
  const summary = await end(run, { status, timedOut });
  if (typeof summary === 'string') return endUntold(run, { status, timedOut }, summary);
  tellUntold(run, summary);
  tellEnd({ ...run, trail: null }, options, summary, { failures: [] });
  return summary.exit.acyclic;
}

/** The daemon keeps only so much for who does not read, or while it is away itself. */
function tellUntold({ created, output, report, teller }: DaemonRun, { calls }: RunSummary): void {
  const untold = calls - teller.tally.calls;
  if (untold <= 0) return;
  const where = report === null ? 'told here' : 'told here, nor are they in the report';
  output.say('warning', [
    `acyclic: ${untold} calls were not ${where}: there were too many at once, or while the daemon was away`,
    `they are on record: acyclic audit list --run ${created.id}`,
  ]);
}

/** Null: a signal came before it could. */
function begin({ options, created, output, held }: DaemonRun, command: HeldCommand): Running | null {
  const place = placeOfRun(command.pid);
  // Only a timeout asks for it.
  const cgroup = options.timeoutMs === null ? null : cgroupIfSeen(place);
  const { id, deployment, mode, policy } = created;
  const opening = { run: id, deployment, mode, policy };
  output.say('info', [formatOpening(opening)], { kind: 'opening', ...opening });
  return held.handOver(() => command.release(cgroup, options.timeoutMs));
}

function endedBefore({ first, exit }: HeldSignals, output: Output): number {
  output.say('error', [`acyclic: ended by ${first} before the command was started`]);
  return exit ?? RUN_FAILED;
}

/** Where in the cgroup tree the daemon put the command. Throws ClientFailure. */
function placeOfRun(pid: number): string {
  const inside = cgroupOf(pid);
  if (inside === cgroupOf('self'))
    throw new ClientFailure(
      'daemon-gone',
      'what answers is not the daemon, or a broken one: it did not put the command into a cgroup of its own',
      'see acyclic status, and the journal of acyclic',
    );
  return inside;
}

/** Null: the tree cannot be seen from here. */
function cgroupIfSeen(place: string): Cgroup | null {
  try {
    return cgroupAt(findCgroup2(), place);
  } catch {
    return null;
  }
}

/** The command was not started. What goes wrong now is the daemon's to clear: it sees that its client is gone. */
async function giveUp({ client, created }: DaemonRun): Promise<void> {
  const body = { status: null, timedOut: false };
  const route = `/v1/runs/${created.id}/end`;
  await client.request('POST', route, { body, timeoutMs: HASTE_MS }).catch(() => {});
}

interface CommandEnd {
  readonly status: number;
  readonly timedOut: boolean;
}

/** The summary, once all of the stream was told; or why there is none. */
async function end({ client, created, stream }: DaemonRun, body: CommandEnd): Promise<RunSummary | string> {
  const deadline = performance.now() + END_PATIENCE_MS;
  const within = <T>(ms: number, work: Promise<T>) => Promise.race([work, sleep(ms, null, { ref: false })]);
  for (;;) {
    try {
      const { summary } = await client.request<EndedRun>('POST', `/v1/runs/${created.id}/end`, { body });
      await within(STREAM_PATIENCE_MS, stream.ended);
      return summary;
    } catch (error) {
      const { message } = error as Error;
      // It may have ended the run and died before it could say so.
      if (error instanceof DaemonAnswer && error.status === 404)
        return (await within(RESTART_MS, stream.ended)) ?? message;
      const again = error instanceof ClientFailure || (error as DaemonAnswer).status === 429;
      if (!again || performance.now() > deadline) return message;
    }
    await sleep(RETRY_MS);
  }
}

/** The daemon did not come back. Nothing found is claimed by who did not see everything. */
function endUntold({ options, created, output, teller }: DaemonRun, end: CommandEnd, why: string): number {
  const { failOn } = options;
  const status = exitStatus(end, failOn, teller.tally);
  const open = failOn !== 'never' && status === 0;
  output.say('error', [
    `acyclic: the summary of run ${created.id} is missing: ${why}`,
    'the run was guarded to its end; the daemon ends it, and has the rest, when it is back',
    ...(open ? [`--fail-on ${failOn} cannot be answered, so exit is ${RUN_FAILED}`] : []),
  ]);
  return open ? RUN_FAILED : status;
}
