import { readFileSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { isatty } from 'node:tty';
import type { HeldChild, SpawnOptions, Text } from '../kernel/binding.ts';
import { type Cgroup, processesIn, withCgroupFd } from '../kernel/cgroup.ts';
import { processes } from '../kernel/native.ts';

/** The guarded command, as it was asked for. */
export interface CommandSpec {
  /** The command as it is looked for, and argv; bytes where they are not UTF-8. */
  readonly name: string;
  readonly argv: readonly Text[];
  /** `NAME=value`. */
  readonly env: readonly Text[];
  /** As SigIgn in /proc/PID/status: signals the command starts with ignored. */
  readonly ignoredSignals: bigint;
  /** Soft limit of open files; -1 leaves it. */
  readonly nofileSoft: number;
  /** Descriptors it inherits. */
  readonly fds: readonly number[];
}

/** The command could not be started. */
class CommandFailure extends Error {
  /** 126 not executable, 127 not found, 125 anything else (design §2). */
  readonly exit: number;
  readonly remedy: string;
  readonly code = 'command';

  constructor(exit: number, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandFailure';
    this.exit = exit;
    this.remedy = remedy;
  }
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** timeout(1)'s -k, for a command that does not heed SIGTERM. */
const KILL_AFTER_MS = 5000;

/** A running command. */
export interface Running {
  readonly pid: number;
  /** Exit status, 128+n for signal n. */
  readonly ended: Promise<{ status: number; timedOut: boolean }>;
}

/** PATH in an environment; undefined when it is not set. */
export function pathOf(env: readonly Text[]): string | undefined {
  return variableOf(env, 'PATH');
}

/** A variable of an environment; undefined when it is not set. */
export function variableOf(env: readonly Text[], name: string): string | undefined {
  return env
    .map(String)
    .find((entry) => entry.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}

/** The file execvp(3) would run. Throws CommandFailure 126 or 127. */
export function resolveCommand(name: string, path: string | undefined): string {
  if (name.includes('/')) return checked(name, name);
  let refused: CommandFailure | null = null;
  for (const directory of (path ?? DEFAULT_PATH).split(':')) {
    const candidate = directory === '' ? `./${name}` : `${directory}/${name}`;
    try {
      return checked(candidate, name);
    } catch (error) {
      if (error instanceof CommandFailure && error.exit === 126) refused = error;
    }
  }
  throw (
    refused ?? new CommandFailure(127, `cannot find the command '${name}'`, 'check its spelling and PATH')
  );
}

function checked(file: string, name: string): string {
  let stat: ReturnType<typeof statSync>;
  try {
    stat = statSync(file);
  } catch (error) {
    const missing = ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
    if (missing)
      throw new CommandFailure(127, `cannot find the command '${name}'`, 'check its spelling and PATH');
    throw new CommandFailure(
      126,
      `cannot run '${name}': ${(error as Error).message}`,
      'check its permissions',
    );
  }
  if (stat.isDirectory())
    throw new CommandFailure(126, `cannot run '${name}': it is a directory`, 'name a program');
  if ((stat.mode & 0o111) === 0)
    throw new CommandFailure(
      126,
      `cannot run '${name}': it is not executable`,
      `make it so: chmod +x ${name}`,
    );
  return file;
}

/** A command that is forked and executes nothing yet: it waits to be put into its cgroup, and for its signals. */
export interface HeldCommand {
  readonly pid: number;
  /** It begins, and is watched over; `cgroup` is what it is in by now. Throws CommandFailure. */
  release(cgroup: Cgroup | null, timeoutMs: number | null): Running;
  /** It is ended without having begun; nothing happens to one that was released. */
  abandon(): void;
}

/**
 * Starts the command, in this process's own process group, up to where it would begin. `cgroup`: what it is started in;
 * null: this process's own.
 */
export function holdCommand(spec: CommandSpec, cgroup: Cgroup | null = null): HeldCommand {
  const hold = (fd: number) => explained(spec, () => processes().spawnHeld(spawnOptions(spec, fd)));
  const child: HeldChild = cgroup ? withCgroupFd(cgroup, hold) : hold(-1);
  const { pid, pidfd } = child;
  let held = true;
  return {
    pid,
    release(cgroup, timeoutMs) {
      held = false;
      try {
        explained(spec, () => processes().spawnRelease(child));
      } catch (error) {
        processes().closeFd(pidfd);
        throw error;
      }
      return watchOver(pid, pidfd, cgroup, timeoutMs);
    },
    abandon() {
      if (!held) return;
      held = false;
      processes().spawnAbandon(child);
      processes().closeFd(pidfd);
    },
  };
}

function spawnOptions(spec: CommandSpec, cgroupFd: number): SpawnOptions {
  const file = resolveCommand(spec.name, pathOf(spec.env));
  const { argv: args, env, ignoredSignals, nofileSoft, fds } = spec;
  // A script without an interpreter line is one for sh, as execvp(3) has it.
  const scriptArgs = ['sh', file, ...args.slice(1)];
  return { file, args, scriptArgs, env, cwd: null, cgroupFd, ignoredSignals, nofileSoft, fds };
}

function watchOver(pid: number, pidfd: number, cgroup: Cgroup | null, timeoutMs: number | null): Running {
  const ended = new Promise<{ status: number; timedOut: boolean }>((resolve) => {
    let timedOut = false;
    const timer = timeoutMs === null ? null : setTimeout(() => expire(), timeoutMs);
    let killer: NodeJS.Timeout | null = null;
    const expire = () => {
      timedOut = true;
      const targets = groupOf(pid, cgroup);
      signalAll(targets, 'SIGTERM');
      signalAll(targets, 'SIGCONT');
      killer = setTimeout(() => signalAll(groupOf(pid, cgroup), 'SIGKILL'), KILL_AFTER_MS);
    };
    const stopResuming = goOnWith(pid);
    let reaped = false;
    const reap = () => {
      // The pidfd still tells of an end that SIGCHLD, which other children send too, has told already.
      if (reaped) return;
      for (let state = processes().waitChild(pid); state; state = processes().waitChild(pid)) {
        if (state.state === 'stopped') stopWithCommand();
        if (state.state !== 'exited' && state.state !== 'signaled') continue;
        reaped = true;
        if (timer) clearTimeout(timer);
        if (killer) clearTimeout(killer);
        process.off('SIGCHLD', reap);
        stopResuming();
        processes().closeFd(pidfd);
        resolve({ status: state.state === 'exited' ? state.value : 128 + state.value, timedOut });
        return;
      }
    };
    process.on('SIGCHLD', reap);
    processes().pidfdWatch(pidfd, reap);
  });
  return { pid, ended };
}

/** What keeps a command from starting, in the words of who gave it. Throws CommandFailure. */
function explained<T>(spec: CommandSpec, start: () => T): T {
  try {
    return start();
  } catch (error) {
    const { code, stage } = error as NodeJS.ErrnoException & { stage?: string };
    if (error instanceof CommandFailure) throw error;
    if (stage === 'exec' && code === 'ENOENT')
      throw new CommandFailure(
        127,
        `cannot run '${spec.name}': its interpreter is missing`,
        'check the first line of the script',
        { cause: error },
      );
    if (stage === 'exec')
      throw new CommandFailure(
        126,
        `cannot run '${spec.name}': ${(error as Error).message}`,
        'check the file and its permissions',
        { cause: error },
      );
    throw new CommandFailure(
      125,
      `cannot start the command in its cgroup: ${(error as Error).message}`,
      'run acyclic doctor to see what this host lacks',
      { cause: error },
    );
  }
}

/** A job that a shell continues: so does the command, which may be the only one that is stopped. Returns what ends it. */
function goOnWith(pid: number): () => void {
  const resume = () => signalAll([pid], 'SIGCONT');
  process.on('SIGCONT', resume);
  // The command may own the terminal; a line from the background must not stop us.
  processes().signalIgnore(constants.signals.SIGTTOU);
  return () => process.off('SIGCONT', resume);
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals | number): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** Whom timeout(1) would stop: the command and what of the run is in its process group; daemons are not. */
function groupOf(pid: number, cgroup: Cgroup | null): number[] {
  const group = processGroup(pid);
  const others = cgroup && group !== null ? processesIn(cgroup.path) : [];
  return [pid, ...others.filter((other) => other !== pid && processGroup(other) === group)];
}

function processGroup(pid: number): number | null {
  return statField(pid, 2);
}

/** Fields of /proc/PID/stat after the command name, from the state at 0. */
function statField(pid: number | 'self', index: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[index]);
  } catch {
    return null;
  }
}

/** A command that stops itself hands the terminal back to the shell: so must we, being in between. */
function stopWithCommand(): void {
  const inForeground = isatty(0) && statField('self', 5) === statField('self', 2);
  if (inForeground) process.kill(process.pid, 'SIGSTOP');
}
