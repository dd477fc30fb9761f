import { readFileSync } from 'node:fs';
import { createMask, type Mask } from '../audit/mask.ts';
import { type Cgroup, createCgroup, isThere, moveProcess, processesIn } from '../kernel/cgroup.ts';
import { native } from '../kernel/native.ts';
import { type Limits, NO_LIMITS } from '../model/limits.ts';
import type { LeftProcess, RunLimits } from '../model/summary.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { type Attachment, Residents } from './attachment.ts';
import { ClosedSockets, type SocketToClose } from './closed-sockets.ts';
import { Dependencies } from './dependency.ts';
import type { Engine } from './engine.ts';
import { findProcess } from './found-process.ts';
import { GuardedRun, type Outliving } from './guarded-run.ts';
import { LEASE_SETTINGS, type LeaseSettings } from './lease-settings.ts';
import { kill, release, removeWhenEmpty } from './leftover.ts';
import { imposeLimits, keepLimits } from './limits.ts';
import { LiveEntry } from './live-entry.ts';
import type { GivenCommand } from './naming.ts';
import { ProcessTable } from './processes.ts';
import type { Recorded, StagedRun } from './recorder.ts';
import type { RunCounts } from './registry.ts';
import type { PolicyRows } from './reign.ts';
import type { UndoList } from './undo.ts';

/** The process that asked for a run, and the cgroup it is in: the run's is below that one, and what is left goes there. */
export interface Starter {
  readonly pid: number;
  readonly cgroup: Cgroup;
}

/** One guarded run, from the outside. */
export interface RunGuardOptions {
  /** ULID. */
  readonly id: string;
  readonly host: string;
  readonly deployment: string | null;
  readonly policy: CompiledPolicy;
  /** Compiled as from another network namespace, where this host's addresses are not the socket's own. */
  readonly policyElsewhere: CompiledPolicy;
  readonly policyId: string | null;
  /** What its tables say, where several runs share that. */
  readonly rows?: PolicyRows;
  /** Evaluated beside the policy, and recorded. */
  readonly staged: StagedRun | null;
  readonly leftover: 'release' | 'kill';
  /** Who asked for the run. */
  readonly starter: Starter;
  /** The cgroup below which the run's own is made; default: that of the starter. */
  readonly parent?: Cgroup;
  /** An existing cgroup, which is left as it is; without, the run has one of its own. */
  readonly attach?: Attachment;
  /** The run's own cgroup, where an earlier process made it and is gone; without, it is made. */
  readonly left?: Cgroup;
  /** What lets another process take it over; without, it ends with this one. */
  readonly outliving?: (cgroup: Cgroup, onResumed: () => void) => Outliving;
  /** What is going to run, so that what it names can be read before; without, that is not known. */
  readonly command?: GivenCommand;
  /** Takes secrets out of command lines and names; without, those that are known by themselves. */
  readonly mask?: Mask;
  /** Whether to watch how system calls return, at a small cost to every process of the host. */
  readonly syscalls: boolean;
  /** Default: the product's. Others are for tests, which cannot wait for a minute. */
  readonly leases?: LeaseSettings;
  /** What it may use of the host; without, it is not limited. */
  readonly limits?: Limits;
  /** What is to be told at once: denied calls before they return, denied lookups before their answer leaves. */
  readonly onDenied: (recorded: Recorded) => void;
  /** As GuardedRunOptions.told. */
  readonly told?: (ticket: number) => void;
  /** Every event, when it is over; of a lookup, when its resolver is done. */
  readonly onEvent: (recorded: Recorded) => void;
  /** A connection that went on when its event was recorded has ended: with what it carried. */
  readonly onCarried?: (recorded: Recorded) => void;
  /** Part of what was asked for cannot be watched here. */
  readonly onUnwatched: (what: string) => void;
  /** What the run comes to so far, and what its caller lost of it; put on file for others to see. */
  readonly counts?: () => RunCounts;
  /** The programs were taken off by somebody else: what the run calls from now on is not guarded. */
  readonly onLost: () => void;
}

/** A guard in place. The command is started in `cgroup`, and `finish` ends it all. */
export interface RunGuard {
  readonly cgroup: Cgroup;
  readonly run: GuardedRun;
  /** Puts the command on file, so that a killed engine's remains can be told from a run in progress. */
  commandStarted(pid: number): void;
  /**
   * Moves a process in that has not begun its work, as the run's command. It is moved by its pid: `stillSame` tells
   * after that whether it was the one that is meant. False: that one is gone.
   */
  moveIn(pid: number, stillSame: () => boolean): boolean;
  /** What was lost so far, by cause. */
  losses(): Record<string, number>;
  /** Reads what is still to be read, deals with what the command left, and takes the guard away. */
  finish(): Promise<Finished>;
}

export interface Finished {
  readonly leftover: readonly LeftProcess[];
  /** Null: there was no guard. */
  readonly limits: RunLimits | null;
  /** Events lost, by cause. */
  readonly lost: Readonly<Record<string, number>>;
  /** Records of how calls ended that were lost; the events of those calls were not. */
  readonly lostEnds: number;
  /** Somebody took the programs off while the run went on. */
  readonly guardLost: boolean;
  /** What could not be taken away, by name. */
  readonly failures: readonly string[];
}

const NOTHING = () => {};

/** How often it is looked whether the guard is still in place. */
const LOOK_MS = 500;

/**
 * Guards one run in an engine, which `engineFor` gives once the run is on file: all or nothing, what was done is in
 * `undo`. A run that was guarded before stays so if all of that is let go. Throws SetupFailure.
 */
export async function guardRun(
  options: RunGuardOptions,
  closed: readonly SocketToClose[],
  engineFor: () => Promise<Engine>,
  undo: UndoList,
): Promise<RunGuard> {
  const { policy, id, attach, mask = createMask() } = options;
  const { cgroup: origin, pid } = options.starter;
  const { parent = origin } = options;
  const entry = new LiveEntry({
    ...{ id, cgroup: attach?.cgroup.path ?? `${parent.path}/acyclic-${id}`, origin: origin.path },
    ...{ leftover: options.leftover, deployment: options.deployment, mode: policy.mode },
    hosted: options.outliving !== undefined,
    ...{ policy: options.policyId, argv: options.command ? mask.argv(options.command.argv) : null },
    ...(attach && {
      attached: {
        ...{ id: String(attach.cgroup.id), service: attach.service },
        ...{ deployment: options.deployment, mode: policy.mode },
      },
    }),
  });
  undo.add('run entry', () => entry.remove());
  const cgroup = attach?.cgroup ?? options.left ?? createCgroup(parent, `acyclic-${id}`);
  if (!attach)
    undo.add('cgroup', async () => {
      if (!(await removeWhenEmpty(cgroup.path))) throw new Error(`${cgroup.path} is still in use`);
    });
  // Before any child is started that would be in the way in the cgroup this process leaves.
  const { limits = NO_LIMITS } = options;
  const mover = parent.path === origin.path ? pid : null;
  const limiting = { id, parent, cgroup, limits, mover };
  const limited = options.left ? keepLimits(limiting) : await imposeLimits(limiting);
  undo.add('limits', () => limited.lift());
  const engine = await engineFor();
  const processes = new ProcessTable(engine.clock, mask);
  const { packages } = engine;
  const dependencies = new Dependencies({ policy, processes, packages, command: options.command ?? null });
  // In a run that is taken over, who began while nobody looked.
  const residents = attach || options.left ? new Residents(cgroup, processes, dependencies) : null;
  const adoptAll = () => residents?.adoptAll(cgroup.path);
  const sockets = new ClosedSockets(engine.programs.map('closed_sockets'), cgroup.id, closed);
  undo.add('closed sockets', () => sockets.clear());
  const { host, deployment, policyId, policyElsewhere, staged, leases = LEASE_SETTINGS } = options;
  const outliving = options.outliving?.(cgroup, adoptAll);
  undo.add('facts on file', NOTHING, () => outliving?.facts.close());
  const run = await GuardedRun.begin(engine, {
    ...{ cgroup, policy, policyElsewhere, policyId, staged, processes, dependencies, mask, leases },
    sockets,
    common: { host, run: id, deployment, ...(attach?.service == null ? {} : { attached: attach.service }) },
    ...(outliving && { outliving }),
    ...(options.rows && { rows: options.rows }),
    admit: (record) => (attach ? (residents?.admit(record) ?? true) : true),
    syscalls: options.syscalls,
    onDenied: options.onDenied,
    ...(options.told && { told: options.told }),
    onEvent: options.onEvent,
    onCarried: options.onCarried ?? (() => {}),
  });
  undo.add(
    'run',
    () => run.close(),
    () => run.close(),
  );
  sockets.begin();
  engine.add(run);
  undo.add(
    'run in the engine',
    () => engine.remove(run),
    () => engine.leave(run),
  );
  if (policy.mode === 'enforce') await engine.startDns(policy.dns.servers);
  // A policy that is put in force later may close sockets, too.
  const needs = { modes: [policy.mode], closes: policy.mode === 'enforce' && engine.programs.closes };
  const attachment = engine.programs.attach(cgroup, id, needs);
  undo.add(
    'programs',
    () => attachment.detach(),
    () => attachment.leave(),
  );
  if (!options.left) adoptAll();
  const watch = watchGuard({
    intact: () => attachment.intact() && engine.programs.intact(),
    onLost: options.onLost,
    gone: () => attach !== undefined && !isThere(cgroup),
    onGone: () => attach?.onGone(),
  });
  undo.add('watch over the guard', watch.close, watch.close);
  const losses = () => ({ ...engine.lostOf(run), ...run.lost });
  const { counts } = options;
  if (counts) entry.follow(counts, losses);
  const unfollow = () => entry.unfollow();
  undo.add('counts on file', unfollow, unfollow);
  if (options.syscalls) {
    if (!engine.watchSyscalls(id))
      options.onUnwatched(
        'how system calls return, and UNIX, packet and vsock sockets: tracefs cannot be mounted',
      );
    const unwatch = () => engine.unwatchSyscalls(id);
    undo.add('watch over system calls', unwatch, unwatch);
  }
  await dependencies.ready();

  return {
    cgroup,
    run,
    commandStarted(pid) {
      entry.commandStarted(pid);
    },
    moveIn(pid, stillSame) {
      const { boottime, monotonic } = native().clocks();
      const found = findProcess(pid, boottime - monotonic);
      if (!found || !moveProcess(pid, cgroup.path)) return false;
      if (!stillSame()) {
        moveProcess(pid, origin.path);
        return false;
      }
      const { start: time, parent, uid, comm } = found;
      // Nobody saw it forked, since that was elsewhere.
      processes.apply({ type: 'fork', time, pid, parent, uid, comm });
      run.noteProcesses();
      entry.commandStarted(pid);
      return true;
    },
    losses,
    async finish() {
      watch.look();
      engine.stream.drainAll();
      const left = attach ? [] : processesIn(cgroup.path);
      const leftover = left.map((pid) => describeLeft(pid, mask));
      if (!attach && options.leftover === 'kill') await kill(cgroup.path);
      await run.finish();
      const [lost, lostEnds] = [losses(), engine.lostEndsOf(run)];
      // The guard goes before what it guards is let go: a released process is not half guarded.
      engine.unwatchSyscalls(id);
      attachment.detach();
      // Nor is it an escape when what is left is let go.
      await engine.remove(run);
      const used = limited.read();
      if (!attach)
        undo.add('leftover processes', async () => {
          await limited.lift();
          await release(cgroup.path, origin.path);
        });
      return { leftover, limits: used, lost, lostEnds, guardLost: watch.lost, failures: await undo.run() };
    },
  };
}

/** Looks now and then whether the guard is still in place, and tells once when it is not, or what it guards is gone. */
function watchGuard(of: {
  intact: () => boolean;
  onLost: () => void;
  gone: () => boolean;
  onGone: () => void;
}) {
  let [lost, gone] = [false, false];
  const look = () => {
    if (!gone && of.gone()) {
      gone = true;
      of.onGone();
    }
    if (lost || gone || of.intact()) return;
    lost = true;
    of.onLost();
  };
  const timer = setInterval(look, LOOK_MS);
  return {
    look,
    get lost() {
      return lost;
    },
    close: () => clearInterval(timer),
  };
}

/** A process that still runs, as /proc has it now: it may have been forked or have run another program since. */
function describeLeft(pid: number, mask: Mask): LeftProcess {
  const read = (file: string) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8');
    } catch {
      return null;
    }
  };
  // Of one that is ending there is no command line any more.
  const argv = read('cmdline')?.replace(/\0$/, '').split('\0') ?? [''];
  return { pid, comm: read('comm')?.trimEnd() ?? null, argv: argv.join('') === '' ? null : mask.argv(argv) };
}
